"""Questions from files and records, what explain says of them, and what is told of tests that fail."""

import pytest

from elevate.model import Blob, Fact, FileFact, InspectedTask
from elevate.policy import Settings, given, load, parse_sources, question, run_tests
from elevate.policy.engine import facts_of
from elevate.policy.problems import RefusedValue
from elevate.policy.rule import Question
from elevate.tasks import Task
from tests.unit.policy.build import ask, policy, problems, rule, run

RUN = {"kind": "process.run", "path": "/x"}


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (3, ()),
        ({"groups": "a", "task": RUN}, ("groups",)),
        ({"task": 3}, ("task",)),
        ({"user": 3, "task": RUN}, ("user",)),
        ({"remote": "yes", "task": RUN}, ("remote",)),
        ({"at": "noon", "task": RUN}, ("at",)),
        ({"task": {**RUN, "arguments": "a"}}, ("task", "arguments")),
        ({"task": {**RUN, "writable": "yes"}}, ("task", "writable")),
        ({"task": {**RUN, "pth": "a"}}, ("task", "pth")),
        ({"task": {"kind": "odd"}}, ("task", "kind")),
        ({"task": {"kind": "process.run"}}, ("task",)),
    ],
)
def test_question_that_is_none_says_where(asked: object, path: tuple[str, ...]) -> None:
    """The path of what is wrong."""
    with pytest.raises(RefusedValue) as caught:
        question(asked)

    assert caught.value.path == path


def test_question_is_recorded_whole_and_read_again() -> None:
    """Everything that can decide survives; what is not known stays not known."""
    asked = {
        "user": "alice",
        "sid": "S-1-5-21-1",
        "groups": ["a", "b"],
        "machine": "m",
        "service": "s",
        "remote": True,
        "reason": "INC-1",
        "at": "2026-03-01T08:00:00Z",
        "task": {
            **RUN,
            "arguments": ["a"],
            "input": True,
            "env": {"LANG": "C"},
            "signer": "undetermined",
            "installer": "undetermined",
        },
    }

    record = given(question(asked))

    assert given(question(record)) == record
    assert record["task"] == {**asked["task"], "sha256": "unsigned", "writable": False}  # type: ignore[dict-item]
    assert {name: record[name] for name in asked if name != "task"} == {name: asked[name] for name in asked if name != "task"}


def test_facts_come_from_the_opened_file_where_the_host_names_them_only_there() -> None:
    """Path and content of the file that was hashed."""
    plain = run("/x")
    task = InspectedTask(task=plain.task.task, argv=("/x",), cwd="/", file=FileFact(path="/real", sha256="a" * 64, size=1))

    facts = facts_of(Question(requester=plain.requester, task=task, now=plain.now))

    assert facts == {"path": "/real", "sha256": "a" * 64}


def test_written_files_content_is_no_fact() -> None:
    """What lies there now says nothing of what will be written."""
    plain = run("/x")
    write = Task.parse("file.write", {"path": "/etc/x", "cwd": "/"})
    file = FileFact(path="/etc/x", sha256="a" * 64, size=1)
    task = InspectedTask(task=write, argv=(), cwd="/", file=file, payload=Blob(sha256="b" * 64, size=3))

    asked = Question(requester=plain.requester, task=task, now=plain.now)

    assert facts_of(asked) == {"path": "/etc/x"}
    assert given(asked)["task"] == {"kind": "file.write", "path": "/etc/x"}


MISSES = {
    '{ kind = "process.run", path = "/x" }': ("a file in folders that", "the requester can write"),
    '{ kind = "process.run", input = true }': ("input true", "input false"),
    '{ kind = "process.run", installer = true }': ("installer true", "installer false"),
    '{ kind = "process.run", package = "vim", version = ">=9" }': ("package vim", "package none"),
    '{ kind = "process.run", sha256 = "%s" }' % ("a" * 64): ("sha256 aaaa", "sha256 not known"),
    '{ kind = "process.run", directory = "/opt" }': ("a file below /opt", "path /x"),
    '{ kind = "process.run", signer = "C", version = "1" }': ("signer C", "signer none"),
}


