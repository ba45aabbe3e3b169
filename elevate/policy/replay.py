"""Old questions asked again: recorded ones, or ones made from the rules themselves; and what changes.

Every entry of the log that a decision wrote carries the question as `elevate.policy.cases.given` gives it, so that it can be
asked again of a candidate.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from elevate.canonical import Json, encode
from elevate.model import Allow, Decision
from elevate.policy.cases import DENIED, MIDDAY, given, question
from elevate.policy.conditions import ArgumentsAre, Below, IsFlag, OneOf, VersionIn, selector_of
from elevate.policy.engine import Policy
from elevate.policy.obligations import OUTCOMES
from elevate.policy.problems import RefusedValue
from elevate.policy.rule import Condition, Question, Rule
from elevate.policy.times import Between, InHours

MEMBER = "question"
"""Member of an entry's body that holds the question."""
MAX_RECORD_BYTES = 16_384

_ANYTHING: Mapping[str, Mapping[str, object]] = {
    "service.control": {"service": "some.service", "action": "restart"},
    "package.remove": {"package": "some-package"},
    "setting.change": {"setting": r"HKLM\software\some\setting"},
}
"""What a made question asks for where the rule does not say; a program or file for the other kinds."""

_STRICT = (*OUTCOMES, DENIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One decision from the log."""

    request: str
    question: Question
    outcome: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A question that is answered otherwise.

    Attributes:
        request: Id of the recorded request; for a made question the rule that it was made from.
    """

    request: str
    question: Question
    before: str
    after: str
    rules_before: tuple[str, ...]
    rules_after: tuple[str, ...]

    @property
    def direction(self) -> str:
        """``wider`` where less is asked than before, ``narrower`` where more is, else ``other``."""
        before, after = _STRICT.index(self.before), _STRICT.index(self.after)
        return "wider" if after < before else "narrower" if after > before else "other"

    def render(self) -> str:
        """Give it as one line."""
        by = f"{', '.join(self.rules_before) or 'no rule'} -> {', '.join(self.rules_after) or 'no rule'}"
        who = self.question.requester.user or self.question.requester.service or "anyone"
        return f"{self.direction}: {self.before} -> {self.after}: {who}: {self.question.task.task.display()} ({by})"

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        return {
            "request": self.request,
            "direction": self.direction,
            "before": self.before,
            "after": self.after,
            "rules_before": list(self.rules_before),
            "rules_after": list(self.rules_after),
            "question": given(self.question),
        }


def outcome_of(decision: Decision) -> str:
    """Give an outcome's name, ``denied`` for a deny."""
    return decision.outcome.value if isinstance(decision, Allow) else DENIED


def record_of(asked: Question) -> dict[str, Json]:
    """Give what an entry's body carries of a question; nothing where it is too long to be kept."""
    said = given(asked)
    return {MEMBER: said} if len(encode(said)) <= MAX_RECORD_BYTES else {}


def recorded(request: str, body: Mapping[str, Json]) -> Recorded | None:
    """Read a decision from an entry's opened body; None where it holds none, or what it held was erased."""
    asked, decided = body.get(MEMBER), body.get("decision")
    if not isinstance(asked, dict) or not isinstance(decided, dict):
        return None
    outcome, rules = decided.get("outcome"), decided.get("rules")
    outcome = DENIED if outcome == "deny" else outcome
    if outcome not in _STRICT or not isinstance(rules, list):
        return None
    try:
        again = question(asked)
    except RefusedValue:
        return None
    return Recorded(request=request, question=again, outcome=str(outcome), rules=tuple(str(rule) for rule in rules))


def replay(candidate: Policy, records: Iterable[Recorded]) -> Iterator[Change]:
    """Ask recorded questions of a candidate, and give those that it answers otherwise."""
    for one in records:
        decision = candidate.decide(one.question)
        after = outcome_of(decision)
        if (after, decision.rules) != (one.outcome, one.rules):
            yield Change(
                request=one.request,
                question=one.question,
                before=one.outcome,
                after=after,
                rules_before=one.rules,
                rules_after=decision.rules,
            )


def diff(before: Policy, after: Policy, questions: Iterable[tuple[str, Question]]) -> Iterator[Change]:
    """Ask questions of two policies, and give those that they answer otherwise."""
    asked = (
        Recorded(request=name, question=one, outcome=outcome_of(decision), rules=decision.rules)
        for name, one in questions
        for decision in [before.decide(one)]
    )
    return replay(after, asked)


def questions_from(*policies: Policy) -> Iterator[tuple[str, Question]]:
    """Make a question that each rule would match, with the rule's id; one that can't be made is left out."""
    seen: set[bytes] = set()
    for policy in policies:
        for rule in policy.rules:
            for kind in rule.kinds:
                made = witness(rule, kind)
                if made is not None and (key := encode(given(made))) not in seen:
                    seen.add(key)
                    yield rule.id, made


def witness(rule: Rule, kind: str) -> Question | None:
    """Make a question that a rule matches, as far as it is plain how."""
    task: dict[str, object] = {"kind": kind}
    selector = selector_of(rule)
    for condition in [*([selector] if selector is not None else []), *rule.conditions]:
        task |= _sample(condition)
    task = {**_ANYTHING.get(kind, {"path": "/usr/bin/some-program"}), **task}
    who = rule.who
    made: dict[str, object] = {
        "user": (who.user or ("someone",))[0],
        "groups": list(who.group[:1]),
        "task": task,
        "at": _when(rule),
    }
    made |= {
        name: values[0] for name, values in (("sid", who.sid), ("machine", who.machine), ("service", who.service)) if values
    }
    made["remote"] = who.remote is True
    try:
        return question(made)
    except RefusedValue:
        return None


def _sample(condition: Condition) -> dict[str, object]:
    match condition:
        case OneOf(name, values):
            return {name: values[0]}
        case Below(values):
            return {"path": f"{values[0].rstrip('/')}/some-file"}
        case IsFlag(name, value):
            return {name: value}
        case VersionIn(wanted):
            return {"version": wanted.text.split(",")[0].strip("<>= ") or "1"}
        case ArgumentsAre(wanted):
            words = wanted.exact or wanted.prefix or tuple(one[0] for one in wanted.patterns or ())
            plain = [word.replace("**", "a").replace("*", "a").replace("?", "a") for word in words]
            return {"arguments": plain if wanted.hold(plain) is True else [*plain, *(wanted.contains or ())[:1]]}
        case _:
            return {}


def _when(rule: Rule) -> str:
    """Give a moment at which the rule holds: the first hour of a year from a usual day on, or from its beginning."""
    start = next((one.start for one in rule.conditions if isinstance(one, Between) and one.start is not None), MIDDAY)
    hours = [one for one in rule.conditions if isinstance(one, InHours)]
    if not hours:
        return datetime.fromtimestamp(start, UTC).isoformat()
    for step in range(7 * 24):
        local = datetime.fromtimestamp(start + step * 3600, hours[0].zone)
        minute = local.hour * 60 + local.minute
        if local.weekday() in hours[0].days and hours[0].start <= minute < max(hours[0].end, hours[0].start + 1):
            return local.isoformat()
    return datetime.fromtimestamp(start, UTC).isoformat()
