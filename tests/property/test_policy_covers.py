"""When lint says that one rule covers another, or that two never meet, no question says otherwise."""

from itertools import permutations

import pytest
from hypothesis import given as given_data
from hypothesis import settings
from hypothesis import strategies as st

from elevate.model import Fact
from elevate.policy.covers import covers, overlap
from elevate.policy.engine import facts_of, matches
from tests.property.policies import GIVEN, WHO, Table, ask, build, tasks
from tests.unit.policy.build import policy, rule

RULES = st.lists(st.tuples(WHO, tasks()), min_size=2, max_size=8)
ASKED = st.lists(GIVEN, min_size=1, max_size=8)


def deny_rules(parts: list[tuple[Table, Table]]) -> list[Table]:
    return [{"id": f"r{at}", "effect": "deny", "who": who, "task": task} for at, (who, task) in enumerate(parts)]


@settings(max_examples=100, deadline=None)
@given_data(parts=RULES, asked=ASKED)
def test_what_is_covered_never_matches_alone(parts: list[tuple[Table, Table]], asked: list[Table]) -> None:
    """Whatever the narrow rule matches, the wide one matches too."""
    pairs = [pair for pair in permutations(build(deny_rules(parts)).rules, 2) if covers(*pair)]

    for question in map(ask, asked):
        facts = facts_of(question)
        for wide, narrow in pairs:
            assert matches(wide, facts, question) or not matches(narrow, facts, question)


@settings(max_examples=100, deadline=None)
@given_data(parts=RULES, asked=ASKED)
def test_what_never_meets_never_matches_together(parts: list[tuple[Table, Table]], asked: list[Table]) -> None:
    """With facts that are known and no link between, two rules that do not overlap never match the same question."""
    pairs = [pair for pair in permutations(build(deny_rules(parts)).rules, 2) if not overlap(*pair)]

    for question in map(ask, asked):
        facts = facts_of(question)
        if Fact.UNDETERMINED not in facts.values() and "real_path" not in facts:
            for one, other in pairs:
                assert not (matches(one, facts, question) and matches(other, facts, question))


@settings(max_examples=100, deadline=None)
@given_data(parts=RULES)
def test_every_rule_covers_itself_and_what_it_covers_overlaps(parts: list[tuple[Table, Table]]) -> None:
    """And overlapping goes both ways."""
    rules = build(deny_rules(parts)).rules

    assert all(covers(one, one) for one in rules)
    for one, other in permutations(rules, 2):
        assert overlap(one, other) == overlap(other, one)
        assert overlap(one, other) or not covers(one, other)


@pytest.mark.parametrize(
    ("wide", "narrow", "covered", "meets"),
    [
        ('{ directory = "/a" }', '{ directory = "/a/b" }', True, True),
        ('{ directory = "/a" }', '{ directory = ["/a", "/c"] }', False, True),
        ('{ directory = "/a" }', '{ path = "/a/b" }', True, True),
        ('{ directory = "/a/b" }', '{ path = "/a/c" }', False, False),
        ('{ directory = "/" }', '{ path = "/x" }', True, True),
        ('{ package = ["x", "y"] }', '{ package = "x" }', True, True),
        ('{ package = "x" }', '{ package = "y" }', False, False),
        ('{ package = "x" }', '{ signer = "y" }', False, True),
        ('{ kind = "file.write" }', '{ kind = "package.install" }', False, False),
        ('{ service = "a" }', '{ service = "a", action = "stop" }', True, True),
        ('{ service = "a", action = ["stop", "start"] }', '{ service = "a", action = "stop" }', True, True),
    ],
)
def test_tasks_that_cover_and_meet(wide: str, narrow: str, *, covered: bool, meets: bool) -> None:
    """Folders, alternatives, kinds and further conditions."""
    one, other = policy(rule("a", "deny", task=wide) + rule("b", "deny", task=narrow)).rules

    assert covers(one, other) is covered
    assert overlap(one, other) is meets


@pytest.mark.parametrize(
    ("wide", "narrow", "covered", "meets"),
    [
        ("{}", '{ user = "a" }', True, True),
        ('{ user = ["a", "b"] }', '{ user = "a" }', True, True),
        ('{ user = "a" }', '{ user = "b" }', False, False),
        ('{ group = "a" }', '{ group = "b" }', False, True),
        ('{ user = "a" }', '{ user = "a", group = "g" }', True, True),
        ("{ remote = true }", "{}", False, True),
        ("{ remote = true }", "{ remote = false }", False, False),
    ],
)
def test_people_who_cover_and_meet(wide: str, narrow: str, *, covered: bool, meets: bool) -> None:
    """A person may be in any groups, but has one name."""
    one, other = policy(rule("a", "deny", who=wide, task="{}") + rule("b", "deny", who=narrow, task="{}")).rules

    assert covers(one, other) is covered
    assert overlap(one, other) is meets
