"""Where helpers redeem what was handed out: once, by the pinned program, with the same compare-and-set as the host's own tasks.

The broker neither starts nor watches the helper's work. What it knows of the end is what the helper reports; where it reports
nothing, because it ended, left, or took too long, the log says that the outcome is unknown.
"""

import contextlib
import hmac
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from elevate import canonical
from elevate.broker import entries
from elevate.broker.audience import helper_of
from elevate.broker.grant import Grant
from elevate.broker.opened import OpenRequests
from elevate.broker.parts import Parts
from elevate.broker.redeeming import MAX_ALARMS
from elevate.canonical import Json
from elevate.errors import (
    ElevateError,
    HostError,
    TaskInvalidError,
    TokenError,
    TokenExpiredError,
    TokenRevokedError,
    TokenSpentError,
)
from elevate.host.inspection import HostInspection
from elevate.host.processes import ProcessFacts
from elevate.host.sealed import reopen
from elevate.lifecycle import State
from elevate.model import Ended
from elevate.outcome import Outcome
from elevate.ports import Clock, Draft, Record
from elevate.token import Claims, Expected, verify
from elevate.token.keys import jwks

MAX_TASK_BYTES = 2**22
STOP_SECONDS = 5
"""So long a helper that was told of a cancellation may take to stop and to report; whoever stops the broker waits for it."""
CANCELLED = "it was cancelled; the helper said how it ended"
MAX_COUNTED = 1024
"""Tokens that came again, and whose alarms are counted."""


class HelperRun:
    """A task that a helper carries out: an `elevate.ports.Running` that ends with its report.

    A helper that listens is told of a cancellation, and has `STOP_SECONDS` to stop and to report; one that does not is not
    waited for. Either way nobody but the helper can end what it does.

    Args:
        facts: Of the helper.
        audience: Whom the token is for.
        clock: To say how long it took.
    """

    def __init__(self, facts: ProcessFacts, audience: str, clock: Clock) -> None:
        self.pid = facts.process.pid
        self.actor = entries.looked_at(facts)
        self.audience = audience
        self.stdout = self.stderr = self.terminal = self.jobs = -1
        self._clock = clock
        self._began_ns = clock.read().mono_ns
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._ended: Ended | None = None
        self._why = ""
        self._cancelled = False
        self._tell: Callable[[], object] | None = None

    def listen(self, tell: Callable[[], object]) -> None:
        """Have a cancellation told, at once where it came before; in place of whoever was told until now."""
        with self._lock:
            self._tell, cancelled = tell, self._cancelled
        if cancelled:
            tell()

    def report(self, exit_status: int) -> None:
        """Take the helper's word for how it ended.

        Raises:
            TaskInvalidError: Nobody waits for it any more, or it was said already.
        """
        took_ms = (self._clock.read().mono_ns - self._began_ns) // 1_000_000
        with self._lock:
            if self._over.is_set():
                raise TaskInvalidError("the broker no longer waits for this task's end", hint="see: elevate audit tail")
            problem = CANCELLED if self._cancelled else ""
            self._ended = Ended(exit_status=exit_status, duration_ms=took_ms, problem=problem)
            self._over.set()

    def abandon(self, why: str) -> None:
        """Wait no longer; what was reported before stands."""
        with self._lock:
            if not self._over.is_set():
                self._why = why
                self._over.set()

    def wait(self, limit_seconds: float | None = None) -> Ended:
        """Wait for the report.

        Raises:
            HostError: None came.
        """
        if not self._over.wait(limit_seconds):
            self.abandon("it did not report within its time limit")
        if self._ended is None:
            raise HostError("how the helper's task ended is not known", detail=self._why)
        return self._ended

    def cancel(self, signal: int = 15) -> None:
        """Tell the helper, which is not ours to end, and wait no longer than it may take to stop."""
        del signal
        with self._lock:
            tell, again, self._cancelled = self._tell, self._cancelled, True
        if tell is None:
            self.abandon("it was cancelled before the helper reported")
        elif not again:
            timer = threading.Timer(STOP_SECONDS, self.abandon, ["it was cancelled, and the helper did not report"])
            timer.daemon = True
            timer.start()
            tell()

    def leave(self) -> None:
        """Wait no longer: the helper's connection has ended."""
        self.abandon("the helper left before it reported")

    def signal(self, number: int) -> None:
        """Do nothing: a helper's signals are not ours."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a helper has after its one redemption."""

    grant: Grant
    run: HelperRun

    @property
    def request(self) -> str:
        """Id of the request."""
        return self.grant.request

    def finish(self, exit_status: int) -> Outcome:
        """Take the report and write the end.

        Raises:
            TaskInvalidError: Nobody waits for it any more.
        """
        self.run.report(exit_status)
        return self.grant.finish(self.run)

    def open_input(self) -> int | None:
        """Give a descriptor of the input that was agreed to, sealed and at its beginning; None where there is none."""
        held = self.grant.inspection
        payload = held.payload if isinstance(held, HostInspection) else None
        return None if payload is None else reopen(payload)

    def told(self) -> dict[str, Json]:
        """Give what the helper is to do, for whom, and why: all that was agreed to."""
        agreement = self.grant.agreement
        task = canonical.decode(canonical.encode(agreement.task.canonical()), max_bytes=MAX_TASK_BYTES)
        return {
            "claims": self.grant.claims.to_json(),
            "task": task,
            "requester": {
                "user": agreement.requester.user,
                "sid": agreement.requester.sid,
                "uid": self.grant.journal.record.uid,
            },
            "reason": agreement.reason,
            "time_limit_seconds": self.grant.time_limit_seconds,
        }


