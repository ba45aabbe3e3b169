"""One form for files, rules written back, old questions asked again, and rules that the log suggests."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from elevate.errors import PolicyError
from elevate.model import Allow
from elevate.policy import Policy, Question, Source, given, load, record_of
from elevate.policy.fmt import format_rules
from elevate.policy.replay import Recorded, diff, outcome_of, questions_from, recorded, replay, witness
from elevate.policy.schema import json_schema
from elevate.policy.suggest import suggest
from elevate.policy.write import table_of, toml_of
from tests.unit.policy.build import ROOT, ask, policy, rule, run

FILES = sorted((ROOT / "policies").rglob("*.toml"))

MESSY = """# about the file
format   =  1
# about a
[[rule]]   # beside a
why = 'because'
task = {path="/x",   kind='process.run'}
# within a
effect="allow"
id = "a"

# about the service
[[service]]
uid = 1
name = "s"
executable = "/s"
[[rule]]
id = "b"
effect = "deny"
[rule.task]
kind = "process.run" # not a # in "text # here"
path = "/# no comment"
"""

NEAT = """# about the file
format = 1

# about a
[[rule]]
# beside a
# within a
id = "a"
effect = "allow"
task = { kind = "process.run", path = "/x" }
why = "because"

# about the service
[[service]]
name = "s"
uid = 1
executable = "/s"

[[rule]]
# not a # in "text # here"
id = "b"
effect = "deny"
task = { kind = "process.run", path = "/# no comment" }
"""


def test_one_form_keeps_comments_and_meaning() -> None:
    """Keys in one order, comments kept, the same document."""
    assert format_rules("a.toml", MESSY) == NEAT
    assert tomllib.loads(NEAT) == tomllib.loads(MESSY)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_forming_twice_changes_nothing(file: Path) -> None:
    """And what ships means the same in its one form."""
    once = format_rules(file.name, file.read_text())

    assert format_rules(file.name, once) == once
    assert tomllib.loads(once) == tomllib.loads(file.read_text())
    assert once.count("#") == file.read_text().count("#")


@pytest.mark.parametrize(("text", "formed"), [("", ""), ("# only this\n", "# only this\n"), ("format = 1", "format = 1\n")])
def test_nearly_empty_files_are_formed(text: str, formed: str) -> None:
    """No rules, no trouble."""
    assert format_rules("a.toml", text) == formed


def test_bad_file_is_not_formed() -> None:
    """What can't be read is told, not rewritten."""
    with pytest.raises(PolicyError, match=r"a\.toml:1:"):
        format_rules("a.toml", "[[rule]\n")


FULL = (
    rule(
        "full",
        who='{ user = ["alice", "bob"], machine = "m", remote = true }',
        task='{ kind = "process.run", signer = "C", product = "P", version = ">=1, <2", manifest = "asInvoker", input = false,'
        ' installer = true, arguments = { patterns = ["a", ["b", "c*"]], rest = "d", contains = "b" } }',
        when='{ days = ["mon", "tue"], start = "08:00", end = "17:30", zone = "Europe/Berlin", not_after = "2030-01-01" }',
        then='{ prompt = "approval", approvals = 2, reason = "required", ticket = "INC-#", env = ["A"], network = false }',
        why='"with \\"quotes\\" and # sign"',
    )
    + rule("loose", "require", task='{ directory = "/x" }', when='{ days = "sun" }', then='{ read_only = ["/a", "/b"] }')
    + rule("no", "deny", who='{ group = "g" }', task='{ service = "s", action = ["stop"] }', message='"no"')
    + rule("exact", task='{ kind = "process.run", arguments = [] }')
    + rule("all", "deny", task="{}")
)


def same(one: Policy, other: Policy) -> bool:
    members = ("id", "effect", "who", "kinds", "by", "values", "conditions", "then", "rank", "why", "message")
    return [[getattr(rule, name) for name in members] for rule in one.rules] == [
        [getattr(rule, name) for name in members] for rule in other.rules
    ]


def test_rules_written_back_read_as_the_same() -> None:
    """Every key survives."""
    first = policy(FULL)

    again = policy("\n".join(toml_of(rule) + "\n" for rule in first.rules))

    assert same(first, again)


def test_schema_knows_every_key_that_is_written() -> None:
    """Editors see what the reader takes."""
    known: Any = json_schema()["properties"]
    properties = known["rule"]["items"]["properties"]

    for one in policy(FULL).rules:
        for name, value in table_of(one).items():
            assert name in properties
            if isinstance(value, dict):
                assert set(value) <= set(properties[name]["properties"])


