"""One use: a token is held against all that it is bound to, and one compare-and-set in the ledger takes it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from elevate.audit import body
from elevate.audit.body import Body
from elevate.broker import entries
from elevate.broker.journal import Journal, Move
from elevate.broker.parts import Parts
from elevate.errors import (
    PolicyChangedError,
    TaskInvalidError,
    TokenError,
    TokenExpiredError,
    TokenRevokedError,
    TokenSpentError,
)
from elevate.lifecycle import State
from elevate.model import Agreement, ProcessIdentity, request_digest
from elevate.ports import Instant, Running
from elevate.token import Expected, verify

MAX_ALARMS = 16
"""So many misuses of one token are logged; whoever goes on only fills the disk."""
_REDEEM_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


class Carrier(Running, Protocol):
    """Whoever does a task in the host's place.

    Attributes:
        audience: Whom the token must be for.
        actor: Who it is, as a part of the entries.
    """

    audience: str
    actor: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """One call that presents a token.

    Attributes:
        redeem_id: Random name of the call.
        process: Whose, where the token must be bound to it; None where that was looked at before.
        audience: For whom the token must be.
        by: Who presents it, as a part of the entries.
    """

    redeem_id: str
    process: ProcessIdentity | None
    audience: str
    by: Body = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """The one call for which a token is issued, and which redeems it in the commit that issues it.

    Attributes:
        redeem_id: Random name of the call.
        presenter: Reads from the kernel which process the call is of; it must be the one that asked.
    """

    redeem_id: str
    presenter: Callable[[], ProcessIdentity] = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Use:
    """The only use of one token.

    Attributes:
        alarms: Misuses that were logged.
    """

    parts: Parts
    journal: Journal
    alarms: int = 0

    def presented(
        self, redeem_id: str, presenter: ProcessIdentity, agreement: Agreement, by: Carrier | None = None
    ) -> Presented:
        """Give a call that presents the token: a process's, or ``by`` somebody who was looked at before.

        Raises:
            TaskInvalidError: The redeem id has another form.
        """
        if not _REDEEM_ID.fullmatch(redeem_id):
            raise TaskInvalidError("a redeem id is 16 to 64 letters, digits, - and _", hint="draw a new random one")
        if by is None:
            who = entries.presenter(presenter, agreement.requester)
            return Presented(redeem_id=redeem_id, process=presenter, audience=self.parts.host.name, by=who)
        return Presented(redeem_id=redeem_id, process=None, audience=by.audience, by=by.actor)

    def take(self, token: str, agreement: Agreement, presented: Presented) -> None:
        """Use the token up for one start of what was agreed to, or raise; what is refused is in the log.

        Raises:
            TokenSpentError, TokenExpiredError, TokenRevokedError: It was used or ended before.
            PolicyChangedError: Other rules hold now than at the prompt.
            TokenError: It is not good here.
        """
        now = self.parts.clock.read()
        # As this grant knows it; where somebody else was first, the compare-and-set says so.
        record = self.journal.record
        if record.state is not State.ISSUED:
            self._refuse(presented)
        try:
            self._check(token, agreement, presented, now)
        except TokenExpiredError:
            self.journal.to(State.EXPIRED, body.reason("token-expired", "used too late"))
            raise
        except PolicyChangedError as error:
            self.journal.to(State.REVOKED, entries.failed(error))
            raise
        except TokenError as error:
            if self.alarms < MAX_ALARMS:
                self.alarms += 1
                self.journal.note("token-refused", entries.failed(error) | presented.by)
            raise
        stepped = self.journal.through(redemption(record.jti, presented, now))
        # INVARIANT: one use. Only the call that changed the row may start anything.
        if not stepped.won:
            self._refuse(presented)

    def hold(self, token: str, agreement: Agreement, presented: Presented) -> None:
        """Hold a token that was redeemed as it was issued against all that it is bound to, before anything is started.

        Raises:
            TokenExpiredError, PolicyChangedError, TokenError: As `take`; it is used up all the same.
        """
        self._check(token, agreement, presented, self.parts.clock.read())

    def _check(self, token: str, agreement: Agreement, presented: Presented, now: Instant) -> None:
        expected = Expected(
            iss=self.parts.issuer,
            aud=presented.audience,
            epoch=self.parts.epoch,
            request_digest=request_digest(agreement).hex(),
            binding=presented.process,
        )
        claims = verify(token, {self.parts.key.kid: self.parts.key.public}, expected, now=now.unix)
        record = self.journal.record
        if (claims.jti, claims.position, claims.request) != (record.jti, record.position, record.request):
            raise TokenError("the token is not good here", detail="jti, position or request is not the ledger's")
        if self.expired(now):
            raise TokenExpiredError("the token has expired", detail="monotonic deadline")
        self.check_policy(agreement)

    def check_policy(self, agreement: Agreement) -> None:
        """See that the rules are those of the prompt.

        Raises:
            PolicyChangedError: They are not.
        """
        if not self.parts.policy.holds(agreement.policy_digest):
            raise PolicyChangedError("the policy changed between the prompt and the run")

    def expired(self, now: Instant) -> bool:
        """Say whether its time is over, by either clock."""
        # SECURITY: both clocks; a wall clock that is set back revives nothing (CVE-2013-1775).
        return now.unix >= self.journal.record.expires_at or now.mono_ns >= self.journal.record.deadline_ns

    def _refuse(self, presented: Presented) -> None:
        record = self.journal.record
        if record.state is State.EXPIRED:
            raise TokenExpiredError("the token has expired")
        if record.state is State.REVOKED:
            raise TokenRevokedError("the token was taken back")
        if record.redeem_id != presented.redeem_id and self.alarms < MAX_ALARMS:
            self.alarms += 1
            self.journal.note("second-use", entries.used(record.jti, presented.redeem_id, presented.by))
        raise TokenSpentError("the token was used before")


def redemption(jti: str, presented: Presented, at: Instant) -> Move:
    """Give the step that uses a token up for one call."""
    return Move(State.REDEEMED, entries.used(jti, presented.redeem_id, presented.by), {"redeem_id": presented.redeem_id}, at)
