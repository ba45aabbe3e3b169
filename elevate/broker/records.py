"""What may be asked about requests and tokens that are in the ledger, by whom they concern."""

import hmac
import os
from collections.abc import Mapping

from elevate.audit import body
from elevate.audit import parse as parse_entry
from elevate.audit.own import own_proof
from elevate.broker.parts import Parts
from elevate.canonical import Json
from elevate.errors import TaskInvalidError, TokenSpentError
from elevate.kinds import KINDS, KindSpec
from elevate.lifecycle import State
from elevate.model import Requester
from elevate.ports import Draft, Record, Step


def concerns(requester: Requester, uid: int) -> bool:
    """Say whether something of ``uid`` may be shown to a requester.

    SECURITY: others learn nothing, not even that it exists; root and the broker's own user see all.
    """
    return requester.process.uid in {uid, 0, os.getuid()}


class Records:
    """The ledger's rows, as their requesters may see and change them.

    Args:
        parts: Of the broker; looked at for each call.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def kinds(self) -> Mapping[str, KindSpec]:
        """Give the kinds of task that this machine has, its own among them, for `elevate.Task.of`."""
        return {**KINDS, **self.parts.policy.current.kinds}

    def revoke(self, jti: str, requester: Requester) -> None:
        """Take a token back that was not used yet.

        Raises:
            TaskInvalidError: No such token of this user, or it is gone already.
        """
        record = self.parts.store.by_jti(jti) if jti else None
        if record is None or not concerns(requester, record.uid):
            raise TaskInvalidError("no token of yours has this id", hint="see: elevate audit tail")
        entry = Draft(
            event=State.REVOKED,
            request=record.request,
            at=self.parts.clock.read(),
            body=body.reason("token-revoked", "taken back") | body.actor(requester, brief=True),
        )
        step = Step(request=record.request, before=State.ISSUED, after=State.REVOKED, entry=entry)
        stepped = self.parts.store.step(step)
        if not stepped.won:
            raise TaskInvalidError(f"the token is {stepped.record.state} already")

    def record(self, request: str, requester: Requester) -> Record:
        """Give one request's row to whom it concerns.

        Raises:
            TaskInvalidError: No such request of this user.
        """
        record = self.parts.store.record(request)
        if record is None or not concerns(requester, record.uid):
            raise TaskInvalidError("no request of yours has this id", hint="see: elevate audit tail")
        return record

    def became(self, request: str, redeem_id: str, requester: Requester) -> dict[str, Json]:
        """Say again what became of a redemption to the call that won it; nothing is started.

        Raises:
            TaskInvalidError: No such request of this user.
            TokenSpentError: Another call redeemed it, or none did.
        """
        record = self.record(request, requester)
        if not record.redeem_id or not hmac.compare_digest(record.redeem_id, redeem_id):
            raise TokenSpentError("this call did not redeem the token", detail=f"asked again about {request}")
        return {"state": record.state.value, "result": dict(record.result)}

    def receipt(self, request: str, requester: Requester) -> dict[str, Json]:
        """Give the receipt of a task that has ended, with a signed proof that its last entry is in the log.

        Raises:
            TaskInvalidError: No such request of this user, or its task has not ended.
        """
        record = self.record(request, requester)
        if not record.result:
            raise TaskInvalidError(f"there is no receipt: the request is {record.state}")
        last = parse_entry(self.parts.store.entries_of(request)[-1])
        proof, uid = self.parts.store.prove(last.seq), requester.process.uid
        # SECURITY: the log knows more of a request than its requester is told.
        return {**record.result, "proof": proof if uid in {0, os.getuid()} else own_proof(proof, uid)}