def test_witness_of_a_rule_matches_it() -> None:
    """A question made from a rule is one that it decides."""
    allows = [one for one in FULL.split("[[rule]]") if '"full"' in one or '"exact"' in one]
    for text in ["[[rule]]" + one for one in allows] + [f.read_text() for f in FILES]:
        loaded = policy(text)
        for one in loaded.rules:
            made = witness(one, one.kinds[0])
            assert made is not None
            if one.effect == "allow" and len(loaded.rules) == 1:
                assert loaded.decide(made).rules == (one.id,)
            if one.effect == "deny":
                assert one.id in loaded.decide(made).rules


def entry(question: Question, loaded: Policy) -> dict[str, Any]:
    """As an entry's body: what the broker writes of a decision."""
    decision = loaded.decide(question)
    outcome = outcome_of(decision) if isinstance(decision, Allow) else "deny"
    return {"decision": {"outcome": outcome, "rules": list(decision.rules), "policy": loaded.digest}, **record_of(question)}


OLD = rule("below", task='{ kind = "process.run", directory = "/usr" }')


def records(*questions: Question) -> list[Recorded]:
    loaded = policy(OLD)
    found = [recorded(f"r{at}", entry(one, loaded)) for at, one in enumerate(questions)]
    return [one for one in found if one is not None]


def test_replay_of_the_same_policy_changes_nothing() -> None:
    """What was decided is decided again."""
    assert list(replay(policy(OLD), records(run(), run("/home/x"), run("/usr/bin/y", "-v", env={"LANG": "C"})))) == []


def test_replay_names_what_changes_and_in_which_direction() -> None:
    """A candidate that denies one and allows another."""
    candidate = policy(
        rule("apt", "deny", task='{ kind = "process.run", path = "/usr/bin/apt" }')
        + rule("home", task='{ kind = "process.run", directory = "/home" }', then='{ prompt = "consent" }')
    )

    changes = {change.request: change for change in replay(candidate, records(run(), run("/home/x")))}

    assert changes["r0"].direction == "narrower"
    assert changes["r0"].render() == "narrower: credential -> denied: alice: /usr/bin/apt (below -> apt)"
    assert (changes["r1"].direction, changes["r1"].after) == ("wider", "consent")
    assert changes["r1"].json()["rules_after"] == ["home"]


def test_other_rules_with_the_same_outcome_are_neither_wider_nor_narrower() -> None:
    """Only the rules differ."""
    candidate = policy(rule("apt", task='{ kind = "process.run", path = "/usr/bin/apt" }'))

    assert [change.direction for change in replay(candidate, records(run()))] == ["other"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": {}},
        {"decision": {"outcome": "deny", "rules": []}},
        {"question": {"task": {"kind": "nonsense"}}, "decision": {"outcome": "deny", "rules": []}},
        {"question": given(run()), "decision": {"outcome": "odd", "rules": []}},
        {"question": given(run()), "decision": {"outcome": "deny", "rules": 3}},
    ],
)
def test_entries_without_a_question_are_passed_over(body: dict[str, Any]) -> None:
    """Erased, older or foreign entries stop nothing."""
    assert recorded("r", body) is None


def test_a_question_that_is_too_long_is_not_kept() -> None:
    """An entry has its bounds."""
    assert record_of(run("/x", "a" * 20_000)) == {}
    assert record_of(run("/x", "a"))


def test_diff_asks_what_the_rules_suggest() -> None:
    """Without a log, both sets' own rules say what to ask."""
    before, after = policy(OLD), policy(rule("opt", task='{ kind = "process.run", directory = "/opt" }'))

    changes = list(diff(before, after, questions_from(before, after)))

    assert [(change.request, change.direction) for change in changes] == [("below", "narrower"), ("opt", "wider")]


def test_suggestions_are_the_narrowest_with_their_evidence() -> None:
    """Twice denied, once allowed by a broad rule: two rules, each for exactly that task."""
    found = suggest(records(run("/home/x", "a"), run("/home/x", "a"), run("/usr/bin/y")), policy(OLD))

    assert [(one.why, one.replaces, one.evidence) for one in found] == [
        ("denied", (), ("r0", "r1")),
        ("approved", ("below",), ("r2",)),
    ]
    suggested = load([Source(name="s.toml", data=found[0].rule.encode())])
    assert isinstance(suggested.decide(run("/home/x", "a")), Allow)
    assert not isinstance(suggested.decide(run("/home/x", "b")), Allow)
    assert not isinstance(
        suggested.decide(ask({"kind": "process.run", "path": "/home/x", "arguments": ["a"]}, user="bob")), Allow
    )
    assert found[0].render().startswith("# nothing allowed 2 requests: r0, r1\n[[rule]]")


def test_what_a_rule_denied_is_not_suggested() -> None:
    """A deny was meant."""
    deny = rule("no", "deny", task='{ kind = "process.run" }')
    loaded = policy(deny)
    one = recorded("r", entry(run(), loaded))

    assert one is not None
    assert suggest([one], loaded) == []
