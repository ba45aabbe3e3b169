"""Attacks by way of what rules mean: rows 4, 17, 34, 40 and 43. A deny must not be talked round, an allow not stretched."""

import contextlib
import os
import time
from dataclasses import dataclass, replace

import pytest

from elevate.errors import PolicyError
from elevate.host.environment import SYSTEM_PATH
from elevate.host.inspection import file_facts
from elevate.host.opening import find_command, open_directory, take_program
from elevate.model import Deny, ProcessIdentity, Requester
from elevate.policy import Policy, Question, Source, load
from elevate.policy.engine import facts_of
from elevate.policy.explain import explain
from elevate.policy.rule import By, Facts
from tests.unit.policy.build import ask, policy, rule, run

MAX_SECONDS = 5

EVERYTHING = rule("all", task='{ kind = "process.run" }')


def denied(rules: Policy, question: Question) -> bool:
    return isinstance(rules.decide(question), Deny)


@pytest.mark.parametrize(
    ("pattern", "argument"),
    [
        ("/etc/**", "/etc/shadow\n"),
        ("/etc/**", "/etc/../etc/shadow"),
        ("/etc/**", "/tmp/../etc/shadow"),
        ("/etc/shadow", "/etc//shadow"),
        ("/etc/shadow", "/etc/./shadow"),
        ("/etc/*", "//etc/shadow"),
        ("*force*", "--force"),
        ("/etc/**", "/etc/" + "a/" * 4096),
    ],
)
@pytest.mark.parametrize("said", ["contains = [{!r}]", "patterns = [{!r}]", 'patterns = ["x"], rest = {!r}'])
def test_17_argument_that_a_wildcard_never_stands_for_is_no_way_round_a_deny(said: str, pattern: str, argument: str) -> None:
    """What helps no allow stops no deny: the odd form of an argument is denied as the plain one is."""
    deny = rule("no", "deny", task=f'{{ kind = "process.run", arguments = {{ {said.format(pattern)} }} }}')
    arguments = ("x", argument) if "rest" in said else (argument,)

    assert denied(policy(EVERYTHING + deny), run("/usr/bin/tool", *arguments))
    assert not denied(policy(EVERYTHING + deny), run("/usr/bin/tool", "x", "/srv/a.deb"))


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("ssh", "ssh.service"),
        ("ssh.service", "ssh"),
        *((name, f"ssh.{kind}") for name in ("ssh", "ssh.service") for kind in ("socket", "timer", "path")),
    ],
)
@pytest.mark.parametrize("effect", ["deny", "require"])
def test_17_service_is_denied_by_either_spelling_of_its_name(effect: str, named: str, asked: str) -> None:
    """Both are one unit for systemd, and whoever asks chooses; an allow is for the name that it has."""
    then = {"then": '{ reason = "required" }'} if effect == "require" else {}
    allow = rule("all", task='{ kind = "service.control" }')
    both = policy(allow + rule("no", effect, task=f'{{ kind = "service.control", service = "{named}" }}', **then))
    for name in (named, asked, "cron"):
        decided = both.decide(ask({"kind": "service.control", "service": name, "action": "stop"}))
        meant = isinstance(decided, Deny) or decided.obligations.reason_required
        assert meant == (name != "cron")
    only = policy(rule("yes", task=f'{{ kind = "service.control", service = "{named}" }}'))
    assert denied(only, ask({"kind": "service.control", "service": asked, "action": "stop"}))


@pytest.mark.parametrize("argument", ["-x", "--force", "a\nb", "/srv/../etc/shadow", "/srv/..", "x" * 5000])
@pytest.mark.parametrize("pattern", ["*", "**", "/srv/**", "/srv/*", "?*"])
def test_17_wildcard_of_an_allow_stands_for_no_odd_argument(pattern: str, argument: str) -> None:
    """The same doubt never grants."""
    allow = rule("yes", task=f'{{ kind = "process.run", arguments = {{ patterns = ["{pattern}"] }} }}')

    assert denied(policy(allow), run("/usr/bin/tool", argument))


@pytest.mark.parametrize("said", ['path = "/usr/bin/dash"', 'directory = "/usr/bin"', 'path = "/bin/sh"'])
@pytest.mark.parametrize("effect", ["deny", "require"])
def test_4_program_called_by_a_link_is_denied_by_either_name(effect: str, said: str) -> None:
    """Whoever calls dash by its link sh is still calling dash, for a deny and for a require."""
    then = {"then": '{ gesture = "hardware" }'} if effect == "require" else {}
    rules = policy(EVERYTHING + rule("no", effect, task=f'{{ kind = "process.run", {said} }}', **then))

    decision = rules.decide(run("/bin/sh", real_path="/usr/bin/dash"))

    assert "no" in decision.rules


@pytest.mark.parametrize("said", ['path = "/usr/bin/pgrep"', 'directory = "/usr/lib"'])
def test_4_program_called_by_a_link_is_allowed_by_the_name_that_it_acts_by(said: str) -> None:
    """A rule for pgrep does not let anybody run pkill, though they are one file."""
    rules = policy(rule("yes", task=f'{{ kind = "process.run", {said} }}'))

    assert denied(rules, run("/usr/bin/pkill", real_path="/usr/bin/pgrep"))
    assert denied(rules, run("/usr/bin/pkill", real_path="/usr/lib/pgrep"))


