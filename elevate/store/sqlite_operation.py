"""One operation that waits for the ledger: what to do, and where its caller hears of it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Self, TypeVar

from elevate.store.sqlite_ledger import Ledger

T = TypeVar("T")


class _Condition(threading.Condition):
    """A condition whose lock is not left taken by somebody whom a signal breaks off.

    The two methods of `threading.Condition` are Python code, which a signal may end with the lock in its hand; whoever has the
    turn would wait for it for ever. The lock's own are one instruction each.
    """

    __enter__ = property(lambda self: self._lock.__enter__)  # `with` calls what it gives
    __exit__ = property(lambda self: self._lock.__exit__)  # the same


class _Answer(Future[T]):
    """What will be an operation's result."""

    def __init__(self) -> None:
        super().__init__()
        self._condition = _Condition()


class Operation(Generic[T]):
    """What to do to the ledger, and where to answer: a future, or a caller who waits.

    Attributes:
        leads: Its caller may be given the turn.
        taken: Whoever has the turn is about to write it, and will answer.
    """

    __slots__ = ("done", "error", "future", "leads", "result", "settles", "taken", "wake", "work")

    def __init__(
        self, work: Callable[[Ledger], T], *, settles: bool = False, awaited: bool = False, leads: bool = False
    ) -> None:
        self.work = work
        self.settles = settles
        self.leads = leads
        self.taken = self.done = False
        self.result: T | None = None
        self.error: BaseException | None = None
        self.future: Future[T] | None = None if awaited else _Answer()
        self.wake = threading.Lock()
        if awaited:
            self.wake.acquire()

    def take(self) -> Self:
        """Note that it is taken from the queue."""
        self.taken = True
        return self

    def begin(self) -> bool:
        """Say whether it is still wanted."""
        return self.future is None or self.future.set_running_or_notify_cancel()

    def answer(self) -> None:
        """Tell the caller."""
        self.done = True
        if self.future is None:
            self.wake.release()
        elif self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set when there was no error

    def outcome(self) -> T:
        """Give to the caller who waited what became of it."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # the same
