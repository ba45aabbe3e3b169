"""What seldom happens: bounds, quoted keys, windows that never come, caches that are full."""

import pytest

from elevate.policy import Source, engine, load, question, sources
from elevate.policy.fmt import format_rules
from elevate.policy.lint import Context, lint
from elevate.policy.replay import Recorded, witness
from elevate.policy.suggest import suggest
from elevate.policy.write import toml_of
from tests.unit.policy.build import ask, policy, problems, rule, run


def test_too_many_rules_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded, and the place is named."""
    # The bound is a million; the test lowers it rather than wait.
    monkeypatch.setattr(sources, "MAX_RULES", 2)

    told = problems("".join(rule(name, "deny", task="{}") for name in "abcd"))

    assert told.count("more than 2 rules") == 1
    assert "a.toml:9:1" in told


def test_too_long_list_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is parsed."""
    monkeypatch.setattr(sources, "MAX_JSONL_BYTES", 10)

    assert "over 0 MB" in problems(b"x" * 11, name="a.jsonl")


def test_many_different_decisions_stay_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered is bounded, and forgetting changes nothing."""
    monkeypatch.setattr(engine, "_KEPT", 1)
    text = "".join(
        rule(name, task=f'{{ kind = "process.run", path = "/{name}" }}', then=f"{{ token_seconds = {at + 1} }}")
        for at, name in enumerate("abcd")
    )
    loaded = policy(text)

    for _ in range(2):
        for at, name in enumerate("abcd"):
            decision = loaded.decide(run(f"/{name}"))
            assert decision.rules == (name,)
            assert getattr(decision, "obligations").token_seconds == at + 1  # noqa: B009 - a union of two


def test_syntax_errors_without_end_are_bounded() -> None:
    """Each block has one; only so many are told."""
    told = problems("[[rule]]\nid = x y\n" * 40)

    assert told.startswith("the policy has 20 problems")


def test_a_file_that_is_all_one_mistake_ends() -> None:
    """Nothing is left to be read again."""
    assert "not TOML" in problems("= = =")
    assert "not TOML" in problems("\n\n\x01")


@pytest.mark.parametrize("key", ['"quoted\\u0020key"', "'quoted key'"])
def test_quoted_keys_have_places(key: str) -> None:
    """As written in the file."""
    assert "a.toml:5:1: unknown key 'quoted key'" in problems(rule("a", task="{}") + f"{key} = 1\n")


def test_undetermined_path_and_version_stop_no_deny() -> None:
    """By folder and by version, as by any other fact."""
    below = rule("below", "deny", task='{ kind = "package.install", directory = "/srv" }')
    old = rule("old", "deny", task='{ kind = "package.install", package = "x", version = "<2" }')
    asked = ask({"kind": "package.install", "path": "undetermined", "package": "x", "version": "undetermined"})

    assert policy(below + old).decide(asked).rules == ("below", "old")
    assert policy(below.replace("deny", "allow")).decide(asked).rules == ()


def test_service_identities_find_their_rules_among_many() -> None:
    """A bucket that is split by person has a place for them too."""
    text = "".join(rule(f"r{at}", "deny", who=f'{{ service = "s{at}" }}', task='{ kind = "process.run" }') for at in range(12))

    assert policy(text).decide(question({"service": "s7", "task": {"kind": "process.run", "path": "/x"}})).rules == ("r7",)


def test_path_within_a_folder_is_written_back() -> None:
    """Two selectors in one rule."""
    text = toml_of(
        policy(rule("a", task='{ path = "/a/b", directory = "/a" }', when='{ start = "08:00", end = "09:00" }')).rules[0]
    )

    assert 'path = "/a/b", directory = "/a"' in text
    assert toml_of(policy(text).rules[0]) == text


def test_windows_that_a_question_can_not_be_made_for() -> None:
    """No whole hour lies within, or the moment is beyond the calendar of the test."""
    narrow = policy(rule("a", task='{ kind = "file.write" }', when='{ start = "08:10", end = "08:20" }')).rules[0]

    made = witness(narrow, "file.write")

    assert made is not None
    assert made.now.unix == 1_767_614_400


def test_question_for_a_rule_whose_kind_it_does_not_fit_is_left_out() -> None:
    """A path that a task can't have."""
    long = "/" + "a" * 4094
    (one,) = policy(rule("a", task=f'{{ kind = "package.install", directory = "{long}" }}')).rules

    assert witness(one, "package.install") is None


def test_suggestion_for_programs() -> None:
    """Rule, reason, what it replaces and its evidence."""
    (one,) = suggest([Recorded(request="r", question=run("/x"), outcome="denied", rules=())], policy(""))

    told = one.json()
    assert (told["why"], told["replaces"], told["evidence"]) == ("denied", [], ["r"])


def test_dates_of_tests_stay_dates() -> None:
    """A native date in a test is not turned into text."""
    text = '[[test]]\ngiven = { at = 2026-01-05T12:00:00Z, task = { kind = "process.run", path = "/x" } }\n'
    text += 'expect = { outcome = "denied" }\n'

    assert "at = 2026-01-05T12:00:00+00:00" in format_rules("a.toml", text)
    assert load([Source(name="a.toml", data=format_rules("a.toml", text).encode())]).tests[0].given.now.unix == 1_767_614_400


def test_denies_that_cover_each_other_are_not_both_dead() -> None:
    """One of them must stay; which one is not lint's to say."""
    one = rule("a", "deny", task='{ kind = "process.run", path = "/a/b", directory = "/a" }')
    other = rule("b", "deny", task='{ kind = "process.run", path = "/a/b" }')

    assert lint(policy(one + other), Context(now=0)) == []


def test_requires_meet_allows_by_other_selectors() -> None:
    """A require by folder reaches an allow by a folder below it, and one by content."""
    require = rule("r", "require", task='{ kind = "process.run", directory = "/opt" }', then='{ reason = "required" }')
    below = rule("a", who='{ group = "g" }', task='{ kind = "process.run", directory = "/opt/x" }')
    apart = rule("a", who='{ group = "g" }', task='{ kind = "process.run", directory = "/srv/x" }')

    assert "unreachable-require" not in [one.id for one in lint(policy(require + below), Context(now=0))]
    assert "unreachable-require" in [one.id for one in lint(policy(require + apart), Context(now=0))]
