"""The default ledger and log: one SQLite file with its write-ahead log, every commit synced, one writer thread.

Reading never waits for the writer: readers have connections of their own and see what was last committed.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from pathlib import Path

import apsw

from elevate.audit.body import Body
from elevate.audit.entry import Entry
from elevate.audit.query import parse as parse_query
from elevate.errors import AuditError, ElevateError, StoreError, StoreUnwritableError
from elevate.lifecycle import TRANSITIONS
from elevate.ports import Draft, Entropy, Instant, Record, Step, Stepped
from elevate.store import keeping, rows
from elevate.store.eraser import Alone, Eraser
from elevate.store.erasing import Erased, unfinished
from elevate.store.proving import positions_of, prove
from elevate.store.reader import LedgerReader
from elevate.store.searching import search
from elevate.store.sqlite_file import OwnedFile
from elevate.store.sqlite_ledger import Ledger, connect, read_row
from elevate.store.sqlite_writer import Writer

PAGE_ENTRIES = 512
_ROW = ", ".join(rows.COLUMNS)
_OPEN = ", ".join(f"'{state.value}'" for state in TRANSITIONS)


class SqliteStore:
    """Open a ledger, or make a new one. This process then owns it until `close`.

    Args:
        path: The file; its folder must be there, and only its owner may write it.
        entropy: Gives a new ledger its generation.

    Raises:
        StoreForeignError: What is there is not our ledger, or others can change it; it was not touched.
        StoreNewerError: A newer elevate wrote it; it was not touched.
        StoreUnwritableError: It can't be made or written.
        StoreError: Another process owns it, or it is damaged.
    """

    def __init__(self, path: Path, *, entropy: Entropy) -> None:
        self._file = OwnedFile(path, entropy)
        self._entropy = entropy
        self._readers: list[apsw.Connection] = []
        self._lock = threading.Lock()
        try:
            self._ledger = _open(self._file, entropy)
        except BaseException:
            self._file.close()
            raise
        self._mover, self._moving = connect(self._file.path, write=True), threading.Lock()
        broken_off = unfinished(self._ledger)
        self._writer = Writer(self._ledger, self._file, self._checkpoint)
        self._closed = False
        self._eraser = Eraser(self._file.path, self._writer.submit, self._checkpoint)
        if broken_off is not None:
            self._eraser.resume(broken_off)

    @property
    def generation(self) -> str:
        """Random name of this ledger, made with the file."""
        return self._ledger.generation

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        """Insert a row in `State.REQUESTED` with its entry, and take the steps that follow on it."""
        rows.check_new(record, *then)
        return self._writer.run(lambda ledger: ledger.open_request(record, entry, *then))

    def step(self, step: Step, *then: Step) -> Stepped:
        """Compare and set one row, with its entry, and what follows on it."""
        rows.check(step, *then)
        return self._writer.run(lambda ledger: ledger.step(step, *then))

    def submit(self, step: Step) -> "Future[Stepped]":
        """As `step`, for callers that do not block."""
        try:
            rows.check(step)
            return self._writer.submit(lambda ledger: ledger.step(step))
        except ElevateError as exc:
            refused: Future[Stepped] = Future()
            refused.set_exception(exc)
            return refused

    def append(self, entry: Draft) -> int:
        """Write an entry that changes no row; give its position."""
        return self._writer.run(lambda ledger: ledger.append(entry))

    def record(self, request: str) -> Record | None:
        """Give the row as last committed."""
        return next(iter(self._select("request = ?", request)), None)

    def by_jti(self, jti: str) -> Record | None:
        """Give the row of a token as last committed."""
        return next(iter(self._select("jti = ? AND jti <> ''", jti)), None)

    def unfinished(self) -> list[Record]:
        """Give the rows whose state is not final, oldest first."""
        return self._select(f"state IN ({_OPEN}) ORDER BY n")

    def entries(self, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """Give the canonical bytes of the entries from position ``start`` on."""
        stop = 2**62 if limit is None else start + limit
        while start < stop:
            with self._reading() as connection:
                query = "SELECT data FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
                page = [bytes(data) for (data,) in connection.execute(query, (start, stop, PAGE_ENTRIES))]
            yield from page
            if len(page) < PAGE_ENTRIES:
                return
            start += len(page)

    def entries_of(self, request: str) -> list[bytes]:
        """Give one request's entries in order."""
        with self._reading() as connection:
            query = "SELECT data FROM entries WHERE seq = ?"
            found = (connection.execute(query, (position,)).get for position in positions_of(connection, request))
            return [data for data in found if isinstance(data, bytes)]

    def openings_of(self, request: str) -> list[bytes]:
        """Give what the entries of `entries_of` commit to, in the same order; empty where there is nothing, or no more."""
        with self._reading() as connection:
            query = "SELECT o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq WHERE e.seq = ?"
            found = (connection.execute(query, (position,)).fetchall() for position in positions_of(connection, request))
            return [data if isinstance(data, bytes) else b"" for rows_found in found for (data,) in rows_found]

    def checkpoint(self) -> str:
        """Sign what is in the log now; give the note."""
        return self._writer.run(lambda ledger: ledger.log.sign())

    @property
    def verifier_key(self) -> str:
        """The log's public key in text form; keep it outside, and the log can be told from a forged one."""
        return str(self._ledger.log.signer.verifier)

    def search(self, words: str, at: Instant, *, before: int | None = None) -> Iterator[Entry]:
        """Give the entries that words mean, as ``user:alice outcome:denied since:24h``, the newest first, all of them.

        Args:
            words: As `elevate.audit.query.parse` reads them.
            at: What ``since:24h`` counts back from.
            before: Go on below this position, the last one that an earlier search gave.

        Raises:
            AuditError: A key that there is not, or a time that can't be read.
        """
        query = parse_query(words, at.unix_us)
        with LedgerReader(self.path) as reader:
            yield from search(reader, query, before=before)

    def rotate_key(self, at: Instant, by: Body | None = None) -> str:
        """Hand over to a new log key by an entry that the old one signs; give the new one. ``by`` as for `erase`."""
        seed = self._entropy.token_bytes(keeping.SEED_BYTES)
        return self._writer.submit(lambda ledger: keeping.rotate_key(ledger, at, seed, by or {}), settles=True).result()

    def erase(self, subject: str, at: Instant, by: Body | None = None, *, alone: Alone = nullcontext) -> Erased:
        """Delete what opens a person's entries, by user name or SID; no file of the ledger holds it afterwards.

        It is done in steps, and others are served in between. What a crash breaks off goes on at the next start.

        Args:
            subject: Of whom nothing is to stay.
            at: When.
            by: Who does it, as `elevate.audit.body.actor` gives it.
            alone: Keeps readers away, for the moment in which the write-ahead log is emptied and the search index removed.

        Raises:
            AuditError: Nobody of that name is in the log, a request of theirs has not ended, or another erasure goes on.
        """
        if not subject:
            raise AuditError("nobody has no name", hint="give the user's name or SID as it was logged")
        return self._eraser.erase(subject, at, by or {}, alone)

    def prunable(self, before: int) -> int:
        """Give how far `prune` would go."""
        with self._reading() as connection:
            return keeping.prunable(connection, self.head()[0], before)

    def prune(self, before: int, at: Instant, by: Body | None = None, *, alone: Alone = nullcontext) -> int:
        """Take out entries that were archived, in steps; give where the log now begins. ``by`` and ``alone`` as for `erase`."""
        return self._eraser.prune(self.prunable(before), at, by or {}, alone)

    def prove(self, position: int) -> str:
        """Give a proof, as a C2SP tlog-proof, that an entry is in the log, with all that it still opens.

        Raises:
            AuditError: There is no such entry.
        """
        note = self.checkpoint()
        with self._reading() as connection:
            return prove(connection, position, note)

    def head(self) -> tuple[int, str]:
        """Give the number of entries and the hash of the last one, as last committed."""
        return self._ledger.committed

    def close(self) -> None:
        """Finish what is queued and close; twice is the same as once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._eraser.stop()
        self._writer.close()
        with self._moving:
            self._mover.close()
        for connection in self._readers:
            connection.close()
        self._ledger.close()
        self._file.close()

    def _checkpoint(self) -> None:
        try:
            with self._moving:
                self._mover.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error:
            return  # The pages stay in the write-ahead log, whose room the ledger watches; the next one tries again.

    def _select(self, where: str, *values: str) -> list[Record]:
        with self._reading() as connection:
            query = f"SELECT {_ROW} FROM requests WHERE {where}"  # noqa: S608 - constant text, values are bound
            return [read_row(found) for found in connection.execute(query, values)]

    @contextmanager
    def _reading(self) -> Iterator[apsw.Connection]:
        """Lend a reading connection; no other thread uses it meanwhile."""
        if self._closed:
            raise StoreError("the ledger is closed")
        connection = self._reader()
        try:
            yield connection
        except apsw.Error as exc:
            raise StoreError("the ledger can't be read", detail=str(exc)) from exc
        finally:
            self._readers.append(connection)

    def _reader(self) -> apsw.Connection:
        try:
            return self._readers.pop()
        except IndexError:
            pass
        try:
            return connect(self._file.path, write=False)
        except apsw.Error as exc:
            raise StoreError("the ledger can't be read", detail=str(exc)) from exc


def _open(file: OwnedFile, entropy: Entropy) -> Ledger:
    try:
        ledger = Ledger(file.path, entropy)
    except apsw.Error as exc:
        if isinstance(exc, apsw.CorruptError | apsw.NotADBError | apsw.SQLError):
            raise StoreError("the ledger is damaged", hint="see: elevate audit verify", detail=str(exc)) from exc
        raise StoreUnwritableError("the ledger can't be opened for writing", detail=str(exc)) from exc
    file.know(ledger.wal, ledger.wal_descriptor)
    return ledger
