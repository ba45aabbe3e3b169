"""Rows 37, 41 and 42: what is left of the erased, and what numbers and answers from outside do to the log's tools."""

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest

from elevate.audit.export import table
from elevate.audit.notes import COSIGNATURE, Checkpoint, Note, Signer, VerifierKey, cosigned, signature_line
from elevate.audit.proof import Proof
from elevate.audit.query import parse
from elevate.audit.witness import with_cosignature
from elevate.cli.audit_verify import read_anchor
from elevate.errors import AuditError
from elevate.store import SqliteStore
from elevate.store.eraser import Eraser
from elevate.store.reader import LedgerReader
from elevate.store.searching import index_path, search
from elevate.store.sqlite_ledger import Ledger
from elevate.testing import SeededEntropy
from tests.biglog import BEGIN_US, make_log
from tests.ledgers import AT

HUGE = "9" * 5000
T = TypeVar("T")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log long enough for an index, closed."""
    folder = tmp_path_factory.mktemp("traces")
    make_log(folder / "ledger.sqlite", 1500).close()
    return folder / "ledger.sqlite"


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent, tmp_path / "copy")
    return tmp_path / "copy" / made.name


def alices(path: Path) -> int:
    with LedgerReader(path) as reader:
        return len(list(search(reader, parse("user:alice", BEGIN_US))))


def traces(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if b"alice" in file.read_bytes())


def test_37_search_during_an_erasure_keeps_nobody_in_the_index(path: Path) -> None:
    """The search reads what is not erased yet, and its index comes before the end; it must not stay."""
    store = SqliteStore(path, entropy=SeededEntropy(8))
    seen: list[int] = []

    def submit(work: Callable[[Ledger], T], /, *, settles: bool = False) -> "Future[T]":
        seen.append(alices(path))
        return store._writer.submit(work, settles=settles)

    Eraser(path, submit, store._checkpoint).erase("alice", AT, {})

    assert max(seen) > 0
    assert traces(path) == []
    assert alices(path) == 0
    store.close()


def test_37_crash_between_an_erasure_and_its_end_leaves_no_old_index(path: Path) -> None:
    """An index from before the erasure is removed by the next start, and used by no search."""
    assert alices(path) > 0
    old = index_path(path).read_bytes()
    store = SqliteStore(path, entropy=SeededEntropy(8))
    store.erase("alice", AT)
    store.close()
    index_path(path).write_bytes(old)
    assert alices(path) == 0
    assert b"alice" not in index_path(path).read_bytes()

    index_path(path).write_bytes(old)
    SqliteStore(path, entropy=SeededEntropy(9)).close()

    assert traces(path) == []


def test_37_journal_of_the_index_goes_with_it(path: Path) -> None:
    """What a crash of a search left beside the index holds names, too."""
    assert alices(path) > 0
    for suffix in ("-journal", "-wal", "-shm"):
        place = index_path(path)
        place.with_name(place.name + suffix).write_bytes(b"alice")
    store = SqliteStore(path, entropy=SeededEntropy(8))
    store.erase("alice", AT)

    assert traces(path) == []
    store.close()


SIGNER = Signer.make("log.example/x", b"1" * 32)
NOTE = SIGNER.sign(Checkpoint(origin="log.example/x", size=3, root=b"r" * 32).text())


@pytest.mark.parametrize("number", [HUGE, "0" + HUGE, "\u0663", "-1", "+1", "1_0", "01", ""])
def test_42_number_of_any_length_is_an_error_and_no_crash(number: str) -> None:
    """Notes, proofs and anchors come from anybody."""
    text = NOTE.replace("\n3\n", f"\n{number}\n", 1)
    with pytest.raises(AuditError):
        Checkpoint.parse(Note.parse(text).text)
    proof = Proof(index=7, hashes=[], note=NOTE, entry=b"{}").text().replace("index 7", f"index {number}")
    with pytest.raises(AuditError):
        Proof.parse(proof)
    with pytest.raises(AuditError):
        read_anchor(f"{number}:{'a' * 64}")


def test_42_witness_answers_with_nothing_but_signatures() -> None:
    """An answer that makes the log's own signature a part of the text would be a checkpoint that the log did not sign."""
    witness = Signer.make("witness.example", b"2" * 32)
    key = VerifierKey(name="witness.example", kind=COSIGNATURE, key=witness.verifier.key)

    def answer(text: str) -> str:
        return signature_line(key, (5).to_bytes(8, "big") + witness.key.sign(cosigned(text, 5)))

    good = with_cosignature(NOTE, answer(Note.parse(NOTE).text), key)
    assert Note.parse(good).verify(SIGNER.verifier) == 0

    with pytest.raises(AuditError, match="more than signatures"):
        with_cosignature(NOTE, f"\n{answer(NOTE)}", key)


@pytest.mark.parametrize("text", ["=cmd()", "\uff1dcmd()", "\uff0b1", "\uff20SUM(A1)", "@x", "-1+1", "+1"])
def test_37_cell_that_a_spreadsheet_would_run_is_quoted(made: Path, text: str) -> None:
    """The full-width forms count as the plain ones in some of them."""
    with LedgerReader(made) as reader:
        entry = next(reader.opened(0, 1))

    cells = table(entry, {"reason": {"text": text}}, "").rstrip("\n").split(",")

    assert cells[-1] == f"'{text}"
