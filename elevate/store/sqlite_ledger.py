"""The one writing connection: rows and entries inside a transaction that its caller begins and commits.

INVARIANT: a row changes only together with its entry, which holds its digest; both are in the savepoint of one operation.
INVARIANT: attacks.md row 41. Before a right is given, room in the write-ahead log is allocated on the disk for what must still
be written afterwards: the ends of all rights that are out, and denials. `Claim` says what an operation may use of it.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, cast

import apsw
import orjson

from elevate.errors import StoreUnwritableError
from elevate.lifecycle import TRANSITIONS, State, is_final
from elevate.ports import Draft, Entropy, Record, Step, Stepped
from elevate.store import logkey, rows, schema
from elevate.store.log import Log, origin_of
from elevate.store.searching import forget_stale_index, remove_index, source_of

FRAME_BYTES = 4096 + 24
GROW_BYTES = 4 * 2**20
OPERATION_BYTES = 96 * 1024
"""More than one operation can write: an entry of 64 KiB and the pages of row and indexes."""
GENERAL_BYTES = 2 * 2**20
"""Kept for requests and denials when the disk is full."""
BUSY_MS, TRUNCATE_MS = 10_000, 20
"""How long a lock is waited for; while readers are waited for, nobody else is served."""
LONE_ENDS = 256
"""So many ends are counted as if each were committed alone; the ends of more come in groups."""
END_BYTES, GROUPED_END_BYTES = 32 * 1024, 4 * 1024

_OUT = frozenset(TRANSITIONS)
"""An end is still to be written for a row in one of these."""
_GIVES = frozenset({State.ISSUED, State.REDEEMED})
_ROW = ", ".join(rows.COLUMNS)
_SELECT = f"SELECT {_ROW}, n FROM requests WHERE request = ?"  # noqa: S608 - constant names
_THERE = "SELECT 1 FROM requests WHERE request = ?"
_INSERT = f"INSERT INTO requests({_ROW}, positions, last) VALUES({', '.join('?' * len(rows.COLUMNS))}, ?, ?)"
_SET = ", ".join(f"{name} = ?" for name in rows.COLUMNS if name != "request")
_UPDATE = f"UPDATE requests SET {_SET}, positions = positions || ?, last = ? WHERE n = ? AND state = ?"  # noqa: S608 - the same


class Claim(Enum):
    """What an operation may use of the reserved room."""

    GIVES = "gives a right"
    SPEAKS = "asks or denies"
    ENDS = "ends a right"


class Ledger:
    """The writing connection of one owner; used by one thread at a time.

    Args:
        path: An existing ledger that the caller owns.
        entropy: Gives salts and keys.
    """

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self.connection = connect(path, write=True)
        pragmas = ("wal_autocheckpoint=0", "cache_size=-32768", "temp_store=MEMORY", "secure_delete=ON")
        for pragma in pragmas:
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        # After a crash or a failed sync the pages in memory may not be those on the disk: write and sync all of them anew.
        self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.wal = path.with_name(path.name + "-wal")
        self.wal_descriptor = os.open(self.wal, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.wal_pages = 0
        self.connection.set_wal_hook(self._committed)
        self._allocated = os.fstat(self.wal_descriptor).st_size
        self.path = path
        self.generation = self.meta("generation")
        forget_stale_index(self.path, source_of(self.generation, self.meta("erased")))
        self.log = Log(
            self.connection,
            signer=logkey.load(path, self.meta("key")),
            entropy=entropy,
            origin=origin_of(self.generation),
        )
        self.empty_wal = False
        self._out = self._count_out()
        self._saved = (self.log.mark(), self._out)
        self.committed = (self.log.size, self.log.previous)

    def close(self) -> None:
        """Sign what is there and close, which empties the write-ahead log."""
        try:
            if self.log.unsigned():
                self.log.sign()
        except apsw.Error:  # what is not signed now is signed after the next start
            pass
        self.connection.close()
        os.close(self.wal_descriptor)

    def begin(self) -> None:
        """Begin a group."""
        self.connection.execute("BEGIN IMMEDIATE")
        self.log.sign_when_due()

    def commit(self) -> None:
        """Make the group durable."""
        self.connection.execute("COMMIT")
        self._saved = (self.log.mark(), self._out)
        self.committed = (self.log.size, self.log.previous)

    def settle(self) -> None:
        """Do what follows a commit.

        A key that was rotated is taken up; of what was erased nothing stays in the write-ahead log.

        Raises:
            apsw.BusyError: A reader holds the write-ahead log; the next call tries again, and so does the next start.
        """
        key = self.meta("key")
        if key != str(self.log.signer.verifier):
            logkey.settle(self.path)
            self.log.signer = logkey.load(self.path, key)
        if self.empty_wal:
            # SECURITY: after the commit, or a search that runs meanwhile makes an index of what is being erased.
            remove_index(self.path)
            self.connection.set_busy_timeout(TRUNCATE_MS)
            try:
                self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            finally:
                self.connection.set_busy_timeout(BUSY_MS)
            self.empty_wal = False
            self.wal_pages = self._allocated = 0

    def move_pages(self) -> None:
        """Move what is left in the write-ahead log, so that it can begin anew; without effect while readers hold it."""
        try:
            self.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            return

    def rollback(self) -> None:
        """Forget what was not committed."""
        if not self.connection.get_autocommit():
            self.connection.execute("ROLLBACK")
        mark, self._out = self._saved
        self.log.restore(mark)

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One operation of a group: it is whole or it is not there, and its neighbours are not touched."""
        mark, out = self.log.mark(), self._out
        self.connection.execute("SAVEPOINT operation")
        try:
            yield
        except BaseException:
            if not self.connection.get_autocommit():
                self.connection.execute("ROLLBACK TO operation; RELEASE operation")
                self.log.restore(mark)
                self._out = out
            raise
        self.connection.execute("RELEASE operation")

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        """Insert a row with its entry, and with those of what follows on it."""
        self._claim(Claim.SPEAKS)
        if self.connection.execute(_THERE, (record.request,)).get:
            raise rows.taken(record.request)
        row = rows.advanced(record, self.log.size + 1, *then)
        values = rows.values_of(row)
        digest = rows.digest(values)
        positions = [self.log.write(entry, row="" if then else digest)]
        self._out += 1
        positions += self._write(then, digest)
        self.connection.execute(_INSERT, (*values, " ".join(map(str, positions)), positions[-1]))
        return Stepped(won=True, record=row, position=positions[-1])

    def step(self, step: Step, *then: Step) -> Stepped:
        """Compare and set one row, with its entry, and with those of what follows on it."""
        found = self._row(step.request)
        if found is None:
            raise rows.missing(step.request)
        before, number = found
        if not rows.expected(before, step):
            return Stepped(won=False, record=before, position=-1)
        row = rows.advanced(before, self.log.size, step, *then)
        values = rows.values_of(row)
        positions = self._write((step, *then), rows.digest(values))
        changed = [value for name, value in zip(rows.COLUMNS, values, strict=True) if name != "request"]
        named = "".join(f" {position}" for position in positions)
        self.connection.execute(_UPDATE, (*changed, named, positions[-1], number, step.before.value))
        if self.connection.changes() != 1:
            raise StoreUnwritableError("the ledger changed under its writer")
        return Stepped(won=True, record=row, position=positions[-1])

    def _write(self, steps: Sequence[Step], row: str) -> list[int]:
        """Write the entries of steps, the last one with the digest of the row that they leave; give their positions."""
        positions: list[int] = []
        for step in steps:
            self._claim(_claim_of(step))
            positions.append(self.log.write(step.entry, row=row if step is steps[-1] else ""))
            self._out += (step.after in _OUT) - (step.before in _OUT)
        return positions

    def append(self, entry: Draft) -> int:
        """Write an entry that changes no row."""
        self._claim(Claim.SPEAKS)
        position = self.log.write(entry)
        if entry.request:
            self._link(entry.request, position)
        return position

    def meta(self, name: str) -> str:
        """Give a value of the table ``meta``; empty where it is not there."""
        return str(self.connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).get or "")

    def _link(self, request: str, position: int) -> None:
        self.connection.execute("UPDATE requests SET positions = positions || ? WHERE request = ?", (f" {position}", request))
        if self.connection.changes() == 0:
            self.connection.execute("INSERT INTO loose(request, seq) VALUES(?, ?)", (request, position))

    def _row(self, request: str) -> tuple[Record, int] | None:
        for values in self.connection.execute(_SELECT, (request,)):
            return read_row(values), cast("int", values[-1])
        return None

    def _count_out(self) -> int:
        marks = ", ".join(f"'{state.value}'" for state in _OUT)
        return int(self.connection.execute(f"SELECT count(*) FROM requests WHERE state IN ({marks})").get)  # noqa: S608 - the same

    def _claim(self, claim: Claim) -> None:
        """Make sure of the room, or refuse before anything is written."""
        ends = min(self._out + 1, LONE_ENDS) * END_BYTES + self._out * GROUPED_END_BYTES
        kept = 0 if claim is Claim.ENDS else ends + GENERAL_BYTES * (claim is Claim.GIVES)
        used = 32 + self.wal_pages * FRAME_BYTES + self._uncommitted()
        wanted = used + OPERATION_BYTES + kept
        if wanted <= self._allocated:
            return
        try:
            os.posix_fallocate(self.wal_descriptor, 0, wanted + GROW_BYTES)
        except OSError as exc:
            if claim is not Claim.ENDS:
                raise StoreUnwritableError(f"no room is left to record it: {exc.strerror}") from exc
        self._allocated = os.fstat(self.wal_descriptor).st_size

    def _uncommitted(self) -> int:
        return (self.log.size - self.committed[0]) * 16 * 1024

    def _committed(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self.wal_pages = pages
        return apsw.SQLITE_OK


def connect(path: Path, *, write: bool) -> apsw.Connection:
    """Connect to a ledger, with every commit synced.

    Raises:
        StoreForeignError: It is to be written, and holds what is not ours.
    """
    flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(str(path), flags=flags | apsw.SQLITE_OPEN_NOFOLLOW)
    connection.set_busy_timeout(BUSY_MS)
    for pragma in ("synchronous=FULL", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    if write:
        schema.check(connection)
    else:
        connection.execute("SELECT count(*) FROM meta").fetchall()
    return connection


def read_row(values: Sequence[object]) -> Record:
    """Give a row of the table ``requests``, whose columns come in the order of `rows.COLUMNS`."""
    members: dict[str, Any] = dict(zip(rows.COLUMNS, values, strict=False))
    members["state"] = State(members["state"])
    members["result"] = orjson.loads(members["result"])
    return Record(**members)


def _claim_of(step: Step) -> Claim:
    if step.after in _GIVES:
        return Claim.GIVES
    return Claim.ENDS if step.before in _OUT or is_final(step.after) else Claim.SPEAKS
