"""A task's last entries: that it runs, and how it ended, each written once, whoever says it and however often.

INVARIANT: no log, no right. A task that goes on is in the log as running within `MOMENT_MS`; one whose start can't be written
is killed, and its end is "outcome unknown". Where it ends within that moment, both entries are one commit: that its token was
used, and for what, was durable before the first instruction of it.
"""

import contextlib
import select
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from elevate.audit.body import Body
from elevate.broker import entries
from elevate.broker.journal import Journal, Move
from elevate.broker.receipts import SHORT_BYTES, receipt_of
from elevate.canonical import Json
from elevate.errors import ElevateError, HostError, NotStartedError, StoreError, TransitionError
from elevate.lifecycle import State
from elevate.model import AdminIdentity, Agreement, Ended
from elevate.ports import Instant, Running

MOMENT_MS = 5


@dataclass(slots=True, kw_only=True)
class Ending:
    """What is written from a task's start on.

    Attributes:
        by: Who asked for its end, as a part of the last entry.
    """

    journal: Journal
    agreement: Agreement
    identity: AdminIdentity
    by: Body = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: Move | None = None
    _receipt: Mapping[str, Json] | None = None
    _broken: BaseException | None = None

    def begun(self, running: Running, at: Instant, *, later: bool) -> None:
        """Write that the task runs.

        Args:
            running: The task.
            at: When it was started.
            later: The caller goes on to `moment`, where it is written; not for a task whose end can't be looked out for.

        Raises:
            StoreError: It could not be written.
        """
        begun = Move(State.RUNNING, entries.running(running.pid, self.identity), at=at)
        if later and _watched(running) is not None:
            self._begun = begun
        else:
            self.journal.through(begun)

    def moment(self, running: Running) -> None:
        """Wait a moment for the end; of a task that goes on, write that it runs.

        Raises:
            StoreError: That could not be written: the task is ended. The same again, each time.
        """
        if self._begun is not None and not _over(running):
            with self._lock:
                self._write_begun(running)
        if self._broken is not None:
            raise self._broken

    def _write_begun(self, running: Running) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            return
        try:
            self.journal.through(begun)
        except BaseException as error:
            self._broken = error
            running.cancel(signal.SIGKILL)
            with contextlib.suppress(Exception):
                running.wait()
            why = error if isinstance(error, ElevateError) else HostError("the start failed", detail=repr(error))
            # Where this can't be written either, the broker's next start says it.
            with contextlib.suppress(ElevateError):
                self.journal.to(State.OUTCOME_UNKNOWN, entries.failed(why))
            raise

    def ended(self, running: Running, ended: Ended) -> Mapping[str, Json]:
        """Write how it ended, once; give the receipt."""
        with self._lock:
            if self._receipt is None:
                self._receipt = self._write(running, ended)
            return self._receipt

    def unknown(self, error: Exception) -> HostError:
        """Write that nobody knows how it ended; give the error that says so."""
        why = HostError("how the task ended could not be found out", detail=f"{type(error).__name__}: {error}")
        self._write_once(Move(State.OUTCOME_UNKNOWN, entries.failed(why)), ran=True)
        return why

    def never(self, error: NotStartedError) -> None:
        """Write that nothing of it ran, as was found at its end; that it runs is not said any more where it was not yet."""
        self._write_once(Move(State.DESTROYED, entries.failed(error)), ran=False)

    def _write_once(self, last: Move, *, ran: bool) -> None:
        with self._lock, contextlib.suppress(TransitionError):
            self.journal.through(*(self._unsaid() if ran else ()), last)
            self._begun = None

    def _write(self, running: Running, ended: Ended) -> Mapping[str, Json]:
        after = State.CLEANUP_FAILED if ended.leftover else State.DESTROYED
        entry = entries.destroyed(running.pid, self.identity, ended) | self.by
        receipt = receipt_of(self.journal.record, self.agreement, self.identity, ended)
        try:
            self.journal.through(*self._unsaid(), Move(after, entry, {"result": receipt}))
        except StoreError:
            # The room that is kept for ends holds a short receipt only.
            receipt = receipt_of(self.journal.record, self.agreement, self.identity, ended, size_bytes=SHORT_BYTES)
            self.journal.through(*self._unsaid(), Move(after, entry, {"result": receipt}))
        self._begun = None
        return receipt

    def _unsaid(self) -> list[Move]:
        return [] if self._begun is None else [self._begun]


def _watched(running: Running) -> int | None:
    """Give the descriptor that turns readable when a task ends; None where it has none, or tells more by it than its end."""
    fileno = getattr(running, "fileno", None)
    return fileno() if callable(fileno) and running.terminal < 0 else None


def _over(running: Running) -> bool:
    """Wait a moment; say whether the task has ended."""
    watched = _watched(running)
    if watched is None or watched < 0:
        return watched is not None  # whoever waited for it before has closed it
    poll = select.poll()
    poll.register(watched, select.POLLIN)
    return bool(poll.poll(MOMENT_MS))
