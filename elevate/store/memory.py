"""A ledger in memory: the simulator of `SqliteStore`. It keeps every rule and nothing beyond the process."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

from elevate.audit import EMPTY, Origin, Sealed, merkle, seal
from elevate.audit.notes import Checkpoint, Note, Signer
from elevate.audit.proof import Proof
from elevate.errors import StoreUnwritableError
from elevate.lifecycle import is_final
from elevate.ports import Draft, Entropy, Record, Step, Stepped
from elevate.store import rows
from elevate.store.logkey import origin


class MemoryStore:
    """Keep ledger and log in memory.

    Args:
        entropy: Gives the generation.
        unwritable: Begin as a ledger on a full disk; `unwritable` can be set at any time.
    """

    def __init__(self, *, entropy: Entropy, unwritable: bool = False) -> None:
        self._generation = entropy.token_bytes(16).hex()
        self._entropy = entropy
        self._signer = Signer.make(origin(self._generation), entropy.token_bytes(32))
        self._origin = Origin(broker=self._generation)
        self._openings: list[bytes] = []
        self._lock = threading.Lock()
        self._rows: dict[str, Record] = {}
        self._log: list[bytes] = []
        self._by_request: dict[str, list[int]] = {}
        self._head = EMPTY
        self._closed = False
        self.unwritable = unwritable

    @property
    def generation(self) -> str:
        """Random name of this ledger."""
        return self._generation

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        """Insert a row with its entry, and take the steps that follow on it."""
        rows.check_new(record, *then)
        with self._lock:
            if record.request in self._rows:
                raise rows.taken(record.request)
            return self._through(record, then, entry)

    def step(self, step: Step, *then: Step) -> Stepped:
        """Compare and set one row, with its entry, and take the steps that follow on it."""
        rows.check(step, *then)
        with self._lock:
            row = self._rows.get(step.request)
            if row is None:
                raise rows.missing(step.request)
            return self._through(row, (step, *then))

    def _through(self, row: Record, steps: Sequence[Step], *before: Draft) -> Stepped:
        """Take steps that were checked to follow on one another, with an entry that may come before them."""
        if steps and not rows.expected(row, steps[0]):
            return Stepped(won=False, record=row, position=-1)
        now = rows.advanced(row, len(self._log) + len(before), *steps)
        position = self._write(*before, *(step.entry for step in steps), row=rows.digest(rows.values_of(now)))
        self._rows[row.request] = now
        return Stepped(won=True, record=now, position=position)

    def submit(self, step: Step) -> "Future[Stepped]":
        """As `step`; the future is done when this returns."""
        future: Future[Stepped] = Future()
        try:
            future.set_result(self.step(step))
        except Exception as exc:  # noqa: BLE001 - handed on, as an executor does
            future.set_exception(exc)
        return future

    def append(self, entry: Draft) -> int:
        """Write an entry that changes no row."""
        with self._lock:
            return self._write(entry)

    def record(self, request: str) -> Record | None:
        """Give a row."""
        return self._rows.get(request)

    def by_jti(self, jti: str) -> Record | None:
        """Give the row of a token."""
        return next((row for row in list(self._rows.values()) if jti and row.jti == jti), None)

    def unfinished(self) -> list[Record]:
        """Give the rows whose state is not final, oldest first."""
        return [row for row in list(self._rows.values()) if not is_final(row.state)]

    def entries(self, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """Give entries from position ``start`` on."""
        stop = None if limit is None else start + limit
        yield from self._log[start:stop]

    def entries_of(self, request: str) -> list[bytes]:
        """Give one request's entries in order."""
        return [self._log[position] for position in self._by_request.get(request, [])]

    def openings_of(self, request: str) -> list[bytes]:
        """Give what the entries of `entries_of` commit to, in the same order."""
        return [self._openings[position] for position in self._by_request.get(request, [])]

    @property
    def verifier_key(self) -> str:
        """The log's public key in text form."""
        return str(self._signer.verifier)

    def checkpoint(self) -> str:
        """Sign what is in the log now."""
        with self._lock:
            tree = merkle.Frontier()
            tree.extend(merkle.leaf(data) for data in self._log)
            return self._signer.sign(Checkpoint(origin=self._signer.name, size=tree.size, root=tree.root()).text())

    def prove(self, position: int) -> str:
        """Give a proof that an entry is in the log."""
        note = self.checkpoint()
        size = Checkpoint.parse(Note.parse(note).text).size
        hashes = merkle.inclusion(self._subtree, position, size)
        entry, openings = self._log[position], self._openings[position]
        return Proof(index=position, hashes=hashes, note=note, entry=entry, openings=openings).text()

    def head(self) -> tuple[int, str]:
        """Give the number of entries and the hash of the last one."""
        with self._lock:
            return len(self._log), self._head

    def close(self) -> None:
        """Refuse writes from now on."""
        self._closed = True

    def _subtree(self, level: int, index: int) -> bytes:
        return merkle.perfect([merkle.leaf(data) for data in self._log[index << level : (index + 1) << level]])

    def _write(self, *entries: Draft, row: str = "") -> int:
        """Write entries, all of them or none, the last one with the digest of its row; give that one's position."""
        if self.unwritable or self._closed:
            raise StoreUnwritableError("the ledger can't be written")
        head, written = self._head, list[Sealed]()
        for position, entry in enumerate(entries, len(self._log)):
            said = row if entry is entries[-1] else ""
            written.append(seal(entry, position, head, origin=self._origin, draw=self._entropy.token_bytes, row=said))
            head = written[-1].hash
        for entry, sealed in zip(entries, written, strict=True):
            if entry.request:
                self._by_request.setdefault(entry.request, []).append(len(self._log))
            self._log.append(sealed.data)
            self._openings.append(sealed.openings)
        self._head = head
        return len(self._log) - 1
