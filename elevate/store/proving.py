"""Proofs from a stored tree, for whoever has a connection to read with."""

from collections.abc import Sequence

import apsw

from elevate.audit import merkle
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import Proof
from elevate.audit.rotation import Rotation
from elevate.errors import AuditError
from elevate.store.tree import TileReader


def positions_of(connection: apsw.Connection, request: str) -> list[int]:
    """Give the positions of one request's entries, in order."""
    linked = str(connection.execute("SELECT positions FROM requests WHERE request = ?", (request,)).get or "")
    loose = connection.execute("SELECT seq FROM loose WHERE request = ?", (request,))
    return sorted(int(word) for word in [*linked.split(), *(str(seq) for (seq,) in loose)])


def prove(connection: apsw.Connection, position: int, note: str, *, data: bytes | None = None) -> str:
    """Prove that an entry is in the tree of a checkpoint.

    Args:
        connection: Reads the ledger.
        position: The entry's.
        note: A signed checkpoint of this log that covers it.
        data: The entry, where it was archived.

    Raises:
        AuditError: There is no such entry, or it was moved to an archive.
    """
    size = Checkpoint.parse(Note.parse(note).text).size
    if position >= size:
        hint = "the broker signs one every 256 entries, with each heartbeat, when it is asked for one, and when it stops"
        raise AuditError(f"the checkpoint is over {size} entries and does not cover entry {position}", hint=hint)
    tree = TileReader(connection, size)
    hashes = merkle.inclusion(tree.subtree, position, size)
    data = data or connection.execute("SELECT data FROM entries WHERE seq = ?", (position,)).get
    openings = connection.execute("SELECT data FROM openings WHERE seq = ?", (position,)).get
    if not isinstance(data, bytes):
        raise AuditError(f"the entry {position} is in an archive", hint="look for it in the files that prune wrote")
    merkle.check_inclusion(merkle.leaf(data), position, size, hashes, tree.root())
    known = openings if isinstance(openings, bytes) else b""
    rotations = _rotations(connection, size)
    return Proof(index=position, hashes=hashes, note=note, entry=data, openings=known, rotations=rotations).text()


def _rotations(connection: apsw.Connection, size: int) -> list[Rotation]:
    """Give how the log's keys hand over up to the one that signs at this size."""
    query = "SELECT seq, old, new, signature FROM rotations WHERE seq < ? ORDER BY seq"
    return [
        dict(zip(("position", "old", "new", "signature"), found, strict=True)) for found in connection.execute(query, (size,))
    ]


def ticks(connection: apsw.Connection, entries: Sequence[tuple[int, bytes]]) -> list[bool | None]:
    """Say of each entry whether the last checkpoint proves it; None where none covers it yet.

    Args:
        connection: Reads the ledger.
        entries: Positions and bytes.
    """
    found = connection.execute("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1").fetchall()
    if not found:
        return [None] * len(entries)
    size, note = int(str(found[0][0])), Note.parse(str(found[0][1]))
    keys = [str(key) for (key,) in connection.execute("SELECT value FROM meta WHERE name IN ('first_key', 'key')")]
    keys += [str(key) for (key,) in connection.execute("SELECT new FROM rotations")]
    if not any(note.signed_by(key) and note.verify(key) == 0 for key in map(VerifierKey.parse, keys)):
        return [False] * len(entries)
    tree, checkpoint = TileReader(connection, size), Checkpoint.parse(note.text)
    return [_proven(tree, position, data, checkpoint) if position < size else None for position, data in entries]


def _proven(tree: TileReader, position: int, data: bytes, checkpoint: Checkpoint) -> bool:
    proof = merkle.inclusion(tree.subtree, position, checkpoint.size)
    try:
        merkle.check_inclusion(merkle.leaf(data), position, checkpoint.size, proof, checkpoint.root)
    except AuditError:
        return False
    return True


def prove_consistency(connection: apsw.Connection, old: int, new: int) -> list[bytes]:
    """Prove that the tree of ``old`` entries is the beginning of that of ``new``.

    Raises:
        AuditError: The sizes are not in order.
    """
    return merkle.consistency(TileReader(connection, new).subtree, old, new)
