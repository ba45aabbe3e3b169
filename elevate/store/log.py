"""The append-only part of a ledger: entries with their openings, the tree over them, and signed checkpoints.

Used inside the transactions of the one writer. A checkpoint is signed over what was committed before, at least once for every
tile of 256 entries, so that one that is missing shows.
"""

import hashlib
import hmac
from pathlib import Path

import apsw

from elevate.audit import EMPTY, Origin, leaf_hash, seal
from elevate.audit.notes import Checkpoint, Note, Signer
from elevate.ports import Draft, Entropy
from elevate.store.tree import TILE, TileWriter

_APPLICATION = b"elevate audit log machine id v1"
Mark = tuple[int, str, int]


class Log:
    """What the writer appends to.

    Args:
        connection: The writing connection.
        signer: The log's key.
        entropy: Gives salts.
        origin: Where entries are written.
    """

    def __init__(self, connection: apsw.Connection, *, signer: Signer, entropy: Entropy, origin: Origin) -> None:
        self._connection = connection
        self._entropy = entropy
        self._origin = origin
        self.signer = signer
        self.size, self.previous = _read_head(connection)
        self._signed = int(connection.execute("SELECT coalesce(max(size), 0) FROM checkpoints").get)
        self._tree = TileWriter(connection, self.size)

    def write(self, draft: Draft, *, row: str = "") -> int:
        """Append an entry; give its position. ``row`` is the digest of the row that its step leaves."""
        sealed = seal(draft, self.size, self.previous, origin=self._origin, draw=self._entropy.token_bytes, row=row)
        self._connection.execute("INSERT INTO entries(seq, data) VALUES(?, ?)", (self.size, sealed.data))
        if sealed.openings:
            self._connection.execute("INSERT INTO openings(seq, data) VALUES(?, ?)", (self.size, sealed.openings))
        self._tree.add(bytes.fromhex(sealed.hash))
        self.previous = sealed.hash
        self.size += 1
        return self.size - 1

    def sign(self) -> str:
        """Give a checkpoint over all entries, and keep it; where it is signed already, that one."""
        if self.size == self._signed:
            kept = self._connection.execute("SELECT note FROM checkpoints WHERE size = ?", (self.size,)).get
            if isinstance(kept, str) and Note.parse(kept).signed_by(self.signer.verifier):
                return kept
        checkpoint = Checkpoint(origin=self.signer.name, size=self.size, root=self._tree.root())
        note = self.signer.sign(checkpoint.text())
        self._connection.execute("INSERT OR REPLACE INTO checkpoints VALUES(?, ?)", (self.size, note))
        self._signed = self.size
        return note

    def sign_when_due(self) -> None:
        """Sign where a tile has been filled since the last checkpoint; called before anything is appended."""
        if self.size // TILE > self._signed // TILE:
            self.sign()

    def unsigned(self) -> bool:
        """Say whether entries have come since the last checkpoint."""
        return self.size > self._signed

    def mark(self) -> Mark:
        """Give what `restore` needs."""
        return self.size, self.previous, self._signed

    def restore(self, mark: Mark) -> None:
        """Go back to a mark, after the connection has been rolled back to it."""
        self.size, self.previous, self._signed = mark
        if self._tree.size != self.size:
            self._tree = TileWriter(self._connection, self.size)


def origin_of(generation: str) -> Origin:
    """Give what entries say of where they are written: this boot, this ledger, and this machine by a hash of its id."""
    boot = _read(Path("/proc/sys/kernel/random/boot_id"))
    machine = _read(Path("/etc/machine-id"))
    # machine-id(5): never hand the id on itself.
    hashed = hmac.digest(machine.encode(), _APPLICATION, hashlib.sha256).hex()[:32] if machine else ""
    return Origin(boot=boot, broker=generation, machine=hashed)


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _read_head(connection: apsw.Connection) -> tuple[int, str]:
    for seq, data in connection.execute("SELECT seq, data FROM entries ORDER BY seq DESC LIMIT 1"):
        if isinstance(seq, int) and isinstance(data, bytes):
            return seq + 1, leaf_hash(data)
    return 0, EMPTY
