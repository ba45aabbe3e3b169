"""Drives what would hold the writer long, an erasure or a pruning, step by step; it serves everybody else in between."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from elevate.audit.body import Body
from elevate.errors import AuditError, ElevateError, StoreError, StoreUnwritableError
from elevate.ports import Instant
from elevate.store import erasing, keeping
from elevate.store.erasing import Erased, Erasure, Named
from elevate.store.lost import lost_below
from elevate.store.reader import LedgerReader
from elevate.store.sqlite_ledger import Ledger

MANY_PAGES = 256
"""With more in the write-ahead log an erasure waits until they have been moved to the file."""
PAUSE_SECONDS, PAUSES = 0.05, 200
"""How long, and how often, a reader that holds the write-ahead log is waited for."""

MORE_ROUNDS = 2
"""What is written of a person meanwhile is erased, too, so often; then the answer says that there is more."""

MIN_ROWS, MAX_ROWS, MAX_TILES = 32, 1024, 4
SHORT_SECONDS, LONG_SECONDS = 0.002, 0.004
"""Steps that take less become larger, steps that take more smaller: an elevation may have to wait for two of them."""
STEP_PAGES = 64
"""And steps that change more pages become smaller, too: these are written and synced in the same commit."""

T = TypeVar("T")
Alone = Callable[[], AbstractContextManager[object]]


class Submit(Protocol):
    """Hands work to the writer."""

    def __call__(self, work: Callable[[Ledger], T], /, *, settles: bool = False) -> "Future[T]":
        """Give what will be its result."""


class Eraser:
    """Erases, one person at a time.

    Args:
        path: The ledger.
        submit: Hands work to the writer.
        move: Moves pages from the write-ahead log to the file, in the caller's thread.
    """

    def __init__(self, path: Path, submit: Submit, move: Callable[[], None]) -> None:
        self._path = path
        self._submit = submit
        self._move = move
        self._stopped = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pages = self._grown = 0

    def erase(self, subject: str, at: Instant, by: Body, alone: Alone = nullcontext) -> Erased:
        """Erase a person; the end of it inside of ``alone``, where nobody may read.

        Raises:
            AuditError: Nobody of that name is in the log, a request of theirs has not ended, or another erasure goes on.
            StoreUnwritableError: The ledger was closed meanwhile; the next start goes on.
        """
        if not self._turn.acquire(blocking=False):
            raise AuditError("another erasure has not ended yet", hint="wait for its end: an entry `erased` in the log")
        try:
            if (before := self._submit(erasing.unfinished).result()) is not None:
                self._finish(before)
            with LedgerReader(self._path) as reader:
                size, last = erasing.reach(reader)
                named = erasing.look(reader, subject, size=size, last=last)
            erasure = Erasure(subject=subject, at=at, by=by, size=size, last=last)
            self._submit(lambda ledger: erasing.begin(ledger, erasure, named)).result()
            return self._go_on(subject, named, alone)
        finally:
            self._turn.release()

    def prune(self, stop: int, at: Instant, by: Body, alone: Alone = nullcontext) -> int:
        """Take out the entries below a position, some tiles at a time; give the position at which the log now begins.

        Where it breaks off the log begins in between; what is left of what was archived goes with the next time.

        Raises:
            AuditError: An erasure goes on.
            StoreUnwritableError: The ledger was closed meanwhile.
        """
        if not self._turn.acquire(blocking=False):
            raise AuditError("an erasure has not ended yet", hint="wait for its end: an entry `erased` in the log")
        try:
            with LedgerReader(self._path) as reader:
                lost = lost_below(reader, stop)
            begins = self._step(lambda ledger: keeping.begin_prune(ledger, stop, at, by, lost))
            pace = _Pace(1, MAX_TILES)
            while begins < stop:
                begins, seconds = self._step(_timed(partial(keeping.prune, tiles=pace.count, stop=stop)))
                pace.tell(seconds, self._grown)
            with alone():
                self.empty_wal()
        finally:
            self._turn.release()
        return begins

    def resume(self, erasure: Erasure) -> None:
        """Go on with what a crash broke off, beside everything else."""
        self._turn.acquire()
        self._thread = threading.Thread(target=self._resume, args=(erasure,), name="ledger-eraser", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the step that is being done."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def empty_wal(self) -> None:
        """Empty the write-ahead log of what was deleted.

        Raises:
            StoreError: A reader holds it.
        """
        for pause in range(PAUSES):
            self._move()
            try:
                return self._submit(lambda _: None, settles=True).result()
            except StoreUnwritableError:
                raise
            except StoreError:
                if pause == PAUSES - 1 or self._stopped.wait(PAUSE_SECONDS):
                    raise
        return None

    def _resume(self, erasure: Erasure) -> None:
        try:
            self._finish(erasure)
        except ElevateError:
            return  # It stands in the ledger still: the next erasure and the next start try again.
        finally:
            self._turn.release()

    def _finish(self, erasure: Erasure) -> None:
        with LedgerReader(self._path) as reader:
            named = erasing.look(reader, erasure.subject, size=erasure.size, last=erasure.last)
        self._go_on(erasure.subject, named)

    def _go_on(self, subject: str, named: Named, alone: Alone = nullcontext) -> Erased:
        self._forget(named)
        for _ in range(MORE_ROUNDS):
            if (more := self._written_meanwhile(subject)) is None:
                break
            self._forget(more)
        with alone():
            erased = self._step(erasing.finish)
            self.empty_wal()
        with LedgerReader(self._path) as reader:
            later = sum(1 for _ in erasing.named_from(reader, subject, erased.before, reader.size()))
        return replace(erased, later=later)

    def _forget(self, named: Named) -> None:
        for requests, seqs in erasing.steps(named):
            self._step(partial(erasing.forget, rows=requests, seqs=seqs))
        pace, more = _Pace(MIN_ROWS, MAX_ROWS), True
        while more:
            more, seconds = self._step(_timed(partial(erasing.renew, rows=pace.count)))
            pace.tell(seconds, self._grown)

    def _written_meanwhile(self, subject: str) -> Named | None:
        """Find what came while the erasure went on, and let it reach that; None where nothing did, or it has not ended yet."""
        erasure = self._step(erasing.unfinished)
        with LedgerReader(self._path) as reader:
            size, last = erasing.reach(reader)
            try:
                named = erasing.look(reader, subject, size=size, last=last, start=erasure.size if erasure else 0)
            except AuditError:
                return None
        if not named.seqs:
            return None
        self._step(partial(erasing.extend, size=size, last=last))
        return named

    def _step(self, work: Callable[[Ledger], T]) -> T:
        if self._stopped.is_set():
            raise StoreUnwritableError("the ledger is closed; the erasure goes on when it is opened again")
        result, pages = self._submit(lambda ledger: (work(ledger), ledger.wal_pages)).result()
        # What the step before has written, and whoever wrote since; the log file has begun anew where it is shorter.
        self._grown, self._pages = pages - (self._pages if pages >= self._pages else 0), pages
        if pages > MANY_PAGES:
            self._move()
        return result


class _Pace:
    """How much is done in one step."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most
        self.count = least

    def tell(self, seconds: float, pages: int) -> None:
        """Hear how long a step took, and how many pages the one before it has written."""
        if seconds > LONG_SECONDS or pages > STEP_PAGES:
            self.count = max(self.count // 2, self._least)
        elif seconds < SHORT_SECONDS and pages < STEP_PAGES // 2:
            self.count = min(self.count * 2, self._most)


def _timed(work: Callable[[Ledger], T]) -> Callable[[Ledger], tuple[T, float]]:
    def timed(ledger: Ledger) -> tuple[T, float]:
        begun = time.perf_counter()
        return work(ledger), time.perf_counter() - begun

    return timed
