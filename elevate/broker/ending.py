"""A token's last entries: that its task runs, and how it ended, each written once, whoever says it and however often.

Or that it was never used, or that what it was used for did not start.

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

from elevate.audit import body
from elevate.audit.body import Body
from elevate.broker import entries
from elevate.broker.journal import Journal, Move
from elevate.broker.receipts import SHORT_BYTES, receipt_of
from elevate.canonical import Json
from elevate.errors import (
    CancelledError,
    ElevateError,
    HostError,
    NotStartedError,
    PolicyChangedError,
    StartUnknownError,
    StoreError,
    TaskError,
    TokenError,
    TransitionError,
)
from elevate.lifecycle import State
from elevate.model import AdminIdentity, Agreement, Ended
from elevate.ports import Instant, Running

MOMENT_MS = 5
_BEFORE_THE_START = (HostError, TaskError, TokenError, PolicyChangedError, CancelledError)


@dataclass(slots=True, kw_only=True)
class Ending:
    """What is written from a token's issue on, but for its use.

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

    def unused(self, *, expired: bool) -> None:
        """Write that the token was not used, in time or at all."""
        if expired:
            self.journal.to(State.EXPIRED, body.reason("token-expired", "not used in time"))
        else:
            self.journal.to(State.REVOKED, body.reason("token-revoked", "it was left without being used") | self._leaver())

    def left(self) -> None:
        """Write that whoever had redeemed the token left before the start."""
        self.journal.to(State.DESTROYED, body.reason("cancelled", "it was left before it was started") | self._leaver())

    def unstarted(self, error: BaseException, *, begun: bool) -> None:
        """Write that what the token was redeemed for does not run; where it has ``begun``, that nobody knows how it ended."""
        nothing_ran = not begun and isinstance(error, _BEFORE_THE_START) and not isinstance(error, StartUnknownError)
        self._despite(error, State.DESTROYED if nothing_ran else State.OUTCOME_UNKNOWN)

    def _despite(self, error: BaseException, state: State) -> None:
        why = error if isinstance(error, ElevateError) else HostError("the start failed", detail=repr(error))
        # Where this can't be written either, the broker's next start says it.
        with contextlib.suppress(ElevateError):
            self.journal.to(state, entries.failed(why))

    def _leaver(self) -> Body:
        return self.by or body.actor(self.agreement.requester, brief=True)

    def begun(self, running: Running, at: Instant, *, later: bool) -> None:
        """Write that the task runs.

        Args:
            running: The task.
            at: When it was started.
            later: The caller goes on to `wait`, where it is written; not for a task whose end can't be looked out for.

        Raises:
            StoreError: It could not be written.
        """
        begun = Move(State.RUNNING, entries.running(running.pid, self.identity), at=at)
        if later and _watched(running) is not None:
            self._begun = begun
        else:
            self.journal.through(begun)

    def step(self, number: int, what: Ended | ElevateError) -> None:
        """Write that a step of several is to be started, after how the one before it ended; or why it could not be."""
        if isinstance(what, ElevateError):
            self.journal.note("step-failed", entries.step(number, self.agreement) | entries.failed(what))
        else:
            self.journal.note("step-started", entries.step(number, self.agreement, before=what))

    def wait(self, running: Running) -> Ended:
        """Wait for the end of a task; one that goes on after a moment is written as running.

        Raises:
            StoreError: That could not be written: the task is ended. The same again, each time.
            NotStartedError: Nothing of it ran; that is written.
            HostError: How it ended can't be found out; that is written.
        """
        try:
            self._moment(running)
            return running.wait()
        except StoreError:
            raise
        except NotStartedError as error:
            self._write_once(Move(State.DESTROYED, entries.failed(error)), ran=False)
            raise
        except Exception as error:
            why = HostError("how the task ended could not be found out", detail=f"{type(error).__name__}: {error}")
            self._write_once(Move(State.OUTCOME_UNKNOWN, entries.failed(why)), ran=True)
            raise why from error

    def _moment(self, running: Running) -> None:
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
            self._despite(error, State.OUTCOME_UNKNOWN)
            raise

    def ended(self, running: Running, ended: Ended) -> Mapping[str, Json]:
        """Write how it ended, once; give the receipt."""
        with self._lock:
            if self._receipt is None:
                self._receipt = self._write(running, ended)
            return self._receipt

    def _write_once(self, last: Move, *, ran: bool) -> None:
        """Write an end that is no task's own; where nothing ``ran``, that it does is not said any more either."""
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
