"""The right to run one task, once: redeem, run, destroy.

The token stays in here. Redemption is one compare-and-set in the ledger, before any effect; only the call that changed the row
starts anything. Whatever becomes of the task, the token is gone.
"""

import contextlib
import re
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from elevate.audit import body
from elevate.audit.body import Body
from elevate.broker import entries
from elevate.broker.journal import Journal
from elevate.broker.parts import Parts
from elevate.broker.receipts import SHORT_BYTES, receipt_of
from elevate.broker.redeeming import Presented, Use
from elevate.broker.starting import Listener, Start, limit_of, prepare, stop
from elevate.broker.stepping import StepsRunning, start
from elevate.canonical import Json
from elevate.errors import (
    CancelledError,
    ElevateError,
    HostError,
    PolicyChangedError,
    StartUnknownError,
    StoreError,
    TaskError,
    TaskInvalidError,
    TokenError,
    TransitionError,
)
from elevate.lifecycle import State, is_final
from elevate.model import AdminIdentity, Agreement, Ended, ProcessIdentity, Window
from elevate.outcome import Events, Outcome, drain, ending
from elevate.ports import Inspection, Instant, Prepared, Running
from elevate.token import Claims

REDEEM_ID_BYTES = 16
_REDEEM_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Carrier(Running, Protocol):
    """Whoever does a task in the host's place.

    Attributes:
        audience: Whom the token must be for.
        actor: Who it is, as a part of the entries.
    """

    audience: str
    actor: Body


