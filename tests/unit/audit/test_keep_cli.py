"""Erasing, pruning, rotating and cosigning from the command line; the witness here is the test's own."""

import os
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit import merkle
from elevate.audit.notes import COSIGNATURE, Checkpoint, Note, Signer, VerifierKey, cosigned, signature_line
from elevate.audit.proof import check
from elevate.cli.audit import app
from elevate.errors import AuditError, ElevateError, StoreError, StoreUnwritableError
from elevate.store import SqliteStore
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import draft

SIZE = 950
SEEN_AT = 1_790_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_log(tmp_path / "ledger.sqlite", 1000).close()
    return tmp_path / "ledger.sqlite"


def run(path: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--state", str(path.parent)])
    if isinstance(result.exception, ElevateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


class Witness:
    """A witness as C2SP tlog-witness has it: it signs what follows from what it has seen."""

    def __init__(self, log: VerifierKey) -> None:
        self.signer = Signer.make("witness.example", b"w" * 32)
        self.key = VerifierKey(name=self.signer.name, kind=COSIGNATURE, key=self.signer.verifier.key)
        self.log = log
        self.size, self.root = 0, merkle.EMPTY_ROOT

    def add_checkpoint(self, body: str) -> tuple[int, str]:
        head, _, text = body.partition("\n\n")
        first, *proof = head.split("\n")
        note = Note.parse(text)
        try:
            note.verify(self.log)
            found = Checkpoint.parse(note.text)
            if int(first.removeprefix("old ")) != self.size:
                return 409, f"{self.size}\n"
            merkle.check_consistency(self.size, found.size, self.root, found.root, [b64decode(line) for line in proof])
        except AuditError as exc:
            return 422, exc.message
        self.size, self.root = found.size, found.root
        signature = SEEN_AT.to_bytes(8, "big") + self.signer.key.sign(cosigned(note.text, SEEN_AT))
        return 200, signature_line(self.key, signature)


@pytest.fixture
def witness(path: Path) -> Iterator[tuple[Witness, str]]:
    with LedgerReader(path) as reader:
        made = Witness(VerifierKey.parse(reader.meta("first_key")))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            code, text = made.add_checkpoint(body) if self.path == "/add-checkpoint" else (404, "")
            self.send_response(code)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def grow(path: Path) -> None:
    store = SqliteStore(path, entropy=SeededEntropy(5))
    store.append(draft("more"))
    store.close()


def test_what_is_done_without_a_broker_says_who_did_it(path: Path, tmp_path: Path) -> None:
    """This process, with its user's name and its program."""
    run(path, "rotate-key")
    run(path, "prune", "--before", "256", "--archive", str(tmp_path / "archive"))
    run(path, "erase", "--subject", "bob")
    with LedgerReader(path) as reader:
        said = {entry.event: entry.body.get("actor") for entry in reader.opened(SIZE)}
    for event in ("log-key-rotated", "log-pruned", "erased"):
        actor = said[event]
        assert isinstance(actor, dict)
        assert (actor["uid"], actor["pid"]) == (os.getuid(), os.getpid())
        assert actor["executable"]


def test_a_witness_cosigns_again_and_again(path: Path, tmp_path: Path, witness: tuple[Witness, str]) -> None:
    """The second time from where it was; what it signed is an anchor, and a proof with it names the witness."""
    seen, url = witness
    for _ in range(2):
        run(path, "cosign", url, "--key", str(seen.key), "-o", str(tmp_path / "cosigned"))
        grow(path)
    assert seen.size == SIZE + 1
    assert '"outcome":"verified"' in run(path, "verify", "--anchor", str(tmp_path / "cosigned"))
    proof = run(path, "prove", "3", "--note", str(tmp_path / "cosigned"))
    assert check(proof, seen.log, witnesses=[seen.key]).witnesses == (("witness.example", SEEN_AT),)


def test_42_a_witness_refuses_an_older_copy(path: Path, tmp_path: Path, witness: tuple[Witness, str]) -> None:
    """It has seen more."""
    seen, url = witness
    older = {found.name: found.read_bytes() for found in path.parent.iterdir() if found.is_file()}
    grow(path)
    run(path, "cosign", url, "--key", str(seen.key), "-o", str(tmp_path / "cosigned"))
    for name, data in older.items():
        (path.parent / name).write_bytes(data)
    with pytest.raises(AuditError, match="has seen"):
        run(path, "cosign", url, "--key", str(seen.key), "-o", str(tmp_path / "again"))


def test_42_a_witness_refuses_a_fork(path: Path, tmp_path: Path, witness: tuple[Witness, str]) -> None:
    """Of the same size, or longer: no proof leads there."""
    seen, url = witness
    run(path, "cosign", url, "--key", str(seen.key), "-o", str(tmp_path / "cosigned"))
    seen.root = b"\1" * 32
    grow(path)
    with pytest.raises(AuditError, match="refused: 422"):
        run(path, "cosign", url, "--key", str(seen.key), "-o", str(tmp_path / "again"))


def test_a_false_cosignature_is_not_taken(path: Path, tmp_path: Path, witness: tuple[Witness, str]) -> None:
    """Another key's, or none."""
    seen, url = witness
    other = VerifierKey(name=seen.key.name, kind=COSIGNATURE, key=b"o" * 32)
    with pytest.raises(AuditError):
        run(path, "cosign", url, "--key", str(other), "-o", str(tmp_path / "cosigned"))
    assert not (tmp_path / "cosigned").exists()
    for bad in ("file:///etc/passwd", "http://127.0.0.1:1"):
        with pytest.raises(AuditError):
            run(path, "cosign", bad, "--key", str(seen.key), "-o", str(tmp_path / "cosigned"))


def test_erase_and_rotate(path: Path) -> None:
    """Both say what they did."""
    assert '"user":"alice"' in run(path, "export")
    said = run(path, "erase", "--subject", "alice")
    assert "requests can no longer be opened" in said
    assert "out of reach are copies: exports" in said
    assert '"user":"alice"' not in run(path, "export")
    assert run(path, "rotate-key").startswith("now: elevate.log/")
    with pytest.raises(AuditError):
        run(path, "erase", "--subject", "nobody")


def test_prune_archives_first(path: Path, tmp_path: Path) -> None:
    """The archive is written and synced before anything goes, and proves what it holds."""
    archive = tmp_path / "old.jsonl"
    assert "begins at entry 512" in run(path, "prune", "--before", "600", "--archive", str(archive))
    assert len(archive.read_text().splitlines()) == 512
    key = run(path, "key").partition('"first":"')[2].partition('"')[0]
    proof = run(path, "prove", "100", "--archive", str(archive))
    assert check(proof, VerifierKey.parse(key)).entry.seq == 100
    with pytest.raises(StoreUnwritableError, match="archive"):
        run(path, "prune", "--before", "900", "--archive", str(archive))
    archive.write_text(archive.read_text().replace('"v":1', '"v":2'))
    with pytest.raises(AuditError):
        run(path, "prove", "100", "--archive", str(archive))


def test_a_running_broker_is_not_disturbed(path: Path) -> None:
    """What writes needs the ledger for itself."""
    store = SqliteStore(path, entropy=SeededEntropy(5))
    with pytest.raises(StoreError, match="another broker"):
        run(path, "erase", "--subject", "alice")
    store.close()
