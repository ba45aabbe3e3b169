"""A machine's own kinds: described in its rule files, strictly, and told where a description is wrong."""

import pytest

from elevate.kinds import KindSpec
from elevate.policy import Source, given, load, question, run_tests
from elevate.policy.lint import Context, lint
from elevate.policy.suggest import narrowest
from elevate.tasks import Task
from tests.own_kinds import FLUSH, RULE
from tests.unit.policy.build import policy, problems

TEST = """\

[[test]]
given = { user = "alice", task = { kind = "acme.flush-cache", path = "/usr/bin/echo", arguments = ["hard"] } }
expect = { outcome = "credential", rules = ["flush"] }
"""
EXACT = ', path = "/usr/bin/echo", arguments = ["--zone=eu", "soft", "1"]'


def kind(**changes: str) -> str:
    """Give a kind with one parameter, some of it changed."""
    parts = {
        "name": '"acme.go"',
        "display_name": '"Go"',
        "argv": '["/usr/bin/echo", "{zone}"]',
        "params": '{ zone = { type = "text", pattern = "[a-z]{1,8}" } }',
        **changes,
    }
    return "[[kind]]\n" + "\n".join(f"{name} = {value}" for name, value in parts.items() if value)


def test_a_kind_is_read() -> None:
    """Name, display name, what it runs, and its parameters with their bounds."""
    spec = policy(FLUSH).kinds["acme.flush-cache"]
    task = Task.of("acme.flush-cache", {spec.name: spec}, zone="eu-1", mode="hard", depth=3)
    assert (spec.display_name, task.title) == ("Flush Acme's cache",) * 2
    assert task.command == ("/usr/bin/echo", "--zone=eu-1", "hard", "3")
    assert task.display() == "acme.flush-cache depth=3 mode=hard zone=eu-1"
    assert task["time_limit_seconds"] == 60
    assert KindSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        (kind(display_name=""), "1:1", "no display_name"),
        (kind(display_name='" "'), "1:1", "display name"),
        (kind(display_name='"a\\u202eb"'), "1:1", "can be shown"),
        (kind(name='"go"'), "2:", "a kind's name"),
        (kind(name='"process.run"'), "1:1", "no name for a machine's own kind"),
        (kind(name='"file.erase"'), "1:1", "no name for a machine's own kind"),
        (kind(name='"Acme.go"'), "2:", "a kind's name"),
        (kind(argv='["echo", "{zone}"]'), "1:1", "whole path"),
        (kind(argv='["/bin/{zone}"]'), "1:1", "whole path"),
        (kind(argv="[]"), "4:", "argv is a list of words"),
        (kind(argv='"/usr/bin/echo {zone}"'), "4:", "argv is a list of words"),
        (kind(argv='["/usr/bin/echo"]'), "1:1", "zone is not in both"),
        (kind(argv='["/usr/bin/echo", "{zone}", "{other}"]'), "1:1", "other is not in both"),
        (kind(argv='["/usr/bin/echo", "{zone}{zone}"]'), "1:1", "at most one"),
        (kind(argv='["/usr/bin/echo", "{zone}", "{Zone}"]'), "1:1", "at most one"),
        (kind(argv='["/usr/bin/echo", "{zone}", "a}b"]'), "1:1", "at most one"),
        (kind(command='"true"'), "6:", "unknown key 'command'"),
        (kind(env="{}"), "6:", "unknown key 'env'"),
        (kind(time_limit_seconds="0"), "6:", "time_limit_seconds"),
        (kind(params="1"), "5:", "params"),
        (kind(params='{ Zone = { type = "text" } }'), "5:", "no parameter"),
        (kind(params='{ time_limit_seconds = { type = "number", least = 1, most = 2 } }'), "5:", "no parameter"),
        (kind(params='{ zone = { type = "path" } }'), "5:", "not known here"),
        (kind(params='{ zone = { type = "text" } }'), "5:", "of type text has pattern"),
        (kind(params='{ zone = { pattern = "a" } }'), "5:", "and no other bound"),
        (kind(params='{ zone = { type = "number", least = 2, most = 1 } }'), "5:", "least is over the most"),
        (kind(params='{ zone = { type = "choice", values = ["-x"] } }'), "5:", "not a value"),
        (kind() + "\n" + kind(), "7:", "a second kind"),
        ('kind = [{ name = "acme.go" }]', "1:1", "written as [[kind]]"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, where: str, message: str) -> None:
    """File, line and column, and nothing is loaded."""
    told = problems(text)
    assert f"a.toml:{where}" in told, told
    assert message in told, told


