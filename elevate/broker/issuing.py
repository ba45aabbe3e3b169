"""The one place where a token is minted: after the gesture was verified, and over an entry that is synced."""

from elevate.broker import entries
from elevate.broker.audience import identity_of
from elevate.broker.deciding import asked_of
from elevate.broker.grant import Grant
from elevate.broker.journal import Journal, Move
from elevate.broker.parts import Parts
from elevate.broker.redeeming import AtOnce, Presented, redemption
from elevate.broker.starting import prepare
from elevate.errors import CancelledError, PolicyChangedError, TokenError
from elevate.lifecycle import State
from elevate.model import AdminIdentity, Agreement, InspectedTask, Outcome, VerifiedGesture, request_digest, run_as_of
from elevate.ports import Inspection, Record
from elevate.text import shell_words
from elevate.token import Claims, mint, new_jti

MAX_DISPLAY_CHARS = 960


def issue(
    parts: Parts,
    agreement: Agreement,
    gesture: VerifiedGesture,
    inspection: Inspection,
    journal: Journal,
    *,
    at_once: AtOnce | None,
) -> Grant:
    """Register the token, write that it is issued, and only then sign it; where it is used at once, redeem it with that.

    Args:
        parts: The broker's.
        agreement: What was agreed to.
        gesture: How.
        inspection: What it is about.
        journal: The request's.
        at_once: The call that uses it as soon as it is there. Issue and redemption are one commit then, and the host
            prepares for the start meanwhile.

    Raises:
        TokenError: Another process uses it than the one that asked.
        PolicyChangedError: The policy is another one now.
        CancelledError: The request was ended meanwhile.
    """
    if not parts.policy.holds(agreement.policy_digest):
        raise PolicyChangedError("the policy changed while this request was open")
    identity = identity_of(parts, agreement)
    # Nothing of the task runs by that; what the host made goes where no start follows.
    ahead = prepare(parts.host, identity, journal.record.session, agreement, inspection) if at_once else None
    try:
        taken = _presented(parts, agreement, at_once) if at_once else None
        claims = _register(parts, agreement, gesture, identity, journal, taken)
        return Grant(
            parts=parts,
            journal=journal,
            inspection=inspection,
            agreement=agreement,
            identity=identity,
            claims=claims,
            token=mint(parts.key, claims),
            ahead=ahead,
            taken=taken,
        )
    except BaseException:
        if ahead is not None:
            ahead.close()
        raise


def _presented(parts: Parts, agreement: Agreement, at_once: AtOnce) -> Presented:
    presenter = at_once.presenter()
    if presenter != agreement.requester.process:
        raise TokenError("the token is not good here", detail="another process asks for its use than for the task")
    by = entries.presenter(presenter, agreement.requester)
    return Presented(redeem_id=at_once.redeem_id, process=presenter, audience=parts.host.name, by=by)


def _register(
    parts: Parts,
    agreement: Agreement,
    gesture: VerifiedGesture,
    identity: AdminIdentity,
    journal: Journal,
    taken: Presented | None,
) -> Claims:
    """Write into the ledger that the token is issued, and, where it is taken with that, that it is used; give what it says.

    Raises:
        CancelledError: The request was ended meanwhile.
    """
    now = parts.clock.read()
    seconds = agreement.decision.obligations.token_seconds
    jti = new_jti(parts.entropy.token_bytes(16))
    issued = Move(
        State.ISSUED,
        entries.issued(agreement, gesture, identity, jti=jti, expires_at=now.unix + seconds, epoch=parts.epoch)
        | (asked_of(agreement, now) if agreement.decision.outcome is Outcome.SERVICE else {}),
        {
            "jti": jti,
            "request_digest": request_digest(agreement).hex(),
            "expires_at": now.unix + seconds,
            "deadline_ns": now.mono_ns + seconds * 1_000_000_000,
        },
        now,
    )
    # INVARIANT: one use, and no right without its entries: both are durable, or neither has happened and nothing is signed.
    stepped = journal.through(issued, *([redemption(jti, taken, now)] if taken else []))
    # INVARIANT: nothing is signed over an entry that is not synced, and only by the call that wrote it.
    if not stepped.won:
        raise CancelledError("the request was ended while it was being answered")
    return _claims(parts, agreement, gesture, journal.record, issued_at=now.unix)


def _claims(parts: Parts, agreement: Agreement, gesture: VerifiedGesture, record: Record, *, issued_at: int) -> Claims:
    display = _cut(agreement.task.task.display()) if agreement.task.steps else _display(agreement.task)
    return Claims(
        iss=parts.issuer,
        sub=agreement.requester.sid,
        aud=agreement.host,
        client_id=agreement.requester.executable[:512] or "unknown",
        iat=issued_at,
        exp=record.expires_at,
        jti=record.jti,
        auth_time=gesture.auth_time,
        amr=gesture.amr,
        acr=gesture.acr,
        binding=agreement.requester.process,
        kind=agreement.task.task.kind,
        request_digest=record.request_digest,
        display=display,
        steps=tuple(_display(task) for task, _ in agreement.steps),
        request=record.request,
        session=record.session,
        epoch=record.epoch,
        policy=agreement.policy_digest,
        position=record.position,
    )


def _display(task: InspectedTask) -> str:
    """Give what runs, by its real path."""
    who = run_as_of(task)
    return _cut((f"as {who}: " if who else "") + (shell_words(task.argv) or task.task.display()))


def _cut(display: str) -> str:
    """Cut a text to what a token holds; where it is cut, it says so."""
    more = len(display) - MAX_DISPLAY_CHARS
    return f"{display[:MAX_DISPLAY_CHARS]} […and {more} more]" if more > 0 else display
