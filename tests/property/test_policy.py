"""Properties of decisions: order never matters, a deny never helps, and the index agrees with plain evaluators."""

from typing import Any

from hypothesis import given as given_data
from hypothesis import settings
from hypothesis import strategies as st

from elevate.model import Allow, Decision
from elevate.policy import decide_by_scan, given, obligations_json, question
from tests.property.policies import GIVEN, WHO, Table, ask, build, evaluate, rule_lists

STRICT = ("denied", "approval", "credential", "consent")
few = settings(max_examples=100, deadline=None)


def outcome(decision: Decision) -> str:
    return decision.outcome.value if isinstance(decision, Allow) else "denied"


@few
@given_data(rules=rule_lists(), asked=GIVEN)
def test_index_agrees_with_a_plain_evaluator(rules: list[Table], asked: Table) -> None:
    """What the engine decides is what the words of the design say, obligations included."""
    decision = build(rules).decide(ask(asked))

    expected, ids, merged = evaluate(rules, asked)
    assert (outcome(decision), decision.rules) == (expected, ids)
    if isinstance(decision, Allow):
        said: dict[str, Any] = {"network": True, **obligations_json(decision)}
        assert {name: said[name] for name in merged} == merged


@few
@given_data(rules=rule_lists(max_size=40), asked=GIVEN)
def test_index_agrees_with_the_scan(rules: list[Table], asked: Table) -> None:
    """Buckets large enough to be split by person give the same answer as asking every rule in turn."""
    policy = build(rules)

    assert policy.decide(ask(asked)) == decide_by_scan(policy.rules, ask(asked))


@few
@given_data(rules=rule_lists(), asked=GIVEN, data=st.data())
def test_order_never_matters(rules: list[Table], asked: Table, data: st.DataObject) -> None:
    """Any order of the same rules decides the same."""
    shuffled = data.draw(st.permutations(rules))

    assert build(shuffled).decide(ask(asked)) == build(rules).decide(ask(asked))


@few
@given_data(rules=rule_lists(), extra=rule_lists(max_size=1), asked=GIVEN)
def test_adding_a_deny_never_allows_more(rules: list[Table], extra: list[Table], asked: Table) -> None:
    """One more deny leaves the answer as it was or denies."""
    denies = [{**{name: rule[name] for name in ("who", "task")}, "id": "extra", "effect": "deny"} for rule in extra]

    before = build(rules).decide(ask(asked))
    after = build(rules + denies).decide(ask(asked))

    assert after == before or outcome(after) == "denied"


@few
@given_data(rules=rule_lists(), extra=rule_lists(max_size=1), asked=GIVEN)
def test_adding_a_require_never_asks_for_less(rules: list[Table], extra: list[Table], asked: Table) -> None:
    """One more require leaves the outcome or makes it stricter, and grants nothing."""
    requires = [
        {**rule, "id": "extra", "effect": "require", "then": rule.get("then") or {"reason": "required"}} for rule in extra
    ]

    before = build(rules).decide(ask(asked))
    after = build(rules + requires).decide(ask(asked))

    assert STRICT.index(outcome(after)) <= STRICT.index(outcome(before))
    assert isinstance(after, Allow) == isinstance(before, Allow)
    if isinstance(before, Allow) and isinstance(after, Allow):
        assert after.obligations.token_seconds <= before.obligations.token_seconds


@few
@given_data(rules=rule_lists(), asked=GIVEN)
def test_a_recorded_question_is_decided_again_the_same(rules: list[Table], asked: Table) -> None:
    """What is kept of a question is enough to decide it again."""
    policy = build(rules)
    first = ask(asked)

    assert policy.decide(question(given(first))) == policy.decide(first)


@few
@given_data(rules=rule_lists(), asked=GIVEN)
def test_explain_says_what_is_decided_and_names_no_stranger(rules: list[Table], asked: Table) -> None:
    """The explanation carries the decision; every near miss is for this person and did not decide."""
    policy = build(rules)
    explanation = policy.explain(ask(asked))

    assert explanation.decision == policy.decide(ask(asked))
    assert tuple(rule.id for rule in explanation.rules) == explanation.decision.rules
    for miss in explanation.near_misses:
        assert miss.rule.who.holds(ask(asked).requester)
        assert miss.rule.id not in explanation.decision.rules
    assert explanation.json()["outcome"] == outcome(explanation.decision)


@few
@given_data(asked=GIVEN)
def test_the_rule_that_explain_offers_allows_it(asked: Table) -> None:
    """For a deny by default, the rule that would allow exactly this does so, and its content is needed where it is known."""
    offered = build([]).explain(ask(asked)).qualifying_rule

    from elevate.policy import Source, load

    decision = load([Source(name="x.toml", data=offered.encode())]).decide(ask(asked))
    task = asked["task"]
    doubtful = task.get("sha256") == "undetermined" or ("sha256" not in task and task.get("writable", False) is not False)
    assert isinstance(decision, Allow) or doubtful


@few
@given_data(
    who=st.lists(st.tuples(st.sampled_from(("allow", "deny", "require")), WHO), min_size=9, max_size=30),
    folder=st.booleans(),
    asked=GIVEN,
)
def test_buckets_that_are_split_by_person_lose_nobody(who: list[tuple[str, Table]], *, folder: bool, asked: Table) -> None:
    """Many rules under one selector, for people by name, by group, or anyone."""
    task = {"kind": "process.run", **({"directory": ["/a", "/a/b"]} if folder else {})}
    rules: list[Table] = [
        {
            "id": f"r{at:02}",
            "effect": effect,
            "who": one,
            "task": task,
            **({"then": {"reason": "required"}} if effect == "require" else {}),
        }
        for at, (effect, one) in enumerate(who)
    ]

    decision = build(rules).decide(ask(asked))

    expected, ids, _ = evaluate(rules, asked)
    assert (outcome(decision), decision.rules) == (expected, ids)
