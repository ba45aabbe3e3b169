"""What a prompt shows, composed by the broker from what was agreed and from nothing else. Pure.

Every text from outside is escaped here, once; a prompt adds nothing and interprets nothing. Classes as on Windows: grey where
the publisher is verified, yellow where there is none or it is not known, red where it is blocked. Several steps are shown one
by one, in order, each whole: nothing of them is cut, and what is too long to be read is refused before (`check_steps`).

Source: fidelity.md rows 18 and 19; attacks.md row 37.
"""

from collections.abc import Mapping

from elevate.canonical import Json
from elevate.errors import TaskInvalidError
from elevate.hello.rights import rights_of
from elevate.model import (
    Agreement,
    Allow,
    Fact,
    FactValue,
    InspectedTask,
    Outcome,
    Requester,
    brought_of,
    environment_of,
    mode_before,
    mode_of,
    request_digest,
    run_as_of,
)
from elevate.ports import Offer
from elevate.text import escape, shell_words

_CLASSES = ("grey", "yellow", "red")
EMULATED = "emulated: no security boundary"
MAX_ARGUMENTS = 64
MAX_TEXT = 1024
MAX_STEPS_TEXT = 8192
"""Characters of all steps together: what a person can be asked to read, and an entry of the log can hold."""
TIMEOUT_SECONDS = 120


def prompt_view(
    agreement: Agreement, offer: Offer, *, emulated: bool, timeout_seconds: int = TIMEOUT_SECONDS
) -> dict[str, Json]:
    """Compose the prompt for one request.

    Args:
        agreement: Everything that the request digest covers.
        offer: What the person can prove oneself with; the phrase is not taken from it, so the view may be logged.
        emulated: The host is no security boundary, and the prompt says so.
        timeout_seconds: How long it stays open.

    Returns:
        Data only, every text escaped; ``class`` is ``grey``, ``yellow`` or ``red``, ``mode`` is ``credential`` or ``consent``.
    """
    decision = agreement.decision
    return {
        **_task(agreement.task),
        "rights": "" if emulated or agreement.task.steps else _rights(decision),
        **_steps(agreement.task, () if emulated else decision.steps),
        **_keys(agreement),
        "v": 1,
        "class": _class(agreement.task),
        "mode": "consent" if decision.outcome is Outcome.CONSENT else "credential",
        "requester": _requester(agreement.requester),
        "reason": _cut(agreement.reason),
        "rules": [_cut(rule) for rule in decision.rules],
        "time_limit_seconds": decision.obligations.time_limit_seconds,
        "min_strength": decision.obligations.min_strength,
        "host": _cut(agreement.host),
        "helper": _cut(str(dict(decision.obligations.extra).get("helper", ""))),
        "host_note": EMULATED if emulated else "",
        "digest": request_digest(agreement).hex(),
        "gestures": list(offer.gestures),
        "timeout_seconds": timeout_seconds,
    }


def refusal_view(task: InspectedTask, requester: Requester, *, message: str, emulated: bool) -> dict[str, Json]:
    """Compose what is shown for a task that policy blocks: red, with nothing to agree to."""
    return {
        **_task(task),
        "v": 1,
        "class": "red",
        "mode": "refused",
        "requester": _requester(requester),
        "reason": _cut(message),
        "host_note": EMULATED if emulated else "",
    }


def check_view(requester: Requester) -> dict[str, Json]:
    """Compose what is shown when a person only tries a gesture: nothing is agreed to."""
    return {
        "v": 1,
        "class": "grey",
        "mode": "credential",
        "title": "Check",
        "display": "a gesture; nothing is elevated",
        "requester": _requester(requester),
        "min_strength": "any",
    }


def prompt_class(facts: Mapping[str, FactValue]) -> str:
    """Give the colour: the worst that is known of the file counts."""
    if facts.get("blocked") is True:
        return "red"
    signer = facts.get("signer", Fact.ABSENT)
    return "yellow" if isinstance(signer, Fact) or not signer else "grey"


