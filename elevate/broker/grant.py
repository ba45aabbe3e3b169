"""The right to run one task, once: redeem, run, destroy.

The token stays in here. Redemption is one compare-and-set in the ledger, before any effect; only the call that changed the row
starts anything. Whatever becomes of the task, the token is gone.
"""

import contextlib
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from elevate.audit.body import Body
from elevate.broker.ending import Ending
from elevate.broker.journal import Journal
from elevate.broker.parts import Parts
from elevate.broker.redeeming import Carrier, Presented, Use
from elevate.broker.starting import Listener, Start, limit_of, prepare, stop
from elevate.broker.stepping import StepsRunning, start
from elevate.errors import (
    CancelledError,
    ElevateError,
    HostError,
    TokenError,
    TokenSpentError,
)
from elevate.lifecycle import State, is_final
from elevate.model import AdminIdentity, Agreement, ProcessIdentity, Window
from elevate.outcome import Events, Outcome, drain, ending
from elevate.ports import Inspection, Prepared, Running
from elevate.token import Claims

REDEEM_ID_BYTES = 16


@dataclass(slots=True, kw_only=True)
class Grant:
    """One issued token and all that it is bound to.

    Attributes:
        ahead: What the host has made for the start already.
        taken: The call that redeemed it as it was issued, until it starts the task.
        on_end: Told when nothing of it is left.
    """

    parts: Parts
    journal: Journal
    inspection: Inspection
    agreement: Agreement
    identity: AdminIdentity
    claims: Claims
    token: str = field(repr=False)
    ahead: Prepared | None = field(default=None, repr=False)
    taken: Presented | None = field(default=None, repr=False)
    on_end: Callable[[], object] = field(default=lambda: None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _running: Running | None = field(default=None, repr=False)
    _cancelled: int = 0
    _use: Use = field(init=False, repr=False)
    _ending: Ending = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the token's use in hand, and the task's end."""
        self._use = Use(parts=self.parts, journal=self.journal)
        self._ending = Ending(journal=self.journal, agreement=self.agreement, identity=self.identity)

    @property
    def request(self) -> str:
        """Id of the request."""
        return self.journal.record.request

    def run(self, *, capture: bool = False, on_progress: Listener = lambda _: None) -> Outcome:
        """Redeem the token and run the task to its end.

        Args:
            capture: Collect the output; else it goes to this process's own.
            on_progress: Told of each step of several, as it begins and as it has ended; what it raises ends the task.

        Raises:
            TokenSpentError: It was used before.
            TokenExpiredError: Its time is over.
            TokenRevokedError: It was taken back.
            HostError: The task could not be started; the token is used up all the same.
        """
        redeem_id = self.parts.entropy.token_bytes(REDEEM_ID_BYTES).hex()
        with Events(on_progress) as events:
            running = self.start(redeem_id, self.agreement.requester.process, on_progress=events.put)
            with ending(running.wait, events):
                try:
                    pipes = (running.stdout, running.stderr)
                    captured = drain(pipes, events.fileno(), capture=capture, heard=events.heard)
                    events.rest()
                except BaseException:
                    running.cancel()
                    self.finish(running)
                    raise
        return self.finish(running, captured)

    def start(
        self,
        redeem_id: str,
        presenter: ProcessIdentity,
        *,
        window: Window | None = None,
        by: Carrier | None = None,
        on_progress: Listener = lambda _: None,
        awaited: bool = False,
    ) -> Running:
        """Redeem the token and start the task.

        Args:
            redeem_id: Random name of this call, to ask again with what became of it.
            presenter: The process that presents the grant, from kernel facts.
            window: A terminal of the task's own; without a rule that says interactive it has pipes.
            by: The helper that does the task in the host's place; the desk has looked at who presents the token.
            on_progress: As `run`; called from a thread of the broker's own.
            awaited: The caller goes on to `finish` at once. That the task runs is written there, within a moment.

        Raises:
            TokenError: As `run`.
        """
        presented = self._use.presented(redeem_id, presenter, self.agreement, by)

        def take() -> None:
            self._prepare(presenter, by)
            self._use.take(self.token, self.agreement, presented)

        with self._lock:
            return self._begin(presented, take, lambda: by or start(self._what(), window, on_progress), awaited=awaited)

    def go(self, *, window: Window | None = None, on_progress: Listener = lambda _: None) -> Running:
        """Start the task of a token that was redeemed as it was issued, once; else as an awaited `start`."""
        with self._lock:
            taken, self.taken = self.taken, None
            if taken is None:
                raise TokenSpentError("the token was used before")
            return self._begin(
                taken,
                lambda: self._use.hold(self.token, self.agreement, taken),
                lambda: start(self._what(), window, on_progress),
                awaited=True,
            )

    def _begin(self, presented: Presented, take: Callable[[], None], begin: Callable[[], Running], *, awaited: bool) -> Running:
        running: Running | None = None
        try:
            take()
            # A policy that came into force meanwhile: the log may have it before the redemption.
            self._use.check_policy(self.agreement)
            self._check_wanted()
            running = self._running = begin()
            # INVARIANT: no log, no right. It runs already; what can't be recorded does not go on.
            self._ending.begun(running, self.parts.clock.read(), later=awaited)
            if self._cancelled:
                running.cancel(self._cancelled)
            if isinstance(running, StepsRunning):
                running.go()
        except BaseException as error:
            self._end_unstarted(presented.redeem_id, running, error)
            if isinstance(error, ElevateError) or not isinstance(error, Exception):
                raise
            raise HostError("the task could not be started", detail=f"{type(error).__name__}: {error}") from error
        finally:
            self._give_up()
        return running

    def _prepare(self, presenter: ProcessIdentity, by: Carrier | None) -> None:
        """Let the host make what the start needs while the token is looked at and taken; nothing of the task runs by that."""
        unused = self.journal.record.state is State.ISSUED and not self._use.expired(self.parts.clock.read())
        if self.ahead is None and by is None and unused and presenter == self.agreement.requester.process:
            self.ahead = prepare(self.parts.host, self.identity, self.journal.record.session, self.agreement, self.inspection)

    def _check_wanted(self) -> None:
        """See that nobody has cancelled it; else nothing of it begins."""
        if self._cancelled:
            raise CancelledError("the request was ended while its token was taken")

    def _give_up(self) -> None:
        """Let go of what the host made ahead; where the task runs by it, nothing happens."""
        ahead, self.ahead = self.ahead, None
        if ahead is not None:
            ahead.close()

    def finish(self, running: Running, captured: tuple[bytes, bytes] = (b"", b"")) -> Outcome:
        """Wait for the end of the whole tree, write how it ended, and destroy what is left of the grant.

        Twice, or in two threads, is the same as once.
        """
        try:
            ended = self._ending.wait(running)
            receipt = self._ending.ended(running, ended)
        except Exception:
            self._gone()
            raise
        # Not where a signal broke it off: then the broker still knows of it, and writes its end when it closes.
        self._gone()
        return Outcome(
            exit_status=ended.exit_status, signal=ended.signal, timed_out=ended.timed_out, receipt=receipt,
            stdout=captured[0], stderr=captured[1],
        )  # fmt: skip

    def cancel(self, number: int = signal.SIGTERM, *, by: Body | None = None) -> None:
        """Ask the running task to end; one that is being started ends at once. ``by`` says in the log who asked for it."""
        self._cancelled = number
        self._ending.by = by or self._ending.by
        if self._running is not None:
            self._running.cancel(number)

    def close(self) -> None:
        """End it wherever it stands: an unused token is taken back, a running task is ended and its end written."""
        self.cancel()
        self.release()
        if self._running is not None:
            self.finish(self._running)

    def handed_out(self) -> str:
        """Give the token's text, for a descriptor that goes to its helper.

        Raises:
            TokenError: It is for the host, which has it already.
        """
        if self.agreement.host == self.parts.host.name:
            raise TokenError("only a token for a helper is handed out")
        return self.token

    def release(self) -> None:
        """Take the token back where it was not used; twice is the same as once."""
        with self._lock:
            left, self.taken = self.taken is not None, None
            try:
                if self.journal.record.state is State.ISSUED:
                    self._ending.unused(expired=self._use.expired(self.parts.clock.read()))
                elif left:
                    self._ending.left()
            finally:
                # Where the end of one that is used up can't be written, the broker's next start says it.
                if left or is_final(self.journal.record.state):
                    self._gone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def overdue(self) -> bool:
        """Say whether it was not used in time; `release` then ends it."""
        return self.journal.record.state is State.ISSUED and self._use.expired(self.parts.clock.read())

    def _what(self) -> Start:
        return Start(
            host=self.parts.host,
            identity=self.identity,
            session=self.journal.record.session,
            agreement=self.agreement,
            inspection=self.inspection,
            note=self._ending.step,
            ahead=self.ahead,
        )

    def _end_unstarted(self, redeem_id: str, running: Running | None, error: BaseException) -> None:
        """End what this very call has redeemed and what does not run now; the token is burnt, and the log says so."""
        with contextlib.suppress(ElevateError):
            self.journal.refresh()
        record = self.journal.record
        if is_final(record.state):
            self._gone()
        if record.state not in {State.REDEEMED, State.RUNNING} or record.redeem_id != redeem_id or self._started(running):
            return
        # INVARIANT: no log, no right. What can't be recorded does not go on.
        if running is not None:
            stop(running)
        self._running = None
        self._gone()
        self._ending.unstarted(error, begun=running is not None)

    def _started(self, running: Running | None) -> bool:
        """Say whether an earlier call has started the task."""
        return running is None and self._running is not None

    def _gone(self) -> None:
        self._give_up()
        self.inspection.close()
        self.on_end()

    @property
    def time_limit_seconds(self) -> int:
        """How long the task may take: as asked, and no longer than the rules say."""
        return limit_of(*self.agreement.steps[0])