WIDE = "a?" * 8 + "a{0,999}a{0,999}"
UNBOUNDED = (WIDE, "a*", "a+", "(a)", "a|b", ".", "[^a]", "a{1,}", "a{1,2}b{1,2}c{1,2}")
UNKNOWN = ("[", "[z-a]", "a{2,1}", r"\\d", "", "é", "^a$")


@pytest.mark.parametrize("pattern", [*UNBOUNDED, *UNKNOWN])
def test_a_pattern_is_bounded(pattern: str) -> None:
    """It matches texts of bounded length in bounded time, and nothing that can't be shown."""
    assert "pattern" in problems(kind(params=f'{{ zone = {{ type = "text", pattern = "{pattern}" }} }}'))


def test_rules_name_it_and_tests_ask_about_it() -> None:
    """The kind, the rule for it and their tests are one file."""
    loaded = policy(FLUSH + RULE + TEST)
    assert [result.failures for result in run_tests(loaded).results] == [()]
    assert [finding.id for finding in lint(loaded, Context(now=0)) if finding.rule == "flush"] == ["anyone"]
    assert "kind: 'acme.flush-cach' is not known here" in problems(FLUSH + RULE.replace("cache", "cach"))
    assert "did you mean acme.flush-cache" in problems(FLUSH + RULE.replace("cache", "cach"))


@pytest.mark.parametrize(
    ("effect", "task", "outcome"),
    [
        ("allow", '{ path = "/usr/bin/echo", writable = false }', "credential"),
        ("allow", '{ kind = "process.run", path = "/usr/bin/echo" }', "denied"),
        ("allow", '{ kind = "acme.flush-cache", arguments = ["--zone=us"] }', "denied"),
        ("allow", "{}", "credential"),
        ("allow", '{ service = "nginx" }', "denied"),
        ("deny", '{ path = "/usr/bin/echo" }', "denied"),
        ("deny", "{}", "denied"),
    ],
)
def test_it_is_a_program_to_every_other_rule(effect: str, task: str, outcome: str) -> None:
    """A rule for any kind that has the keys of a program is for it, too: a deny is not slipped past."""
    allow = RULE if effect == "deny" else ""
    text = f'{FLUSH}{allow}\n[[rule]]\nid = "r"\neffect = "{effect}"\ntask = {task}\n'
    asked = {"kind": "acme.flush-cache", "path": "/usr/bin/echo", "arguments": ["--zone=eu"], "writable": False}
    decision = policy(text).decide(question({"user": "alice", "task": asked}))
    assert getattr(decision, "outcome", "denied") == outcome


def test_the_digest_covers_it() -> None:
    """A kind that is described otherwise is another policy."""
    one, other = (load([Source(name="a.toml", data=text.encode())]) for text in (FLUSH, FLUSH.replace("60", "61")))
    assert one.digest != other.digest


def test_its_record_is_asked_again_without_its_description() -> None:
    """The log can be replayed against a policy that no longer has the kind; the offered rule names it."""
    asked = question({"user": "alice", "task": {"kind": "acme.flush-cache", "path": "/usr/bin/echo", "arguments": ["hard"]}})
    assert given(question(given(asked))) == given(asked)
    assert 'kind = "acme.flush-cache", arguments = ["hard"]' in narrowest(asked)


@pytest.mark.parametrize(("task", "fine"), [("", False), (', path = "/usr/bin/echo"', False), (EXACT, True)])
def test_31_a_service_identity_may_do_exactly_one_thing(task: str, *, fine: bool) -> None:
    """With nobody to ask, a kind's parameters are pinned, too."""
    rules = f"""
[[service]]
name = "nightly"
uid = 0
executable = "/usr/bin/cron"

[[rule]]
id = "r"
effect = "allow"
who = {{ service = "nightly" }}
task = {{ kind = "acme.flush-cache"{task} }}
then = {{ prompt = "service" }}
"""
    if fine:
        assert len(policy(FLUSH + rules).rules) == 1
    else:
        assert "must be pinned" in problems(FLUSH + rules)