def test_4_host_tells_the_file_behind_a_link() -> None:
    """The link's name is the program's, and the file's own path stands beside it."""
    asker = Requester(
        user="nobody",
        sid="",
        groups=(),
        machine="m",
        process=ProcessIdentity(uid=65_534, pid=1, start_time=1, boot_id="b"),
        executable="/bin/x",
    )
    cwd, _ = open_directory("/")
    found = take_program(*find_command("sh", SYSTEM_PATH, cwd), asker)
    os.close(cwd)

    facts = file_facts(found)
    found.close()

    real = os.path.realpath("/usr/bin/sh")
    if real == "/usr/bin/sh":
        pytest.skip("sh is no link on this machine")
    assert facts["real_path"] == real


@pytest.mark.parametrize("kind", ["process.run", "package.install", "file.write"])
def test_9_file_of_which_nobody_knows_who_writes_it_is_allowed_by_no_path(kind: str) -> None:
    """A host that does not look leaves a doubt, for every kind of task."""
    asked = ask({"kind": kind, "path": "/srv/a"})
    facts = tuple(pair for pair in asked.task.facts if pair[0] != "writable")
    silent = replace(asked, task=replace(asked.task, facts=facts))

    assert denied(policy(rule("yes", task='{ path = "/srv/a" }')), silent)


def test_40_service_identity_gets_no_program_with_free_arguments() -> None:
    """With the kind left out a path is a program's too, and then its arguments must be pinned."""
    identity = '[[service]]\nname = "backup"\nuid = 34\nexecutable = "/usr/sbin/backupd"\n'
    who, then = '{ service = "backup" }', '{ prompt = "service" }'

    with pytest.raises(PolicyError, match="must be pinned"):
        policy(identity + rule("nightly", who=who, task='{ path = "/usr/bin/tar" }', then=then))

    exact = policy(identity + rule("nightly", who=who, task='{ path = "/usr/bin/tar", arguments = ["-x"] }', then=then))
    other = ask({"kind": "process.run", "path": "/usr/bin/tar", "arguments": ["-xf", "/tmp/x"]}, user="", service="backup")
    assert denied(exact, other)


HOSTILE = {
    "blank lines": b"\n" * 2**20,
    "blank lines with blanks": b" \n" * 2**19,
    "numbers": b'x = "' + (b"1" * 3990 + b"a") * 250 + b'"\ny = ' + b"1" * 5000,
    "service identities": b"".join(b'[[service]]\nname="s%d"\nuid=1\nexecutable="/a"\n' % at for at in range(20_000)),
    "headers": b"[[rule]]\n" * 20_000,
    "quotes": b'x = """' + b'""a' * 2**18 + b'"""',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_43_no_file_keeps_the_loader_busy(data: bytes) -> None:
    """Reading takes a time in proportion to the length, whatever stands in the file."""
    start = time.process_time()
    with contextlib.suppress(PolicyError):
        load([Source(name="a.toml", data=data)])
    assert time.process_time() - start < MAX_SECONDS


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31"])
@pytest.mark.parametrize("key", ["not_before", "not_after"])
def test_43_moment_beyond_the_calendar_does_not_crash_explain(key: str, moment: str) -> None:
    """A moment that can't be shown is refused when the rule is read, not when somebody asks."""
    with pytest.raises(PolicyError, match="no such moment"):
        policy(rule("x", task="{}", when=f'{{ {key} = "{moment}" }}'))


@dataclass(slots=True)
class Counted:
    """A condition that never holds, and counts how often it was put into words."""

    key: str = "task.counted"
    said: int = 0

    def holds(self, facts: Facts, question: Question) -> bool | None:
        del facts, question
        return False

    def wants(self) -> str:
        return "never"

    def found(self, facts: Facts, question: Question) -> str:
        del facts, question
        self.said += 1
        return "now"


def test_49_explain_puts_only_the_nearest_rules_into_words() -> None:
    """Anybody may ask; to describe each of 100,000 rules would keep the broker from everybody else."""
    counted = Counted()
    one = policy(rule("one", task='{ kind = "process.run", path = "/x" }')).rules[0]
    rules = [replace(one, id=f"r{at}", conditions=(counted,), by=By.ANY, values=()) for at in range(500)]
    asked = run("/x")

    explained = explain(rules, asked, facts_of(asked), Deny(rules=(), message=""))

    assert [miss.rule.id for miss in explained.near_misses] == sorted(one.id for one in rules)[:10]
    assert counted.said == 10


def test_37_id_of_an_offered_rule_names_nobody() -> None:
    """Rule ids stand in the log for good and in the open, where no erasure reaches them."""
    offered = policy("").explain(run("/usr/bin/apt", "install", "x")).qualifying_rule

    name = next(line for line in offered.splitlines() if line.startswith("id ="))
    assert "alice" not in name
