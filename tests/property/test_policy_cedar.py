"""Another engine agrees: what is exported to Cedar answers as the policy does."""

import pytest
from hypothesis import given as given_data
from hypothesis import settings

from elevate.model import Allow
from elevate.policy.cedar import export, request
from elevate.policy.rule import Effect
from tests.property.policies import GIVEN, Table, ask, build, rule_lists
from tests.unit.policy.build import ask as ask_task
from tests.unit.policy.build import policy, rule

cedarpy = pytest.importorskip("cedarpy", reason="the extra bench is not installed")


def cedar_allows(text: str, asked: Table) -> tuple[bool, list[str]]:
    wanted, entities = request(ask(asked))
    result = cedarpy.is_authorized(wanted, text, entities)
    assert result.diagnostics.errors == []
    return result.allowed, sorted(result.diagnostics.reasons)


@settings(max_examples=100, deadline=None)
@given_data(rules=rule_lists(), asked=GIVEN)
def test_cedar_gives_the_same_answer(rules: list[Table], asked: Table) -> None:
    """Yes where Cedar says yes, no where it says no, for every generated rule set."""
    loaded = build(rules)
    exported = export(loaded.rules)
    decision = loaded.decide(ask(asked))

    allowed, _ = cedar_allows(exported.text, asked)

    assert allowed == isinstance(decision, Allow)
    assert all("a require has no counterpart" in line for line in exported.left_out)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ('{ kind = "process.run", arguments = { patterns = ["*.deb"] } }', "task.arguments"),
        ('{ kind = "package.install", package = "x", version = ">=1" }', "task.version"),
    ],
)
def test_what_cedar_can_not_say_never_allows_more(task: str, says: str) -> None:
    """An allow is left out whole; a deny loses the condition and denies more."""
    loaded = policy(rule("yes", task=task) + rule("no", "deny", task=task))

    exported = export(loaded.rules)

    assert exported.left_out == (f"yes: {says}: left out", f"no: {says}: denies without it")
    assert "permit" not in exported.text
    assert "forbid" in exported.text


def test_every_effect_of_the_sets_that_ship_is_told() -> None:
    """What stays behind is named, rule by rule."""
    loaded = policy(rule("floor", "require", task="{}", then='{ reason = "required" }') + rule("all", task="{}"))

    exported = export(loaded.rules)

    assert [one.effect for one in loaded.rules] == [Effect.REQUIRE, Effect.ALLOW]
    assert exported.left_out == ("floor: a require has no counterpart",)
    assert cedarpy.is_authorized(*_of(exported.text)).allowed


def _of(text: str) -> tuple[object, str, object]:
    wanted, entities = request(ask_task({"kind": "service.control", "service": "x", "action": "stop"}))
    return wanted, text, entities


@pytest.mark.parametrize(
    ("parts", "asked", "allowed"),
    [
        ({"task": '{ kind = "process.run", arguments = { prefix = ["a", "b*"] } }'}, {"arguments": ["a", "b*", "c"]}, True),
        ({"task": '{ kind = "process.run", arguments = { prefix = ["a", "b*"] } }'}, {"arguments": ["a", "bb"]}, False),
        ({"task": '{ kind = "process.run", arguments = ["\\"", "\u00e9"] }'}, {"arguments": ['"', "\u00e9"]}, True),
        ({"task": '{ kind = "process.run" }', "when": '{ not_after = "2026-01-06" }'}, {}, True),
        ({"task": '{ kind = "process.run" }', "when": '{ not_before = "2026-01-06" }'}, {}, False),
        ({"task": '{ kind = "process.run" }', "who": '{ sid = "S-1-5-1", machine = "m" }'}, {}, False),
        ({"task": '{ kind = "process.run", input = true }'}, {"input": True}, True),
        ({"task": '{ kind = "process.run" }', "then": '{ env = ["A"] }'}, {"env": {"A": "1"}}, True),
        ({"task": '{ kind = "process.run" }', "then": '{ env = ["A"] }'}, {"env": {"B": "1"}}, False),
    ],
)
def test_conditions_mean_the_same_in_cedar(parts: dict[str, str], asked: Table, *, allowed: bool) -> None:
    """Arguments, dates, people, input and environment."""
    loaded = policy(rule("r", **parts))
    wanted: Table = {"user": "alice", "task": {"kind": "process.run", "path": "/x", **asked}}

    assert isinstance(loaded.decide(ask(wanted)), Allow) is allowed
    assert cedar_allows(export(loaded.rules).text, wanted)[0] is allowed