def check_steps(task: InspectedTask) -> None:
    """Refuse several steps that a prompt could not show whole; a task that is one may be cut, and says so.

    Raises:
        TaskInvalidError: A text of one step, or all of them together, are too long.
    """
    for number, step in enumerate(task.steps, 1):
        if max(map(len, _texts(step))) > MAX_TEXT:
            hint = "ask for it alone, or put long arguments into a file and name that"
            raise TaskInvalidError(f"step {number} is too long to be shown whole", hint=hint)
    if sum(len(text) for step in task.steps for text in _texts(step)) > MAX_STEPS_TEXT:
        raise TaskInvalidError("the steps are too long to be shown together", hint="ask for fewer at once")


def _texts(task: InspectedTask) -> tuple[str, ...]:
    """Give what a prompt shows of one step that can be long, escaped."""
    path = task.file.path if task.file else ""
    escaped = (escape(path), escape(task.cwd), _publisher(dict(task.facts)))
    return (task.task.display(), shell_words(task.argv), environment_of(task), escape(run_as_of(task)), *escaped)


def _class(task: InspectedTask) -> str:
    return max((prompt_class(dict(step.facts)) for step in task.steps or (task,)), key=_CLASSES.index)


def _rights(decision: Allow) -> str:
    return _cut(rights_of(decision.obligations))


def _keys(agreement: Agreement) -> dict[str, Json]:
    """Say of a program with no declared input whether what is typed reaches it; of anything else, nothing."""
    if agreement.task.task.kind != "process.run" or agreement.task.payload:
        return {}
    return {"keys": dict(agreement.decision.obligations.extra).get("interactive") is True}


def _steps(task: InspectedTask, decisions: tuple[Allow, ...]) -> dict[str, Json]:
    if not task.steps:
        return {}
    first_undo = len(task.steps) - task.task.undo
    rights = [_rights(one) for one in decisions] or [""] * len(task.steps)
    steps: list[Json] = [
        {**_task(step), "rights": rights[number], "undo": number >= first_undo} for number, step in enumerate(task.steps)
    ]
    return {"title": "Several steps", "display": f"{first_undo} under one agreement, in this order", "steps": steps}


def _task(task: InspectedTask) -> dict[str, Json]:
    facts = dict(task.facts)
    return {
        "title": task.task.title,
        "kind": task.task.kind,
        "display": _cut_escaped(task.task.display()),
        "path": _cut(task.file.path) if task.file else "",
        "sha256": task.file.sha256 if task.file else "",
        "publisher": _publisher(facts),
        "argv": [_cut(word) for word in task.argv[:MAX_ARGUMENTS]],
        "argv_more": max(0, len(task.argv) - MAX_ARGUMENTS),
        "command": _cut_escaped(shell_words(task.argv)),
        "cwd": _cut(task.cwd),
        "run_as": _cut(run_as_of(task)),
        "environment": _cut_escaped(environment_of(task)),
        "brought": brought_of(task),
        "file_mode": _mode(task),
        "asked_seconds": _seconds(task),
        "input_sha256": task.payload.sha256 if task.payload else "",
        "input_bytes": task.payload.size if task.payload else 0,
    }


def _seconds(task: InspectedTask) -> int:
    asked = dict(task.task.params).get("time_limit_seconds")
    return asked if isinstance(asked, int) else 0


def _mode(task: InspectedTask) -> str:
    """Give a written file's permission bits, and what they were where that is another."""
    after, before = mode_of(task), mode_before(task)
    if not before:
        return after
    return f"{after}, as it is" if after == before else f"{after}, was {before}"


def _requester(requester: Requester) -> dict[str, Json]:
    return {
        "user": _cut(requester.user),
        "sid": _cut(requester.sid),
        "uid": requester.process.uid,
        "pid": requester.process.pid,
        "executable": _cut(requester.executable),
        "chain": [_cut(link) for link in requester.chain[:16]],
        "remote": requester.remote,
    }


def _publisher(facts: Mapping[str, FactValue]) -> str:
    signer = facts.get("signer", Fact.ABSENT)
    if isinstance(signer, Fact):
        return "unsigned" if signer is Fact.ABSENT else "could not be checked"
    return _cut(str(signer))


def _cut(text: str) -> str:
    return _cut_escaped(escape(text))


def _cut_escaped(text: str) -> str:
    # SECURITY: what is cut says so, and how much; a long argument can't push the end out of sight unseen.
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} […and {len(text) - MAX_TEXT} more characters]"
