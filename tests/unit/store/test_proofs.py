"""Proofs from a stored log hold without it; checkpoints come by themselves; the key stays and is rotated by an entry."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from elevate.audit import merkle
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import check
from elevate.errors import AuditError, StoreError
from elevate.store import SqliteStore
from elevate.store.proving import prove, prove_consistency
from elevate.store.reader import LedgerReader
from elevate.store.sqlite_ledger import Ledger
from elevate.store.tree import TileReader
from elevate.testing import SeededEntropy
from tests.ledgers import draft

SIZE = 700


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    made.append(draft("first", "", actor={"user": "alice"}))
    yield made
    made.close()


def grow(store: SqliteStore, size: int) -> None:
    """Many in one commit; still no more than a group has, so that checkpoints come as they do in life."""
    for first in range(store.head()[0], size, 100):
        numbers = range(first, min(first + 100, size))
        store._writer.submit(partial(_append, numbers=numbers)).result()


def _append(ledger: Ledger, *, numbers: range) -> None:
    for number in numbers:
        ledger.append(draft(f"e{number}"))


def checkpoint(note: str) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note).text)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, SIZE])
def test_every_proof_holds_without_the_log(store: SqliteStore, size: int) -> None:
    """At the edges of tiles, too, and with the personal part open."""
    grow(store, size)
    key = VerifierKey.parse(store.verifier_key)
    for position in {0, size // 2, size - 1}:
        proven = check(store.prove(position), key)
        assert (proven.entry.seq, proven.checkpoint.size) == (position, size)
    assert check(store.prove(0), key).entry.body == {"actor": {"user": "alice"}}


def test_a_proof_of_nothing_is_refused(store: SqliteStore) -> None:
    """There is no such entry, or the checkpoint is older than it; the message says which size that has."""
    with pytest.raises(AuditError):
        store.prove(1)
    grow(store, 5)
    early = store.checkpoint()
    grow(store, 6)
    with LedgerReader(store.path) as reader, pytest.raises(AuditError, match="over 5 entries and does not cover entry 5"):
        prove(reader.connection, 5, early)


def test_a_proof_with_any_line_changed_is_refused(store: SqliteStore) -> None:
    """And so is one for another key."""
    grow(store, 20)
    text, key = store.prove(7), VerifierKey.parse(store.verifier_key)
    lines = text.split("\n")
    for at, line in enumerate(lines):
        changed = "\n".join([*lines[:at], line[:-2] + ("A" if line[-2:-1] != "A" else "B") + line[-1:], *lines[at + 1 :]])
        if changed != text:
            with pytest.raises(AuditError):
                check(changed, key)
    other = VerifierKey(name=key.name, kind=key.kind, key=b"o" * 32)
    with pytest.raises(AuditError):
        check(text, other)
    with pytest.raises(AuditError):
        check(text, key, witnesses=[other])


def test_checkpoints_come_with_every_tile(store: SqliteStore) -> None:
    """Without being asked for, signed by the log's key, and true."""
    grow(store, SIZE)
    with LedgerReader(store.path) as reader:
        notes = [note for (note,) in reader.connection.execute("SELECT note FROM checkpoints ORDER BY size")]
        tree = TileReader(reader.connection, SIZE)
        for note in map(str, notes):
            Note.parse(note).verify(VerifierKey.parse(store.verifier_key))
            assert checkpoint(note).root == tree.root(checkpoint(note).size)
    assert len(notes) == SIZE // 256


def test_any_two_checkpoints_are_consistent(store: SqliteStore) -> None:
    """The proof leads from one root to the other."""
    grow(store, SIZE)
    with LedgerReader(store.path) as reader:
        tree = TileReader(reader.connection, SIZE)
        for old, new in ((0, SIZE), (1, 2), (256, 257), (255, SIZE), (511, 513), (SIZE, SIZE)):
            proof = prove_consistency(reader.connection, old, new)
            merkle.check_consistency(old, new, tree.root(old), tree.root(new), proof)


def test_the_tree_is_the_same_after_a_restart(store: SqliteStore) -> None:
    """Its edge follows from entries and tiles; what was not signed is signed at the end."""
    grow(store, SIZE)
    before = checkpoint(store.checkpoint())
    store.append(draft("more"))
    store.close()
    again = SqliteStore(store.path, entropy=SeededEntropy(1))
    with LedgerReader(store.path) as reader:
        assert checkpoint(reader.note()).size == SIZE + 1
        assert TileReader(reader.connection, SIZE).root() == before.root
    assert checkpoint(again.checkpoint()).size == SIZE + 1
    assert again.verifier_key == store.verifier_key
    again.close()


def test_an_entry_that_fails_leaves_the_tree_as_it_was(store: SqliteStore) -> None:
    """The next root is that of the log without it."""
    with pytest.raises(AuditError):
        store.append(draft("long", "", text="x" * 70_000))
    grow(store, 300)
    with LedgerReader(store.path) as reader:
        assert checkpoint(store.checkpoint()).root == TileReader(reader.connection, 300).root()


def test_without_its_key_the_ledger_is_not_opened(store: SqliteStore) -> None:
    """A new key would be the forger's way in."""
    store.close()
    key = store.path.with_name(store.path.name + "-key")
    kept = key.read_text()
    key.unlink()
    with pytest.raises(StoreError, match="signing key"):
        SqliteStore(store.path, entropy=SeededEntropy())
    key.write_text(kept)
    with pytest.raises(StoreError, match="open to others"):
        SqliteStore(store.path, entropy=SeededEntropy())
