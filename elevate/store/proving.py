"""Proofs from a stored tree, for whoever has a connection to read with."""

import apsw

from elevate.audit import merkle
from elevate.audit.notes import Checkpoint, Note
from elevate.audit.proof import Proof
from elevate.errors import AuditError
from elevate.store.tree import TileReader


def positions_of(connection: apsw.Connection, request: str) -> list[int]:
    """Give the positions of one request's entries, in order."""
    linked = str(connection.execute("SELECT positions FROM requests WHERE request = ?", (request,)).get or "")
    loose = connection.execute("SELECT seq FROM loose WHERE request = ?", (request,))
    return sorted(int(word) for word in [*linked.split(), *(str(seq) for (seq,) in loose)])


def prove(connection: apsw.Connection, position: int, note: str) -> str:
    """Prove that an entry is in the tree of a checkpoint.

    Args:
        connection: Reads the ledger.
        position: The entry's.
        note: A signed checkpoint of this log that covers it.

    Raises:
        AuditError: There is no such entry, or it was moved to an archive.
    """
    size = Checkpoint.parse(Note.parse(note).text).size
    hashes = merkle.inclusion(TileReader(connection, size).subtree, position, size)
    data = connection.execute("SELECT data FROM entries WHERE seq = ?", (position,)).get
    openings = connection.execute("SELECT data FROM openings WHERE seq = ?", (position,)).get
    if not isinstance(data, bytes):
        raise AuditError(f"the entry {position} is in an archive", hint="look for it in the files that prune wrote")
    known = openings if isinstance(openings, bytes) else b""
    return Proof(index=position, hashes=hashes, note=note, entry=data, openings=known).text()


def prove_consistency(connection: apsw.Connection, old: int, new: int) -> list[bytes]:
    """Prove that the tree of ``old`` entries is the beginning of that of ``new``.

    Raises:
        AuditError: The sizes are not in order.
    """
    return merkle.consistency(TileReader(connection, new).subtree, old, new)