@pytest.mark.parametrize("task", MISSES)
def test_near_miss_says_what_is_wanted_and_found(task: str) -> None:
    """In words that tell what would qualify."""
    wanted, found = MISSES[task]

    (miss,) = policy(rule("r", task=task)).explain(run("/x", writable=True, sha256="undetermined")).near_misses

    assert miss.wanted.startswith(wanted)
    assert miss.found.startswith(found)


def test_near_misses_of_time_environment_and_version() -> None:
    """The window and the time, the names and the additions, the range and the version."""
    text = (
        rule("a", task='{ kind = "process.run" }', when='{ start = "22:00", end = "23:00", days = ["mon", "sun"] }')
        + rule("b", task='{ kind = "process.run" }', when='{ not_after = "2026-01-01" }')
        + rule("c", task='{ kind = "process.run", arguments = [] }', then='{ env = ["LANG"] }')
        + rule("d", task='{ kind = "process.run", package = "vim", version = "<9" }')
    )

    misses = policy(text).explain(run("/x", env={"EVIL": "1"}, package="vim", version="9.1")).near_misses

    told = {miss.rule.id: (miss.key, miss.wanted, miss.found) for miss in misses}
    assert told == {
        "a": ("when", "22:00 to 23:00 UTC on mon, sun", "mon 12:00"),
        "b": ("when", "before 2026-01-01 00:00 UTC", "it is 2026-01-05 12:00 UTC"),
        "c": ("then.env", "environment additions only of LANG", "environment additions EVIL"),
        "d": ("task.version", "version <9", "version 9.1"),
    }


def test_explanation_of_a_deny_gives_its_message_and_no_rule_to_add() -> None:
    """What a rule denies is not to be got round."""
    explanation = policy(rule("no", "deny", task="{}", message='"ask Tom"', why='"because"')).explain(run())

    assert explanation.text() == "denied: /usr/bin/apt\n  decided by no (0.toml:1): because\n  message: ask Tom"
    assert explanation.qualifying_rule == ""


def test_explanation_of_an_allow_tells_where_each_demand_comes_from() -> None:
    """Obligation by obligation."""
    text = rule("all", task="{}", then="{ token_seconds = 20 }") + rule(
        "floor", "require", task="{}", then='{ token_seconds = 20, reason = "required" }'
    )

    explanation = policy(text).explain(run())

    assert dict(explanation.obligation_sources) == {"prompt": ("all",), "reason": ("floor",), "token_seconds": ("all", "floor")}
    assert "reason comes from floor" in explanation.text()
    assert explanation.json()["obligation_sources"] == {
        "prompt": ["all"],
        "reason": ["floor"],
        "token_seconds": ["all", "floor"],
    }


def test_explanation_of_a_service_says_nobody_is_asked() -> None:
    """It is allowed, not "allowed after"."""
    text = rule("ci", who='{ service = "ci" }', task='{ path = "/x", kind = "file.write" }', then='{ prompt = "service" }')
    asked = ask({"kind": "file.write", "path": "/x"}, service="ci")

    assert (
        policy(text, settings=Settings(services=frozenset({"ci"}))).explain(asked).text().startswith("allowed: file.write /x\n")
    )


def test_rules_for_other_people_are_never_shown() -> None:
    """A denied person learns nothing of others."""
    text = rule("secret", who='{ user = "bob" }', task='{ kind = "process.run" }') + rule(
        "far", who="{ remote = true }", task="{}"
    )

    explanation = policy(text).explain(run())

    assert "secret" not in explanation.text()
    assert explanation.near_misses == ()


