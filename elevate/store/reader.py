"""Read a ledger that somebody else may own at the moment, without changing it.

Works beside a running broker, with no broker, on what a crash left, and on a copy on a medium that can't be written.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from elevate.audit import Entry, opened
from elevate.audit.entry import as_bytes
from elevate.errors import AuditError, StoreError, StoreForeignError, StoreNewerError
from elevate.store.proving import positions_of, prove_consistency
from elevate.store.sqlite_file import APPLICATION_ID, STATE_FORMAT

WITH_OPENINGS = (
    "SELECT e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq"
)
_OPENED = (
    "SELECT e.seq, e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq"
    " WHERE e.seq > ? AND e.seq < ? ORDER BY e.seq LIMIT ?"
)
_DAMAGED = "keep a copy, and go back to one that verifies"
_LAST = (
    "SELECT e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq"
    " WHERE e.seq > ? AND instr(e.data, CAST(? AS BLOB)) ORDER BY e.seq DESC LIMIT 1"
)
_AT = "SELECT e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq WHERE e.seq IN "
PAGE_ENTRIES, AT_ONCE = 2048, 256
MIN_PREFIX = 6


class LedgerReader:
    """A reading connection to a ledger file.

    Args:
        path: The file.

    Raises:
        StoreForeignError: It is not a ledger.
        StoreNewerError: A newer elevate wrote it.
        StoreError: It can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = _connect(path)

    def __enter__(self) -> Self:
        """Close at the end of the block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def size(self) -> int:
        """Give the number of entries."""
        return int(self.connection.execute("SELECT coalesce(max(seq) + 1, 0) FROM entries").get)

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Give the bytes of the entries in order of their positions, as stored; no long transaction is held meanwhile."""
        last, stop = start - 1, 2**62 if stop is None else stop
        query = "SELECT seq, data FROM entries WHERE seq > ? AND seq < ? ORDER BY seq LIMIT ?"
        while page := self.rows(query, last, stop, PAGE_ENTRIES):
            yield from (as_bytes(data) for _, data in page)
            last = page[-1][0]

    def pairs(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Give entries in order with their openings, as stored."""
        last, stop = start - 1, 2**62 if stop is None else stop
        while page := self.rows(_OPENED, last, stop, PAGE_ENTRIES):
            yield from ((as_bytes(data), as_bytes(openings)) for _, data, openings in page)
            last = page[-1][0]

    def opened(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Give entries in order with what is still open of them.

        Raises:
            AuditError: An entry or an opening is damaged.
        """
        return (opened(data, openings) for data, openings in self.pairs(start, stop))

    def opened_of(self, request: str) -> list[Entry]:
        """Give one request's entries in order with what is still open of them."""
        return [opened(data, openings) for data, openings in self.pairs_of(request)]

    def pairs_of(self, request: str) -> list[tuple[bytes, bytes]]:
        """Give one request's entries in order with their openings, as stored; archived ones are left out."""
        positions, found = positions_of(self.connection, request), []
        # Few queries for all of them: the life of a token is asked for more often than anything else.
        for first in range(0, len(positions), AT_ONCE):
            some = positions[first : first + AT_ONCE]
            found += self.rows(f"{_AT}({', '.join('?' * len(some))}) ORDER BY e.seq", *some)
        return [(as_bytes(data), as_bytes(openings)) for data, openings in found]

    def last_of(self, event: str = "", *, after: int = -1) -> Entry | None:
        """Give the last entry of an event, opened; of any where none is named; None where there is none after that position."""
        mark = f'"event":"{event}"' if event else '"event":'
        for data, openings in self.rows(_LAST, after, mark):
            return opened(as_bytes(data), as_bytes(openings))
        return None

    def note(self) -> str:
        """Give the last checkpoint that the broker signed.

        Raises:
            AuditError: There is none yet.
        """
        for (note,) in self.rows("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1"):
            return str(note)
        raise AuditError("the log has no checkpoint yet", hint="the broker signs one every 256 entries, and when it stops")

    def keys(self) -> list[str]:
        """Give the log's keys in text form, the first one first, as the ledger names them."""
        return [self.meta("first_key"), *(str(new) for (new,) in self.rows("SELECT new FROM rotations ORDER BY seq"))]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that the log of ``old`` entries is the beginning of that of ``new``.

        Raises:
            AuditError: The log never had these sizes.
        """
        if new > self.size():
            raise AuditError(f"the log has {self.size()} entries, not {new}", hint="the log was cut, or is an older copy")
        return prove_consistency(self.connection, old, new)

    def meta(self, name: str) -> str:
        """Give a value of the table ``meta``; empty where it is not there."""
        return next((str(value) for (value,) in self.rows("SELECT value FROM meta WHERE name = ?", name)), "")

    def find(self, name: str) -> str:
        """Give the request that ``name`` means: its id, the beginning of it, the id of its token, or a position.

        Raises:
            AuditError: None, or more than one.
        """
        if len(name) < MIN_PREFIX and not name.isdecimal():
            raise AuditError(f"give at least {MIN_PREFIX} characters of the id", hint="elevate audit tail shows the ids")
        # One query for each index: joined by OR they would read the whole table.
        queries = (
            ("SELECT request FROM requests WHERE jti = ? AND jti <> ''", (name,)),
            ("SELECT request FROM requests WHERE request >= ? AND request < ? LIMIT 2", (name, name + "g")),
            ("SELECT request FROM loose WHERE request = ? LIMIT 1", (name,)),
        )
        found = sorted({str(request) for query, values in queries for (request,) in self.rows(query, *values)})
        if len(found) != 1:
            word = "more than one request begins" if found else "no request or token is named"
            raise AuditError(f"{word} {name}", hint="elevate audit tail shows the ids")
        return found[0]

    @contextmanager
    def each(self, query: str, *values: str | int) -> Iterator[Iterator[tuple[Any, ...]]]:
        """Give the rows of a query one by one, inside of the block.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            yield iter(self.connection.execute(query, values))
        except (apsw.Error, UnicodeDecodeError) as exc:
            raise StoreError("the ledger's file is damaged", hint=_DAMAGED, detail=str(exc)) from exc

    def rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        """Give all rows of a query.

        Raises:
            StoreError: The file is damaged.
        """
        try:
            return self.connection.execute(query, values).fetchall()
        except (apsw.Error, UnicodeDecodeError) as exc:
            raise StoreError("the ledger is damaged", hint="see: elevate audit verify", detail=str(exc)) from exc


def _connect(path: Path) -> apsw.Connection:
    try:
        connection = _open(path)
        connection.set_busy_timeout(5_000)
        mark = connection.execute("PRAGMA application_id").get
        version = int(connection.execute("PRAGMA user_version").get)
    except apsw.NotADBError as exc:
        raise StoreForeignError(f"{path.name} is not a ledger of elevate") from exc
    except apsw.Error as exc:
        raise StoreError(f"{path} can't be read", hint="only its owner can; is it there?", detail=str(exc)) from exc
    if mark != APPLICATION_ID:
        connection.close()
        raise StoreForeignError(f"{path.name} is not a ledger of elevate")
    if version > STATE_FORMAT:
        connection.close()
        raise StoreNewerError(f"{path.name} has the state format {version}; this elevate knows {STATE_FORMAT}")
    return connection


def _open(path: Path) -> apsw.Connection:
    wal = path.with_name(path.name + "-wal")
    if wal.exists() or os.access(path.parent, os.W_OK):
        return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_NOFOLLOW)
    # Nothing can be written beside it and nothing is: the file alone is all there is.
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW
    return apsw.Connection(path.absolute().as_uri() + "?immutable=1", flags=flags)
