"""Why a decision is as it is: the rules that decided, where each obligation comes from, and the near misses.

A near miss is a rule of this kind for this person that did not match, with the first condition that failed. SECURITY: rules for
other people are never shown.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elevate.canonical import Json
from elevate.kinds import KINDS
from elevate.model import Allow, Decision, Deny
from elevate.policy.conditions import ArgumentsAre, Below, IsFlag, OneOf, VersionIn, selector_of
from elevate.policy.obligations import merge, sources
from elevate.policy.rule import Condition, Effect, Facts, Question, Rule
from elevate.text import escape

MAX_NEAR_MISSES = 10
_WRITTEN = (OneOf, Below, IsFlag, ArgumentsAre, VersionIn)
"""Conditions that stand in a rule's ``task`` table; the others follow from what does not stand there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A rule that would have matched, but for one condition at least; ``passed`` of them held before it."""

    rule: Rule
    key: str
    wanted: str
    found: str
    passed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What was decided, and why.

    Attributes:
        rules: The rules that decided, in the order of their ids.
        obligation_sources: For each obligation that is not the default, the rules that it comes from.
        near_misses: The nearest first.
        qualifying_rule: For a deny by default, a rule in TOML that would allow exactly this task.
    """

    question: Question
    decision: Decision
    rules: tuple[Rule, ...]
    obligation_sources: tuple[tuple[str, tuple[str, ...]], ...]
    near_misses: tuple[NearMiss, ...]
    qualifying_rule: str = ""

    def text(self) -> str:
        """Give it as lines for a person."""
        lines = [self._outcome_line()]
        lines += [f"  decided by {rule.id} ({escape(rule.file)}:{rule.line}){_why(rule)}" for rule in self.rules]
        if isinstance(self.decision, Deny) and self.decision.message and self.decision.rules:
            lines.append(f"  message: {escape(self.decision.message)}")
        lines += [f"  {name} comes from {', '.join(ids)}" for name, ids in self.obligation_sources if name != "prompt"]
        if self.near_misses:
            lines.append("near misses:")
        for miss in self.near_misses:
            lines.append(f"  {miss.rule.id} ({miss.rule.effect}): wants {miss.wanted}; here: {miss.found}")
        if self.qualifying_rule:
            lines += ["a rule that would allow exactly this:", *(f"  {line}" for line in self.qualifying_rule.splitlines())]
        return "\n".join(lines)

    def _outcome_line(self) -> str:
        shown = self.question.task.task.display()
        match self.decision:
            case Allow(outcome=outcome):
                return f"allowed after {outcome.value}: {shown}" if outcome.value != "service" else f"allowed: {shown}"
            case Deny(rules=()):
                return f"denied, no rule allows it: {shown}"
            case Deny():
                return f"denied: {shown}"

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        decision = self.decision
        outcome = decision.outcome.value if isinstance(decision, Allow) else "denied"
        return {
            "outcome": outcome,
            "message": decision.message if isinstance(decision, Deny) else "",
            "rules": [_rule_json(rule) for rule in self.rules],
            "obligations": _obligations_json(decision),
            "obligation_sources": {name: list(ids) for name, ids in self.obligation_sources},
            "near_misses": [
                {
                    "rule": miss.rule.id,
                    "effect": miss.rule.effect.value,
                    "key": miss.key,
                    "wanted": miss.wanted,
                    "found": miss.found,
                }
                for miss in self.near_misses
            ],
            "qualifying_rule": self.qualifying_rule,
        }


def _why(rule: Rule) -> str:
    return f": {escape(rule.why)}" if rule.why else ""


def _rule_json(rule: Rule) -> Json:
    return {"id": rule.id, "effect": rule.effect.value, "why": rule.why, "file": rule.file, "line": rule.line}


def _obligations_json(decision: Decision) -> dict[str, Json]:
    return obligations_json(decision) if isinstance(decision, Allow) else {}


def obligations_json(decision: Allow) -> dict[str, Json]:
    """Give the obligations by their names in rule files."""
    wanted = decision.obligations
    plain: dict[str, Json] = {
        "reason": "required" if wanted.reason_required else "optional",
        "token_seconds": wanted.token_seconds,
        "time_limit_seconds": wanted.time_limit_seconds,
        "gesture": wanted.min_strength,
        "env": list(wanted.env),
    }
    return plain | {name: list(value) if isinstance(value, tuple) else value for name, value in wanted.extra}


def explain(rules: Sequence[Rule], question: Question, facts: Facts, decision: Decision) -> Explanation:
    """Find what decided and what nearly did."""
    names = frozenset(decision.rules)
    deciding = tuple(sorted((rule for rule in rules if rule.id in names), key=lambda rule: rule.id))
    by_obligation: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if isinstance(decision, Allow):
        allows = [rule for rule in deciding if rule.effect is Effect.ALLOW]
        requires = [rule for rule in deciding if rule.effect is Effect.REQUIRE]
        by_obligation = tuple(sorted(sources(merge(allows, requires)).items()))
    by_default = isinstance(decision, Deny) and not decision.rules
    return Explanation(
        question=question,
        decision=decision,
        rules=deciding,
        obligation_sources=by_obligation,
        near_misses=_near_misses(rules, question, facts),
        qualifying_rule=_qualifying(question) if by_default else "",
    )


def _near_misses(rules: Sequence[Rule], question: Question, facts: Facts) -> tuple[NearMiss, ...]:
    kind = question.task.task.kind
    mine = (rule for rule in rules if kind in rule.kinds and rule.who.holds(question.requester))
    failed = ((rule, found) for rule in mine if (found := _first_failed(rule, question, facts)) is not None)
    # Only the nearest are put into words: anybody may ask, and there may be 100,000 rules.
    nearest = heapq.nsmallest(
        MAX_NEAR_MISSES, failed, key=lambda one: (one[0].effect is not Effect.ALLOW, -one[1][0], one[0].id)
    )
    return tuple(_near_miss(rule, *found, question, facts) for rule, found in nearest)


def _first_failed(rule: Rule, question: Question, facts: Facts) -> tuple[int, Condition] | None:
    """Give the first condition that failed, and how many held before it; None where the rule matches."""
    selector = selector_of(rule)
    conditions: Iterable[Condition] = rule.conditions if selector is None else (selector, *rule.conditions)
    for passed, condition in enumerate(conditions):
        answer = condition.holds(facts, question)
        if answer is not True and (answer is False or rule.effect is Effect.ALLOW):
            return passed, condition
    return None


def _near_miss(rule: Rule, passed: int, condition: Condition, question: Question, facts: Facts) -> NearMiss:
    found = condition.found(facts, question)
    return NearMiss(rule=rule, key=condition.key, wanted=condition.wants(), found=found, passed=passed)


def _qualifying(question: Question) -> str:
    from elevate.policy.suggest import narrowest

    return narrowest(question)


def purpose(rule: Rule) -> str:
    """Say in a line what a rule is for, as its ``task`` table does."""
    selector = selector_of(rule)
    asked = [*([selector] if selector else []), *(one for one in rule.conditions if isinstance(one, _WRITTEN))]
    kinds = "any task" if set(KINDS) <= set(rule.kinds) else " or ".join(rule.kinds)
    return ", ".join([kinds, *(one.wants() for one in asked)])