def test_failed_tests_tell_what_was_expected() -> None:
    """Outcome, rules and obligations, each with what came instead."""
    test = '[[test]]\nname = "t"\ngiven = { task = { kind = "process.run", path = "/x" } }\n'
    test += 'expect = { outcome = "consent", rules = ["b"], obligations = { token_seconds = 10, network = false } }\n'

    run_of = run_tests(policy(rule("a", task="{}") + test))

    assert run_of.results[0].failures == (
        "expected consent, decided credential by a",
        "expected the rules b, decided by a",
        "expected network False, it is not demanded",
        "expected token_seconds 10, it is 30",
    )
    assert run_of.json() == {
        "passed": 0,
        "failed": 1,
        "uncovered": [],
        "tests": [{"name": "t", "file": "0.toml", "line": 5, "failures": list(run_of.results[0].failures)}],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("who = { machine = 3 }", "a machine is text, not a number"),
        ('who = { user = " a" }', "not a user"),
        ("who = { sid = 3 }", "a SID is text, not a number"),
        ('when = { start = "08:00", end = "08:00" }', "start and end are the same"),
        ('when = { zone = "UTC" }', "zone alone says nothing"),
        ('when = { not_before = "2026-02-01", not_after = "2026-01-01" }', "the rule would never hold"),
        ("when = { not_after = 2026-01-01 }", "a moment is text, not a date or a time"),
        ("then = { prompt = 1 }", "text is needed, not a number"),
        ('not = "x"', "there is no negation"),
        ('include = "x"', "there are no includes"),
        ("'quoted key' = 1", "unknown key 'quoted key'"),
    ],
)
def test_more_mistakes_are_told(text: str, message: str) -> None:
    """Each with its own words."""
    assert message in problems(rule("a", task="{}") + text + "\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rule("a", "require", task="{}", then='{ prompt = "service" }'), "a require can't ask for less than a person"),
        (rule("a", task="{ path = 3 }"), "a path is text, not a number"),
        (rule("a", task='{ package = "x", version = 3 }'), "a version range is text, not a number"),
        (rule("a", task="{ package = [" + '"x",' * 10_001 + "] }"), "more than 10000 in one rule"),
        ("service = [3]\n", "a service identity is a table"),
        ("rule = [3]\n", "a rule is a table"),
        ('[[service]]\nname = "a"\nuid = 1\nexecutable = "/a"\n' * 2, "duplicate service identity 'a'"),
        (
            (
                '[[test]]\ngiven = { task = { kind = "process.run", path = "/x" } }\n'
                'expect = { outcome = "denied", rules = "a" }\n'
            ),
            "a list of ids",
        ),
        ("odd = 1\n", "unknown key 'odd'"),
    ],
)
def test_mistakes_of_other_tables_are_told(text: str, message: str) -> None:
    """Requires, services, tests and the top of the file."""
    assert message in problems(text)


def test_problems_have_a_form_for_programs() -> None:
    """File, line, column, message and fix; a nameless file can be shown too."""
    from elevate.policy import Source

    (problem,) = parse_sources([Source(name="a.toml", data=b"format = 2\n")], Settings()).problems

    assert problem.json() == {
        "file": "a.toml",
        "line": 1,
        "column": 1,
        "message": "format 2 is not known to this version",
        "fix": "this version reads format 1",
    }


def test_service_identities_are_listed() -> None:
    """The broker asks for them by process."""
    loaded = policy('[[service]]\nname = "a"\nuid = 1\nexecutable = "/a"\n')

    assert [(one.name, one.uid, one.executable) for one in loaded.services] == [("a", 1, "/a")]


def test_a_signer_that_is_called_unsigned_is_not_unsigned() -> None:
    """The word stands for no signer only where the host says so."""
    loaded = policy(rule("r", task='{ kind = "process.run", signer = "unsigned" }'))
    plain = run()
    facts = dict(plain.task.facts)
    named = InspectedTask(
        task=plain.task.task, argv=plain.task.argv, cwd="/", facts=tuple(sorted({**facts, "signer": "unsigned"}.items()))
    )

    assert loaded.decide(run(signer="unsigned")).rules == ("r",)
    assert loaded.decide(Question(requester=plain.requester, task=named, now=plain.now)).rules == ()
    assert Fact.ABSENT in facts.values()


def test_empty_sources_deny_everything() -> None:
    """No file, no rule, no right."""
    assert load([]).decide(run()).rules == ()
    assert load([]).decide(ask({"kind": "service.control", "service": "x", "action": "stop"})).rules == ()
