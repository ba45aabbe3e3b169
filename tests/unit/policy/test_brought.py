"""Rules for services that an earlier step brings: an allow says so, a deny and a require are for them anyway."""

import pytest

from elevate.model import Allow
from elevate.policy import Source, load
from elevate.policy.cedar import export, request
from elevate.policy.write import toml_of
from tests.unit.policy.build import ask, policy, problems, rule

HERE: dict[str, object] = {"kind": "service.control", "service": "x", "action": "start"}
BROUGHT: dict[str, object] = {**HERE, "brought": "step 2"}
PLAIN = '{ kind = "service.control", service = "x" }'
ALSO = '{ kind = "service.control", service = "x", brought = true }'
ONLY_HERE = '{ kind = "service.control", service = "x", brought = false }'


@pytest.mark.parametrize(
    ("task", "here", "brought"), [(PLAIN, True, False), (ONLY_HERE, True, False), (ALSO, True, True), ("{}", True, False)]
)
def test_an_allow_is_for_what_is_there_unless_it_says_more(task: str, *, here: bool, brought: bool) -> None:
    """One rule with the word serves an installation and the upgrade after it."""
    rules = policy(rule("a", task=task))
    found = [isinstance(rules.decide(ask(one)), Allow) for one in (HERE, BROUGHT)]
    assert found == [here, brought]


@pytest.mark.parametrize("effect", ["deny", "require"])
def test_what_takes_or_raises_is_for_both(effect: str) -> None:
    """Nothing gets round it by being new."""
    then = {"then": '{ reason = "required" }'} if effect == "require" else {}
    rules = policy(rule("a", task=ALSO) + rule("b", effect=effect, task=PLAIN, **then))
    decided = rules.decide(ask(BROUGHT))
    assert not isinstance(decided, Allow) or decided.obligations.reason_required
    assert "brought does not go with effect" in problems(rule("b", effect=effect, task=ALSO, **then))


def test_a_near_miss_says_what_is_wanted() -> None:
    """And a rule survives being written down."""
    said = policy(rule("a", task=PLAIN)).explain(ask(BROUGHT)).text()
    assert "a service that the machine has" in said
    assert "brought by step 2" in said
    for task in (PLAIN, ALSO):
        (one,) = policy(rule("a", task=task)).rules
        (again,) = load([Source(name="a.toml", data=toml_of(one).encode())]).rules
        assert again.conditions == one.conditions
    assert "brought = true" in toml_of(policy(rule("a", task=ALSO)).rules[0])


def test_other_tasks_are_not_asked() -> None:
    """Only a service is brought; the words of the condition say so for both."""
    (one,) = policy(rule("a", task=ALSO)).rules
    wants, found = one.conditions[-1].wants(), one.conditions[-1].found({}, ask(HERE))
    assert (wants, found) == ("a service that the machine has or an earlier step brings", "the machine has it")


def test_cedar_says_the_same() -> None:
    """The fact is in the request, and the absence of it in the rule."""
    assert "!(context has brought)" in export(policy(rule("a", task=PLAIN)).rules).text
    assert "!(context has brought)" not in export(policy(rule("a", task=ALSO)).rules).text
    context = request(ask(BROUGHT))[0]["context"]
    assert isinstance(context, dict)
    assert context["brought"] == "step 2"
