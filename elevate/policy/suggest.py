"""The narrowest rule that would have allowed what was asked, alone or for all that the log holds."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elevate.canonical import Json
from elevate.kinds import is_own
from elevate.model import BROUGHT, Allow
from elevate.policy.cases import DENIED, given
from elevate.policy.rule import By, Effect, Question
from elevate.policy.several import questions_of
from elevate.policy.toml import rule_toml

if TYPE_CHECKING:
    from elevate.policy.engine import Policy
    from elevate.policy.replay import Recorded

_NAMED = {"service.control": ("service", "action"), "package.remove": ("package",), "setting.change": ("setting",)}
_SHA = re.compile("[0-9a-f]{64}")


def narrowest(question: Question) -> str:
    """Give a rule, in TOML, for this person and exactly this task: by content where it is known, with the exact arguments."""
    record = given(question)
    asked = record["task"]
    task = dict(asked) if isinstance(asked, dict) else {}
    kind = str(task.get("kind", ""))
    said: dict[str, object] = {"kind": kind}
    by_content = kind in {"process.run", "package.install"} and _SHA.fullmatch(str(task.get("sha256", "")))
    names = ("sha256",) if by_content else _NAMED.get(kind, () if is_own(kind) else ("path",))
    said |= {name: task[name] for name in names if name in task}
    if BROUGHT in task:
        said[BROUGHT] = True
    if kind == "process.run" or is_own(kind):
        said["arguments"] = task.get("arguments", [])
        said |= {name: task[name] for name in ("run_as", "run_as_group") if name in task}
    then: dict[str, object] = {"prompt": "credential"}
    if isinstance(env := task.get("env"), dict):
        then["env"] = sorted(env)
    who = {"user": question.requester.user} if question.requester.user else {"service": question.requester.service}
    # The log keeps the ids of rules for good and in the open, so that they must not name the person or give the task away.
    name = hashlib.sha256(f"{question.requester.user}\0{question.task.digest}".encode()).hexdigest()[:8]
    return rule_toml(
        {
            "id": f"exactly-{kind.replace('.', '-')}-{name}",
            "effect": "allow",
            "who": who,
            "task": said,
            "then": then,
            "why": f"Exactly: {_short(question)}",
        }
    )


def _short(question: Question) -> str:
    return "".join(char for char in question.task.task.display() if char.isprintable())[:200]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A rule that the log suggests.

    Attributes:
        rule: TOML, the narrowest that would have matched.
        why: ``denied`` where nothing allowed what was asked; ``approved`` where a broad rule did, which this one could replace.
        replaces: The broad rules.
        evidence: Ids of the recorded requests.
    """

    rule: str
    why: str
    replaces: tuple[str, ...]
    evidence: tuple[str, ...]

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        return {"rule": self.rule, "why": self.why, "replaces": list(self.replaces), "evidence": list(self.evidence)}

    def render(self) -> str:
        """Give it as TOML with its evidence as comments."""
        count = len(self.evidence)
        shown = ", ".join(self.evidence[:5]) + (", …" if count > 5 else "")  # noqa: PLR2004 - enough to look them up
        times = f"{count} request{'s' if count != 1 else ''}"
        said = f"in place of {', '.join(self.replaces)}, which allowed" if self.replaces else "nothing allowed"
        return f"# {said} {times}: {shown}\n{self.rule}\n"


def _steps_of(record: "Recorded", policy: "Policy") -> "Iterable[Recorded]":
    """Give what was made of each step of a record; of several as the policy decides about them now."""
    if not record.question.task.steps:
        yield record
        return
    for question in questions_of(record.question):
        decision = policy.decide(question)
        outcome = decision.outcome.value if isinstance(decision, Allow) else DENIED
        yield replace(record, question=question, outcome=outcome, rules=decision.rules)


def suggest(records: "Iterable[Recorded]", policy: "Policy") -> list[Suggestion]:
    """Give rules for what was denied by default and for what only a broad rule allowed; most evidence first."""
    broad = {rule.id for rule in policy.rules if rule.effect is Effect.ALLOW and rule.by in {By.ANY, By.DIRECTORY}}
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for one in (step for record in records for step in _steps_of(record, policy)):
        replaces = tuple(name for name in one.rules if name in broad)
        if one.outcome == DENIED and not one.rules:
            found.setdefault((narrowest(one.question), DENIED, ()), []).append(one.request)
        elif one.outcome != DENIED and replaces:
            found.setdefault((narrowest(one.question), "approved", replaces), []).append(one.request)
    made = [
        Suggestion(rule=rule, why=why, replaces=replaces, evidence=tuple(requests))
        for (rule, why, replaces), requests in found.items()
    ]
    return sorted(made, key=lambda one: (-len(one.evidence), one.rule))
