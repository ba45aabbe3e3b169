"""One writes at a time: whoever has the turn takes what waits, writes it as one group, syncs once, and only then answers.

The turn goes to a caller who waits anyway, so that one alone pays for no change of threads; a thread of its own takes it for
what was handed in by callers who go on meanwhile. Each operation of several has a savepoint of its own, so that one bad entry
can't fail its neighbours. A sync that failed leaves it open what is on the disk: from then on every write is refused until the
ledger is opened anew.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import apsw

from elevate.errors import ElevateError, StoreError, StoreUnwritableError
from elevate.store.sqlite_file import OwnedFile
from elevate.store.sqlite_ledger import Ledger
from elevate.store.sqlite_operation import Operation

MAX_GROUP = 256
CHECKPOINT_PAGES = 2000
HELP_PAGES = 16_000
"""Beyond this the writer itself checkpoints what the other thread has left, so that the log file can begin anew."""

_RESTART = "stop the readers of the ledger and start the broker again; it then does the rest"

T = TypeVar("T")
_Any: TypeAlias = Operation[Any]


class Writer:
    """Whoever writes, and the thread that checkpoints beside it.

    Args:
        ledger: Used by whoever has the turn, alone.
        file: Checked before every commit.
        checkpoint: Moves pages from the write-ahead log to the file; called in a thread of its own.
    """

    def __init__(self, ledger: Ledger, file: OwnedFile, checkpoint: Callable[[], None]) -> None:
        self._ledger = ledger
        self._file = file
        self._checkpoint = checkpoint
        self._gate = threading.Lock()
        self._idle = threading.Condition(self._gate)
        # INVARIANT: exactly one has the turn, or none. Where something is queued and none has it, the thread is called; only
        # one whom a signal broke off may have left it uncalled, and then nobody waits for what is queued.
        self._queue: deque[_Any] = deque()
        self._turn = False
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._closed = False
        self._broken: StoreUnwritableError | None = None
        self._due = threading.Semaphore(0)
        self._moved = 0
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._write, "ledger-writer"), (self._move, "ledger-checkpoints"))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Ledger], T], *, settles: bool = False) -> "Future[T]":
        """Queue an operation; its future is done when it is durable, or when it did not happen.

        Args:
            work: Called by whoever has the turn, inside the transaction.
            settles: `Ledger.settle` is to follow the commit.

        Raises:
            StoreUnwritableError: The ledger is closed.
        """
        operation = Operation(work, settles=settles)
        self._join(operation)
        return operation.future  # type: ignore[return-value]  # nobody waits for it here

    def run(self, work: Callable[[Ledger], T]) -> T:
        """Do an operation; it is durable when this returns.

        Raises:
            StoreUnwritableError: The ledger is closed or can't be written; nothing happened.
        """
        # A signal may break off the main thread anywhere, and then nobody would have the turn and all would wait for it.
        leads = threading.current_thread() is not threading.main_thread()
        operation = Operation(work, awaited=True, leads=leads)
        try:
            if not self._join(operation):
                operation.wake.acquire()  # until it is answered, or has the turn
        except BaseException:
            self._withdraw(operation)
            raise
        if not operation.done:
            self._lead(operation)
        return operation.outcome()

    def close(self) -> None:
        """Finish what is queued and end both threads."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._call()
            self._idle.wait_for(lambda: not (self._turn or self._queue))
        self._calls.put(False)  # noqa: FBT003 - a queue has no name for it
        self._threads[0].join()
        self._due.release()
        self._threads[1].join()

    def _join(self, operation: _Any) -> bool:
        """Queue an operation; say whether its caller has the turn now."""
        with self._gate:
            if self._closed:
                raise StoreUnwritableError("the ledger is closed")
            self._queue.append(operation)
            if operation.leads and not self._turn:
                self._turn = True
                return True
            self._call()
        return False

    def _withdraw(self, operation: _Any) -> None:
        """Take back what a signal broke off; where it is being written already, wait until that is done."""
        with self._gate:
            if operation in self._queue:
                self._queue.remove(operation)
                self._idle.notify_all()
        if operation.taken and not operation.done:
            operation.wake.acquire()

    def _call(self) -> None:
        """Call the thread where something is queued and nobody has the turn; the caller holds the gate."""
        if self._queue and not self._turn:
            self._calls.put(True)  # noqa: FBT003 - the same

    def _lead(self, own: _Any) -> None:
        """Use the turn until one's own operation is done."""
        try:
            while not own.done:
                self._serve()
        finally:
            own.leads = False
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the turn to the first who waits and may have it, else to nobody, and call the thread."""
        with self._gate:
            heir = next((one for one in self._queue if one.leads), None)
            if heir is None:
                self._turn = False
                self._call()
                self._idle.notify_all()
                return
        heir.wake.release()

    def _write(self) -> None:
        while self._calls.get():
            with self._gate:
                took = bool(self._queue) and not self._turn
                self._turn = self._turn or took
            if took:
                self._serve()
                self._pass_on()

    def _serve(self) -> None:
        """Write one group; whoever calls has the turn."""
        with self._gate:
            group = [self._queue.popleft().take() for _ in range(min(len(self._queue), MAX_GROUP))]
        try:
            self._commit([operation for operation in group if operation.begin()])
        except BaseException as exc:  # noqa: BLE001 - nobody may wait for ever; nothing is written any more
            self._broken = _unwritable(exc)
            self._answer_all(group)

    def _answer_all(self, group: list[_Any]) -> None:
        for operation in group:
            if not (operation.done or (operation.future is not None and operation.future.done())):
                operation.error = self._broken
                operation.answer()

    def _commit(self, group: list[_Any]) -> None:
        try:
            self._attempt(group)
        except apsw.FullError as exc:
            self._ledger.rollback()
            self._split(group, exc)
            return
        except (apsw.Error, OSError, StoreError) as exc:
            self._ledger.rollback()
            if isinstance(exc, apsw.IOError):
                self._broken = _unwritable(exc)
            for operation in group:
                operation.error = _unwritable(exc)
        for operation in group:
            operation.answer()
        self._after()

    def _split(self, group: list[_Any], exc: apsw.FullError) -> None:
        """The disk was full for all of them together: try each alone."""
        if len(group) > 1:
            for operation in group:
                operation.error = None
                self._commit([operation])
            return
        group[0].error = _unwritable(exc)
        group[0].answer()

    def _attempt(self, group: list[_Any]) -> None:
        if self._broken is not None:
            raise self._broken
        self._file.check()
        self._ledger.begin()
        # One alone is the whole transaction: it needs no savepoint to be there whole or not at all.
        apart = self._ledger.operation if len(group) > 1 else nullcontext
        for operation in group:
            self._do(operation, apart())
        if apart is nullcontext and any(operation.error for operation in group):
            self._ledger.rollback()
        else:
            self._ledger.commit()
        if any(operation.settles for operation in group):
            self._settle(group)

    def _do(self, operation: _Any, apart: AbstractContextManager[None]) -> None:
        try:
            with apart:
                operation.result = operation.work(self._ledger)
        except apsw.Error:
            raise
        except Exception as exc:  # noqa: BLE001 - answered; what one caller brings must not end the writer
            operation.error = exc if isinstance(exc, ElevateError) else _not_stored(exc)

    def _settle(self, group: list[_Any]) -> None:
        try:
            self._ledger.settle()
        except (apsw.Error, OSError, StoreError) as exc:
            for operation in group:
                if operation.settles and operation.error is None:
                    operation.error = StoreError("it is written, and not all of it is done", detail=str(exc), hint=_RESTART)

    def _after(self) -> None:
        pages = self._ledger.wal_pages
        if pages < self._moved:
            self._moved = 0
        if pages - self._moved > CHECKPOINT_PAGES:
            self._moved = pages
            self._due.release()
        if pages > HELP_PAGES:
            self._ledger.move_pages()

    def _move(self) -> None:
        while self._due.acquire() and not self._closed:
            self._checkpoint()


def _not_stored(exc: Exception) -> StoreError:
    return StoreError("the ledger can't hold this; nothing was recorded", detail=f"{type(exc).__name__}: {exc}")


def _unwritable(exc: BaseException) -> StoreUnwritableError:
    if isinstance(exc, StoreUnwritableError):
        return exc
    return StoreUnwritableError("the ledger can't be written; nothing was recorded and nothing granted", detail=str(exc))