class Desk:
    """Takes tokens from helpers.

    Args:
        parts: Of the broker.
        opened: The requests that are open; a token that is not of one of these redeems nothing.
    """

    def __init__(self, parts: Parts, opened: OpenRequests) -> None:
        self._parts = parts
        self._opened = opened
        self._alarms: Counter[str] = Counter()

    def keys(self) -> dict[str, Json]:
        """Give what a helper verifies tokens with: the key set, and the issuer's name."""
        return {"keys": jwks(self._parts.key), "issuer": self._parts.issuer}

    def redeem(self, token: str, redeem_id: str, facts: ProcessFacts) -> Redeemed:
        """Use a token that was handed out; the caller does the task then.

        Args:
            token: As the helper got it.
            redeem_id: Random name of this call.
            facts: Of the process that presents it, from the kernel.

        Raises:
            TokenSpentError: It was used before.
            TokenExpiredError: Its time is over.
            TokenRevokedError: It was taken back.
            TokenError: It is not good here, or not for this program.
        """
        grant = next((one for one in self._opened.grants() if _is_token(one, token)), None)
        if grant is None:
            raise self._gone(token, redeem_id, facts)
        helper = helper_of(self._parts, grant.agreement.host)
        if helper is None or not helper.is_process(facts):
            who = f"uid {facts.process.uid}, {facts.executable}"
            refusal = TokenError("the token is not good here", detail=f"presented by {who}: not {grant.agreement.host}")
            self._note(grant.journal.record, "token-refused", entries.failed(refusal) | entries.looked_at(facts))
            raise refusal
        run = HelperRun(facts, helper.audience, self._parts.clock)
        grant.start(redeem_id, facts.process, by=run)
        threading.Thread(target=_await, args=(grant, run), name="helper", daemon=True).start()
        return Redeemed(grant, run)

    def _gone(self, token: str, redeem_id: str, facts: ProcessFacts) -> TokenError:
        """Say why a token that is of no open request is refused; one that is authentic and comes again is an alarm."""
        try:
            claims = self._authentic(token)
        except TokenError as error:
            return error
        record = self._parts.store.by_jti(claims.jti)
        if record is None:
            return TokenError("the token is not good here", detail="no such token in the ledger")
        if record.state is State.EXPIRED:
            return TokenExpiredError("the token has expired")
        if record.state is State.REVOKED:
            return TokenRevokedError("the token was taken back")
        self._note(record, "second-use", entries.used(record.jti, redeem_id[:64], entries.looked_at(facts)))
        return TokenSpentError("the token was used before")

    def _authentic(self, token: str) -> Claims:
        parts = self._parts
        refusal = TokenError("the token is not good here", detail="no helper is pinned")
        for helper in parts.settings.helpers:
            expected = Expected(iss=parts.issuer, aud=helper.audience, epoch=parts.epoch, request_digest=None, binding=None)
            try:
                return verify(token, {parts.key.kid: parts.key.public}, expected, now=parts.clock.read().unix)
            except TokenExpiredError:
                raise
            except TokenError as error:
                refusal = error
        raise refusal

    def _note(self, record: Record, event: str, body: dict[str, Json]) -> None:
        if len(self._alarms) >= MAX_COUNTED:
            self._alarms.clear()
        self._alarms[record.jti] += 1
        if self._alarms[record.jti] <= MAX_ALARMS:
            self._parts.store.append(Draft(event=event, request=record.request, at=self._parts.clock.read(), body=body))


def _is_token(grant: Grant, token: str) -> bool:
    return hmac.compare_digest(grant.token.encode(), token.encode("utf-8", "replace"))


def _await(grant: Grant, run: HelperRun) -> None:
    """Write the end that the helper reports, or that it reported none."""
    with contextlib.suppress(HostError):
        run.wait(grant.time_limit_seconds)
    with contextlib.suppress(ElevateError):
        grant.finish(run)
