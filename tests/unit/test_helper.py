"""How a helper reads its token: by descriptor, whole, in time, and from nowhere that others could have read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elevate.errors import TokenError
from elevate.helper import MAX_TOKEN_BYTES, Keys, Verifier, read_token
from elevate.host.sealed import seal
from tests.e2e.daemon import ROOT

TEXT = b"eyJh.eyJi.c2ln"
READ = "import sys; sys.path.insert(0, sys.argv[1]); from elevate.helper import read_token; print(read_token())"


def piped(data: bytes, *, close: bool = True) -> int:
    read, write = os.pipe()
    os.write(write, data)
    if close:
        os.close(write)
    return read


@pytest.mark.parametrize("data", [TEXT, TEXT + b"\n"])
def test_a_token_comes_by_a_pipe(data: bytes) -> None:
    """To its end; a line's end behind it is no harm. It shows nothing of itself."""
    assert repr(read_token(piped(data))) == "Token(…)"


def test_a_token_comes_by_a_sealed_memory_file() -> None:
    """From its beginning, wherever the descriptor stands."""
    fd = seal(TEXT)
    os.lseek(fd, 5, os.SEEK_SET)
    assert read_token(fd)._text == TEXT.decode()


@pytest.mark.parametrize("data", [b"", b"  ", b"a.b", b"a.b.c.d", b"a.\xff.c", b"a.b." + b"c" * MAX_TOKEN_BYTES])
def test_what_is_no_token_is_refused(data: bytes) -> None:
    """Empty, of other form, or too long."""
    with pytest.raises(TokenError, match="not a token"):
        read_token(seal(data))


def test_a_token_in_a_file_is_refused(tmp_path: Path) -> None:
    """A file on a disk stays; so does a memory file that can still be changed."""
    (tmp_path / "token").write_bytes(TEXT)
    fd = os.open(tmp_path / "token", os.O_RDONLY)
    for one in (fd, os.memfd_create("open"), os.open("/dev/null", os.O_RDONLY), 1_000_000):
        with pytest.raises(TokenError, match="comes by a pipe"):
            read_token(one)


def test_a_pipe_that_stays_open_blocks_nobody() -> None:
    """Whoever passes it on has a bounded time."""
    with pytest.raises(TokenError, match="in time"):
        read_token(piped(TEXT, close=False), timeout_seconds=0)


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_15_a_token_that_others_could_read_is_refused(where: str) -> None:
    """In the arguments or the environment it is no secret any more."""
    more = [TEXT.decode()] if where == "argument" else []
    env = {"TOKEN": TEXT.decode()} if where == "environment" else {}
    done = subprocess.run([sys.executable, "-c", READ, str(ROOT), *more], input=TEXT, env=env, capture_output=True, check=False)
    assert b"arguments or environment" in done.stderr
    assert TEXT not in done.stderr
    assert done.returncode == 1


def test_a_verifier_is_for_one_helper() -> None:
    """Not for a host, and not for nobody."""
    keys = Keys({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": X, "kid": KID}]}, "elevate:1")
    for audience in ("", "helper:", "emulated:1"):
        with pytest.raises(TokenError, match="helper:NAME"):
            Verifier(keys, audience=audience)


X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
