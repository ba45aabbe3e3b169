"""What the policy learns of a Windows program or package: facts, each with a value, known to be absent, or undetermined.

A child process reads the file. Where it fails, or the libraries of the extra ``windows`` are not there, every fact that it
would have given is undetermined: an allow that needs one does not match, a deny and a require do.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from elevate import canonical
from elevate.canonical import Json
from elevate.host.launcher import Launcher, Order
from elevate.host.sealed import seal
from elevate.host.windows.reading import looks_known
from elevate.model import Fact, FactValue

PROGRAM = Path(__file__).with_name("program.py")
SECONDS = 20
_MAX_ANSWER = 65_536
_LIBRARIES = ("lief", "olefile", "cryptography")
NAMES = ("installer", "manifest", "product", "signature", "signer", "ui_access", "version")
UNKNOWN: Mapping[str, FactValue] = dict.fromkeys(NAMES, Fact.UNDETERMINED)


def of_file(launcher: Launcher, fd: int, name: str, *, roots: bytes, now: int) -> dict[str, FactValue]:
    """Give the facts of an open file; none where it is no Windows file.

    Args:
        launcher: Starts the child.
        fd: The file; its offset does not matter.
        name: What it is called.
        roots: The machine's trusted certificates, PEM.
        now: Unix seconds.
    """
    if not looks_known(os.pread(fd, 8, 0)):
        return {}
    answer = _ask(launcher, fd, name, roots=roots, now=now)
    try:
        return _facts(canonical.decode(answer, max_bytes=_MAX_ANSWER)) if answer else dict(UNKNOWN)
    except ValueError:
        return dict(UNKNOWN)


def library_folders() -> tuple[str, ...]:
    """Give the folders in which the libraries lie that the child needs, as this process finds them."""
    found: dict[str, None] = {}
    for name in _LIBRARIES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found[str(Path(spec.origin).parents[1])] = None
    return tuple(found)


def _ask(launcher: Launcher, fd: int, name: str, *, roots: bytes, now: int) -> bytes:
    read, write = os.pipe()
    trusted = seal(roots, "elevate-roots")
    try:
        argv = (os.path.realpath(sys.executable), "-I", "-S", str(PROGRAM), name, str(now), *library_folders())
        order = Order(argv=argv, env={}, fds={1: write, 3: fd, 4: trusted}, time_limit_seconds=SECONDS)
        launched = launcher.launch(order)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
        os.close(trusted)
    with os.fdopen(read, "rb") as stream:
        answer = stream.read(_MAX_ANSWER)
    return answer if launched.wait().exit_status == 0 else b""


def _facts(found: Json) -> dict[str, FactValue]:
    match found:
        case {
            "traits": {"level": level, "ui_access": bool(ui_access), "version": str(version)},
            "judged": {"installer": bool(installer)},
            "product": str(product),
            "signed": signed,
        }:
            return {
                "installer": installer,
                "manifest": _text(level),
                "product": _text(product),
                "ui_access": ui_access,
                "version": _text(version),
                **_signer(signed),
            }
        case _:
            raise ValueError("the answer is not as it must be")


def _signer(signed: Json) -> dict[str, FactValue]:
    match signed:
        case {"verdict": "signed", "publisher": str(publisher)} if publisher:
            return {"signature": "signed", "signer": publisher}
        case {"verdict": "unsigned"}:
            return {"signature": "unsigned", "signer": Fact.ABSENT}
        case {"verdict": str(verdict)}:
            # SECURITY: a signature that does not hold is neither a publisher nor none.
            return {"signature": verdict, "signer": Fact.UNDETERMINED}
        case _:
            return {"signature": Fact.UNDETERMINED, "signer": Fact.UNDETERMINED}


def _text(value: Json) -> FactValue:
    return value if isinstance(value, str) and value else Fact.ABSENT