@dataclass(slots=True, kw_only=True)
class Grant:
    """One issued token and all that it is bound to."""

    parts: Parts
    journal: Journal
    inspection: Inspection
    agreement: Agreement
    identity: AdminIdentity
    claims: Claims
    token: str = field(repr=False)
    ahead: Prepared | None = field(default=None, repr=False)
    on_end: Callable[[], object] = field(default=lambda: None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _ending: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _running: Running | None = field(default=None, repr=False)
    _receipt: Mapping[str, Json] | None = field(default=None, repr=False)
    _cancelled: int = 0
    _by: Body = field(default_factory=dict, repr=False)
    _ended_by: Body = field(default_factory=dict, repr=False)
    _use: Use = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the token's use in hand."""
        self._use = Use(parts=self.parts, journal=self.journal)

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
    ) -> Running:
        """Redeem the token and start the task.

        Args:
            redeem_id: Random name of this call, to ask again with what became of it.
            presenter: The process that presents the grant, from kernel facts.
            window: A terminal of the task's own; without a rule that says interactive it has pipes.
            by: The helper that does the task in the host's place; the desk has looked at who presents the token.
            on_progress: As `run`; called from a thread of the broker's own.

        Raises:
            TokenError: As `run`.
        """
        if not _REDEEM_ID.fullmatch(redeem_id):
            raise TaskInvalidError("a redeem id is 16 to 64 letters, digits, - and _", hint="draw a new random one")
        running: Running | None = None
        with self._lock:
            try:
                self._by = entries.presenter(presenter, self.agreement.requester) if by is None else by.actor
                self._prepare(presenter, by)
                self._use.take(self.token, self.agreement, self._presented(redeem_id, presenter, by))
                # A policy that came into force meanwhile: the log may have it before the redemption.
                self._use.check_policy(self.agreement)
                self._check_wanted()
                running = self._running = by or start(self._what(), window, on_progress)
                # INVARIANT: no log, no right. It runs already; what can't be recorded does not go on.
                self.journal.to(State.RUNNING, entries.running(running.pid, self.identity))
                if self._cancelled:
                    running.cancel(self._cancelled)
                if isinstance(running, StepsRunning):
                    running.go()
            except BaseException as error:
                self._end_unstarted(redeem_id, running, error)
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

    def _presented(self, redeem_id: str, presenter: ProcessIdentity, by: Carrier | None) -> Presented:
        if by is None:
            return Presented(redeem_id=redeem_id, process=presenter, audience=self.parts.host.name, by=self._by)
        return Presented(redeem_id=redeem_id, process=None, audience=by.audience, by=self._by)

    def finish(self, running: Running, captured: tuple[bytes, bytes] = (b"", b"")) -> Outcome:
        """Wait for the end of the whole tree, write how it ended, and destroy what is left of the grant.

        Twice, or in two threads, is the same as once.
        """
        ended = self._wait(running)
        with self._ending:
            if self._receipt is None:
                self._gone()
                self._receipt = self._write_end(running, ended)
        return Outcome(
            exit_status=ended.exit_status,
            signal=ended.signal,
            timed_out=ended.timed_out,
            receipt=self._receipt,
            stdout=captured[0],
            stderr=captured[1],
        )

    def cancel(self, number: int = signal.SIGTERM, *, by: Body | None = None) -> None:
        """Ask the running task to end; one that is being started ends at once. ``by`` says in the log who asked for it."""
        self._cancelled = number
        self._ended_by = by or self._ended_by
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
            if self.journal.record.state is State.ISSUED:
                self._take_back(self.parts.clock.read())
            if is_final(self.journal.record.state):
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
            note=self._note_step,
            ahead=self.ahead,
        )

    def _note_step(self, number: int, what: Ended | ElevateError) -> None:
        if isinstance(what, ElevateError):
            self.journal.note("step-failed", entries.step(number, self.agreement) | entries.failed(what))
        else:
            self.journal.note("step-started", entries.step(number, self.agreement, before=what))

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
        known = isinstance(error, HostError | TaskError | PolicyChangedError | CancelledError) and not isinstance(
            error, StartUnknownError
        )
        nothing_ran = running is None and known
        why = error if isinstance(error, ElevateError) else HostError("the start failed", detail=repr(error))
        # Where this can't be written either, the broker's next start says it.
        with contextlib.suppress(ElevateError):
            self.journal.to(State.DESTROYED if nothing_ran else State.OUTCOME_UNKNOWN, entries.failed(why))

    def _started(self, running: Running | None) -> bool:
        """Say whether an earlier call has started the task."""
        return running is None and self._running is not None

    def _wait(self, running: Running) -> Ended:
        try:
            return running.wait()
        except Exception as error:
            self._gone()
            why = HostError("how the task ended could not be found out", detail=f"{type(error).__name__}: {error}")
            with self._ending, contextlib.suppress(TransitionError):
                self.journal.to(State.OUTCOME_UNKNOWN, entries.failed(why))
            raise why from error

    def _write_end(self, running: Running, ended: Ended) -> dict[str, Json]:
        after = State.CLEANUP_FAILED if ended.leftover else State.DESTROYED
        entry = entries.destroyed(running.pid, self.identity, ended) | self._ended_by
        receipt = receipt_of(self.journal.record, self.agreement, self.identity, ended)
        try:
            self.journal.to(after, entry, {"result": receipt})
        except StoreError:
            # The room that is kept for ends holds a short receipt only.
            receipt = receipt_of(self.journal.record, self.agreement, self.identity, ended, size_bytes=SHORT_BYTES)
            self.journal.to(after, entry, {"result": receipt})
        return receipt

    def _gone(self) -> None:
        self._give_up()
        self.inspection.close()
        self.on_end()

    def _take_back(self, now: Instant) -> None:
        if self._use.expired(now):
            self.journal.to(State.EXPIRED, body.reason("token-expired", "not used in time"))
        else:
            left = self._ended_by or body.actor(self.agreement.requester, brief=True)
            self.journal.to(State.REVOKED, body.reason("token-revoked", "it was left without being used") | left)

    @property
    def time_limit_seconds(self) -> int:
        """How long the task may take: as asked, and no longer than the rules say."""
        return limit_of(*self.agreement.steps[0])
