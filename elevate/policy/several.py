"""Several tasks under one token: policy decides about each step as if it were asked alone, and the strictest of all is asked.

INVARIANT: several never qualify where one of them would not. A step that is denied, or that no rule allows, denies all; a step
whose rule says ``alone`` or names a helper is denied among others. What is demanded of the person is merged, in no order; what
binds a process (identity, capabilities, network, folders, time) stays with its own step.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from elevate.canonical import Json
from elevate.model import Allow, Decision, Deny, Obligations, Outcome
from elevate.policy.explain import Explanation, obligations_json
from elevate.policy.obligations import DEMANDS, OUTCOMES, STRENGTHS
from elevate.policy.rule import Question, Value

ALONE = "alone"
_HELPER = "helper"
_ASKED = ("approvals", "approver_groups", "approver_users", "ticket")
"""Demands of the person that stand in ``extra``."""
_MAX_SHOWN_CHARS = 80


def questions_of(question: Question) -> tuple[Question, ...]:
    """Give the question of each step; the question itself where the task is one."""
    return tuple(replace(question, task=step) for step in question.task.steps) or (question,)


def decide(one: Callable[[Question], Decision], question: Question) -> Decision:
    """Decide about all steps of a task."""
    asked = questions_of(question)
    decisions = [_decide_step(one(step), len(asked)) for step in asked]
    refused = [(number, decided) for number, decided in enumerate(decisions, 1) if isinstance(decided, Deny)]
    if refused:
        rules = tuple(sorted({rule for _, decided in refused for rule in decided.rules}))
        texts = [f"{_name(question, number)}: {decided.message}" for number, decided in refused]
        return Deny(rules=rules, message="; ".join(texts))
    return together([decided for decided in decisions if isinstance(decided, Allow)])


def _decide_step(decision: Decision, count: int) -> Decision:
    extra = dict(decision.obligations.extra) if isinstance(decision, Allow) else {}
    if count > 1 and extra.get(ALONE) is True:
        return Deny(rules=decision.rules, message="a rule wants this task to be asked for alone")
    if _HELPER in extra:
        return Deny(rules=decision.rules, message="a task for a helper is asked for alone")
    return decision


def _name(question: Question, number: int) -> str:
    shown = question.task.steps[number - 1].task.display()
    return f"step {number} ({shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + '…'})"


def together(steps: Sequence[Allow]) -> Allow:
    """Give what is asked of the person for all steps at once; the order of the steps never matters to that."""
    wanted = [step.obligations for step in steps]
    outcomes = [step.outcome for step in steps]
    return Allow(
        outcome=max(outcomes, key=lambda outcome: OUTCOMES.index(outcome.value)),
        rules=tuple(sorted({rule for step in steps for rule in step.rules})),
        obligations=Obligations(
            reason_required=any(one.reason_required for one in wanted),
            token_seconds=min(one.token_seconds for one in wanted),
            min_strength=max((one.min_strength for one in wanted), key=STRENGTHS.index),
            extra=tuple(_asked(wanted)),
        ),
        steps=tuple(steps),
    )


def _asked(wanted: Sequence[Obligations]) -> Iterable[tuple[str, Value]]:
    for name in _ASKED:
        demand = DEMANDS[name]
        values = [dict(one.extra).get(name, demand.default) for one in wanted]
        merged = values[0]
        for value in values[1:]:
            merged = demand.stricter(merged, value)
        if merged != demand.default:
            yield name, merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanations:
    """What was decided about several steps, and why; as `elevate.policy.Explanation`, with one of these for each step.

    Attributes:
        qualifying_rule: Rules in TOML that would allow the steps that no rule allows; empty where a rule denies.
    """

    question: Question
    decision: Decision
    steps: tuple[Explanation, ...]

    @property
    def qualifying_rule(self) -> str:
        """Rules in TOML that would allow what no rule allows."""
        if isinstance(self.decision, Allow) or self.decision.rules:
            return ""
        return "\n".join(dict.fromkeys(step.qualifying_rule for step in self.steps if step.qualifying_rule))

    def text(self) -> str:
        """Give it as lines for a person."""
        parts = [f"step {number}: {step.text()}" for number, step in enumerate(self.steps, 1)]
        return "\n".join([self._outcome_line(), *parts])

    def _outcome_line(self) -> str:
        match self.decision:
            case Allow(outcome=Outcome.SERVICE):
                return f"allowed, {len(self.steps)} steps under one token"
            case Allow(outcome=outcome):
                return f"allowed after {outcome.value}, {len(self.steps)} steps under one token"
            case Deny(message=message):
                return f"denied: {message}"

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        decision = self.decision
        steps = [step.json() for step in self.steps]
        rules = {str(rule["id"]): rule for step in steps for rule in _objects(step["rules"])}
        return {
            "outcome": decision.outcome.value if isinstance(decision, Allow) else "denied",
            "message": decision.message if isinstance(decision, Deny) else "",
            "rules": [rules[name] for name in sorted(rules)],
            "obligations": obligations_json(decision) if isinstance(decision, Allow) else {},
            "qualifying_rule": self.qualifying_rule,
            "steps": list(steps),
        }


def _objects(value: Json) -> list[dict[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
