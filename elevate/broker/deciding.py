"""What the policy in force makes of a question, and the agreement that comes of it. A demand is never dropped in silence."""

from dataclasses import replace
from typing import TypeVar

from elevate.broker import entries
from elevate.broker.audience import audience_of
from elevate.broker.journal import Journal
from elevate.broker.parts import Parts
from elevate.canonical import Json
from elevate.errors import DeniedError, PolicyChangedError
from elevate.lifecycle import State
from elevate.model import Agreement, Allow, Deny, Outcome
from elevate.policy import (
    Explanation,
    Explanations,
    Policy,
    Question,
    missing_tickets,
    narrowest,
    questions_of,
    record_of,
    unkept,
)
from elevate.ports import Instant

NONCE_BYTES = 16
Told = TypeVar("Told", Explanation, Explanations)


def decide(parts: Parts, question: Question, journal: Journal, *, audience: str = "") -> Agreement:
    """Let policy and settings decide; a denial is written. ``audience`` is whom the caller wants the token for.

    Raises:
        DeniedError: They say no, to the task or to one of its steps.
        PolicyChangedError: A kind of the machine's own is described otherwise by now.
    """
    for step in questions_of(question):
        parts.settings.check(question.requester, step.task)
    policy = parts.policy.current
    _check_kinds(policy, question)
    decision = policy.decide(question)
    match decision:
        case Deny():
            journal.to(State.DENIED, entries.denied(question.task, decision, policy.digest) | record_of(question))
            raise _denial(decision, "" if decision.rules else _would_allow(policy, question))
        case Allow():
            host = audience_of(parts, audience, decision)
            for one in (decision, *decision.steps):
                _check_demands(one, question.reason, kept=parts.host.keeps)
            return Agreement(
                task=question.task,
                requester=question.requester,
                session=journal.record.session,
                reason=question.reason,
                host=host,
                decision=_raised(decision, consent=_consent_counts(parts)),
                policy_digest=policy.digest,
                nonce=parts.entropy.token_bytes(NONCE_BYTES),
            )


def explain(parts: Parts, question: Question) -> Explanation | Explanations:
    """Say what the policy in force makes of a question, and what the person would be asked for; nothing is decided."""
    policy, consent = parts.policy.current, _consent_counts(parts)
    if not question.task.steps:
        return _told(policy.explain(question), consent=consent)
    several = policy.explain_steps(question)
    steps = tuple(_told(step, consent=consent) for step in several.steps)
    return replace(_told(several, consent=consent), steps=steps)


def _told(found: Told, *, consent: bool) -> Told:
    decision = found.decision
    return replace(found, decision=_raised(decision, consent=consent)) if isinstance(decision, Allow) else found


def _check_kinds(policy: Policy, question: Question) -> None:
    """Refuse a task whose kind the machine describes otherwise by now."""
    for step in questions_of(question):
        task = step.task.task
        if task.own and policy.kinds.get(task.kind) != task.spec:
            raise PolicyChangedError("the kind of this task has changed since it was asked for")


def asked_of(agreement: Agreement, now: Instant) -> dict[str, Json]:
    """Give what the log keeps of the question, so that it can be asked again of another policy."""
    return record_of(Question(requester=agreement.requester, task=agreement.task, now=now, reason=agreement.reason))


def _consent_counts(parts: Parts) -> bool:
    return parts.host.emulated and parts.settings.consent_counts


def _raised(decision: Allow, *, consent: bool) -> Allow:
    # SECURITY: on a real host the requester's own programs hold screen and keyboard; a mere "yes" could be theirs. On the
    # emulated one the setting is the floor, as on Windows: a rule may ask for more, never for less.
    if decision.outcome is Outcome.CONSENT and not consent:
        return replace(decision, outcome=Outcome.CREDENTIAL)
    return decision


def _would_allow(policy: Policy, question: Question) -> str:
    refused = (step for step in questions_of(question) if isinstance(policy.decide(step), Deny))
    return "\n".join(dict.fromkeys(map(narrowest, refused)))


def _denial(decision: Deny, qualifying_rules: str) -> DeniedError:
    hint = f"this rule would allow it:\n{qualifying_rules}" if qualifying_rules else ""
    return DeniedError(decision.message or "policy does not allow this task", hint=hint)


def _check_demands(decision: Allow, reason: str, *, kept: frozenset[str]) -> None:
    """Refuse what lacks its reason or ticket, and what the machine can't keep."""
    if decision.obligations.reason_required and not reason.strip():
        raise DeniedError("this task needs a reason", hint="say why: elevate run -r REASON -- COMMAND")
    if missing := missing_tickets(decision.obligations, reason):
        raise DeniedError(f"the reason must name a ticket like {missing[0]}", hint="elevate run -r TICKET -- COMMAND")
    if names := unkept(decision.obligations, kept):
        raise DeniedError(f"the policy demands what this machine can't keep: {', '.join(names)}")
