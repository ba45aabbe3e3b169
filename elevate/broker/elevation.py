"""The story of one elevation, told once: request, inspect, decide, prompt and Hello, issue.

What follows, redeem, run and destroy, is the `Grant`'s. Every step is one row of `elevate.lifecycle` and one audit entry,
durable in one commit before anything follows on it; any error ends the request in the state that fits, and nothing was granted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from elevate import canonical
from elevate.audit import body
from elevate.audit.body import Body
from elevate.broker import entries
from elevate.broker.cancel import Cancellation
from elevate.broker.deciding import asked_of, decide
from elevate.broker.grant import Grant
from elevate.broker.issuing import issue
from elevate.broker.journal import Journal, Listener
from elevate.broker.parts import Parts
from elevate.broker.redeeming import AtOnce
from elevate.broker.several import inspect
from elevate.errors import (
    BrokerError,
    CancelledError,
    DeclinedError,
    DeniedError,
    ElevateError,
    GestureError,
    PromptTimedOutError,
    TaskInvalidError,
)
from elevate.hello import prompt_view
from elevate.lifecycle import State
from elevate.model import Agreement, Outcome, Requester, VerifiedGesture, request_digest
from elevate.policy import Question
from elevate.ports import Cancel, Inspection, Prompter, Record
from elevate.tasks import Task

ACR = "urn:elevate:acr:"
ID_BYTES = 16
MAX_REASON_CHARS = 512
MAX_RECORDED_BYTES = 32_768
"""Of command and environment, as they stand in an entry; the rest of its 64 KiB is for all else."""
_STRENGTH = {"any": 0, "none": 0, "consent": 0, "pin": 1, "biometric": 2, "hardware": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request as it reached the broker.

    Attributes:
        payload: Descriptor of a sealed memory file in place of ``task.payload``; the caller keeps it.
        audience: ``helper:NAME`` for a token that is handed out; empty for one that the host redeems.
        at_once: The call that uses the grant as soon as it is there; not for a token that is handed out.
    """

    task: Task
    requester: Requester
    reason: str = ""
    payload: int | None = None
    audience: str = ""
    at_once: AtOnce | None = None

    def __post_init__(self) -> None:
        """Bound the reason."""
        if len(self.reason) > MAX_REASON_CHARS:
            raise TaskInvalidError(f"the reason is over {MAX_REASON_CHARS} characters", hint="keep it to a line")
        try:
            self.reason.encode()
        except UnicodeEncodeError as exc:
            raise TaskInvalidError("the reason is not Unicode text", hint="write it again") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the broker needs to know of the asking side.

    Attributes:
        prompter: Makes the prompt; called only when there is to be one.
    """

    prompter: Callable[[], Prompter]
    cancel: Cancel
    listener: Listener = field(default=lambda _request, _state: None)


def elevate(parts: Parts, ask: Ask, terms: Terms) -> Grant:
    """Take one request to its grant.

    Raises:
        DeniedError: Policy says no.
        RefusedError: The person, the lock-out, the queue or the clock said no.
        TaskError: The task can't be run as asked.
        BrokerError: The broker failed; nothing was granted.
    """
    journal = _journal(parts, ask, terms)
    inspection: Inspection | None = None
    try:
        journal.open(entries.requested(ask.requester, ask.task, ask.reason, session=journal.record.session))
        _check_length(ask.task)
        inspection = inspect(parts.host, ask.task, ask.requester, ask.payload)
        question = Question(requester=ask.requester, task=inspection.task, now=parts.clock.read(), reason=ask.reason)
        agreement = decide(parts, question, journal, audience=ask.audience)
        gesture = _prove(parts, agreement, journal, terms)
        return issue(parts, agreement, gesture, inspection, journal, at_once=None if ask.audience else ask.at_once)
    except ElevateError as error:
        _give_up(journal, inspection, error, _ender(error, ask, terms))
        raise
    except Exception as error:
        # SECURITY: whatever went wrong, the answer is no, and the log has it.
        failure = BrokerError("the broker failed; nothing was granted", detail=f"{type(error).__name__}: {error}")
        _give_up(journal, inspection, failure)
        raise failure from error
    except BaseException:
        _give_up(journal, inspection, CancelledError("interrupted"))
        raise


def _ender(error: ElevateError, ask: Ask, terms: Terms) -> Body:
    """Say who ended a request before its time: whoever cancelled it, or the person who left or said no."""
    if not isinstance(error, CancelledError | DeclinedError):
        return {}
    by = terms.cancel.by if isinstance(terms.cancel, Cancellation) else {}
    return by or body.actor(ask.requester, brief=True)


def _check_length(task: Task) -> None:
    # INVARIANT: no log, no right. What the log can't hold whole is refused before anybody is asked.
    added = sum(len(canonical.encode(dict(step.params).get("env"))) for step in task.steps or (task,))
    if len(canonical.encode(task.display())) + added > MAX_RECORDED_BYTES:
        hint = "put long arguments into a file and name that"
        raise TaskInvalidError("the command is too long to be recorded whole", hint=hint)


def _give_up(journal: Journal, inspection: Inspection | None, error: ElevateError, by: Body | None = None) -> None:
    if inspection is not None:
        inspection.close()
    journal.fail(error, by)


def _journal(parts: Parts, ask: Ask, terms: Terms) -> Journal:
    record = Record(
        request=parts.entropy.token_bytes(ID_BYTES).hex(),
        state=State.REQUESTED,
        user=ask.requester.user,
        uid=ask.requester.process.uid,
        session=parts.entropy.token_bytes(ID_BYTES).hex(),
        host=parts.host.name,
        epoch=parts.epoch,
    )
    return Journal(parts.store, parts.clock, record, terms.listener)


def _prove(parts: Parts, agreement: Agreement, journal: Journal, terms: Terms) -> VerifiedGesture:
    match agreement.decision.outcome:
        case Outcome.SERVICE:
            return _service(parts, agreement)
        case Outcome.APPROVAL:
            raise DeniedError("this task needs a second person's approval, which this broker can't ask for yet")
        case Outcome.CONSENT | Outcome.CREDENTIAL:
            return _ask_person(parts, agreement, journal, terms)


def _service(parts: Parts, agreement: Agreement) -> VerifiedGesture:
    name = agreement.requester.service
    if not name:
        raise DeniedError("only a service identity that the broker's owner lists may run this with nobody to ask")
    return VerifiedGesture(method="none", amr=("none",), acr=f"{ACR}none", credential=name, auth_time=parts.clock.read().unix)


def _ask_person(parts: Parts, agreement: Agreement, journal: Journal, terms: Terms) -> VerifiedGesture:
    user = agreement.requester.user
    offer = parts.hello.offer(user)
    challenge = agreement.nonce + request_digest(agreement)
    # Where the turn takes a while to come, what waits for it is known, and can be cancelled.
    with parts.turns.take(user, terms.cancel, waits=journal.settle):
        journal.to(State.PROMPTING, entries.prompting(agreement) | asked_of(agreement, parts.clock.read()))
        view = prompt_view(agreement, offer, emulated=parts.host.emulated)
        try:
            assertion = terms.prompter().ask(view, user, challenge, cancel=terms.cancel)
        except (DeclinedError, PromptTimedOutError, GestureError, CancelledError) as error:
            # One that is opened and left at once disturbs the person as much.
            parts.turns.refused(user, left=isinstance(error, CancelledError))
            raise
        if terms.cancel.cancelled():
            raise CancelledError("the client left during the prompt")
        gesture = parts.hello.verify(user, assertion, challenge)
        _check_strength(parts, agreement, gesture)
        parts.turns.answered(user)
        return gesture


def _check_strength(parts: Parts, agreement: Agreement, gesture: VerifiedGesture) -> None:
    needed = agreement.decision.obligations.min_strength
    if gesture.simulated and not parts.settings.allow_simulated_gestures:
        raise GestureError("a simulated gesture opens nothing here", hint="use a real gesture")
    if gesture.method == "consent" and (agreement.decision.outcome is not Outcome.CONSENT or not parts.host.emulated):
        raise GestureError("consent alone is not enough for this task")
    if _STRENGTH[gesture.acr.removeprefix(ACR)] < _STRENGTH[needed]:
        raise GestureError(f"this task needs a gesture of strength {needed}", hint="see: elevate hello list")
