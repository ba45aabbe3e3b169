"""Lint: what is unwise is told with severity, place, reason and a narrower rule; what is narrow is left alone."""

import pytest

from elevate.policy import Source, load
from elevate.policy.dangerous import Danger, danger_of, read_gtfobins
from elevate.policy.lint import Context, Finding, Severity, lint
from tests.unit.policy.build import policy, rule

NOW = 1_767_614_400


def found(text: str, **context: object) -> list[Finding]:
    return lint(policy(text), Context(now=NOW, **context))  # type: ignore[arg-type]  # the tests name its fields


def ids(text: str, **context: object) -> list[tuple[str, str]]:
    return [(one.rule, one.id) for one in found(text, **context)]


def allow(task: str, **parts: str) -> str:
    return rule("a", who='{ group = "dev" }', task=task, **parts)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ('{ kind = "process.run" }', ["any-program"]),
        ("{}", ["any-program"]),
        ('{ kind = "process.run", directory = "/usr/bin" }', ["folder-of-programs"]),
        ('{ kind = "process.run", directory = "/home/alice/bin" }', ["writable-folder"]),
        ('{ kind = "package.install", directory = "/tmp" }', ["writable-folder"]),
        ('{ kind = "process.run", path = "/tmp/x", arguments = [] }', ["writable-folder"]),
        ('{ kind = "process.run", path = "/usr/bin/vim", arguments = ["/etc/hosts"] }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/usr/bin/find" }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/usr/bin/find", arguments = { prefix = ["/srv"] } }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/usr/bin/find", arguments = ["/srv", "-delete"] }', []),
        ('{ kind = "process.run", path = "/usr/bin/python3.11" }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/usr/bin/bash", arguments = [] }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/usr/bin/bash", arguments = ["/opt/backup.sh"] }', []),
        ('{ kind = "process.run", package = "vim" }', ["dangerous-program"]),
        ('{ kind = "process.run", path = "/opt/x/tool" }', ["any-argument"]),
        ('{ kind = "process.run", path = "/opt/x/tool", arguments = ["on"] }', []),
        ('{ kind = "package.install", directory = "/srv/packages" }', []),
        ('{ kind = "process.run", path = "/opt/x", arguments = [], directory = "/usr" }', ["dead"]),
        ('{ kind = "process.run", path = "/opt/x", arguments = [], writable = true }', ["dead"]),
    ],
)
def test_one_rule_alone(task: str, expected: list[str]) -> None:
    """What it gives more than it seems to."""
    assert [name for _, name in ids(allow(task))] == expected


def test_finding_has_severity_place_reason_and_a_narrower_rule() -> None:
    """Enough to put it right at once."""
    (finding,) = found(allow('{ kind = "process.run", path = "/usr/bin/find" }'))

    assert (finding.severity, finding.file, finding.line) == (Severity.ERROR, "0.toml", 1)
    assert "does what one of its options names, and the arguments are free: a shell" in finding.message
    narrower = load([Source(name="n.toml", data=finding.narrower.encode())])
    assert lint(narrower, Context(now=NOW)) == []
    assert "0.toml:1: error: dangerous-program: a: /usr/bin/find" in finding.render()
    assert finding.json()["narrower"] == finding.narrower


def test_a_rule_for_everyone_is_told() -> None:
    """Anyone who can reach the broker is many."""
    assert ("a", "anyone") in ids(rule("a", task='{ kind = "service.control", service = "x", action = "restart" }'))


def test_dangerous_environment_is_told() -> None:
    """A name that decides which code runs."""
    text = allow('{ kind = "process.run", path = "/opt/x", arguments = [] }', then='{ env = ["LANG", "PYTHONPATH"] }')

    assert ids(text) == [("a", "dangerous-environment")]


@pytest.mark.parametrize(
    ("then", "expected"),
    [
        ('{ read_only = "/etc", capabilities = ["CAP_CHOWN", "CAP_SYS_ADMIN"] }', ["undone-list"]),
        ('{ writable = "/srv", read_only = "/srv/a", capabilities = "CAP_MKNOD" }', ["undone-list", "undone-list"]),
        ('{ read_only = "/etc", capabilities = "CAP_CHOWN" }', []),
        ('{ capabilities = "CAP_SYS_ADMIN" }', []),
    ],
)
def test_list_that_a_capability_undoes_is_told(then: str, expected: list[str]) -> None:
    """Such a task is refused, so the rule does nothing."""
    text = allow('{ kind = "process.run", path = "/opt/x", arguments = [] }', then=then)

    assert [name for _, name in ids(text)] == expected


def test_expired_window_is_told_from_its_end_on() -> None:
    """``not_after`` is the first moment at which it is over."""
    for end, expected in (("2026-01-05T12:00:00Z", [("a", "expired")]), ("2026-01-05T12:00:01Z", [])):
        text = allow('{ kind = "service.control", service = "x" }', when=f'{{ not_after = "{end}" }}')
        assert ids(text) == expected


def test_shadowed_allow_is_told_with_the_deny_that_covers_it() -> None:
    """A deny for the folder above, and for more people."""
    deny = rule("d", "deny", task='{ kind = "process.run", directory = "/opt" }')
    text = allow('{ kind = "process.run", path = "/opt/x/y", arguments = [] }') + deny

    (finding,) = found(text)

    assert (finding.id, finding.rule) == ("shadowed", "a")
    assert "d denies all of it" in finding.message


@pytest.mark.parametrize(
    "deny",
    [
        rule("d", "deny", who='{ user = "bob" }', task='{ kind = "process.run", directory = "/opt" }'),
        rule("d", "deny", task='{ kind = "process.run", directory = "/opt/x/y/z" }'),
        rule("d", "deny", task='{ kind = "process.run", directory = "/opt", input = true }'),
        rule("d", "deny", task='{ kind = "process.run", directory = "/opt" }', when='{ days = ["mon"] }'),
    ],
)
def test_partly_denied_is_not_shadowed(deny: str) -> None:
    """For other people, deeper folders, on some conditions or some days only."""
    assert ids(allow('{ kind = "process.run", path = "/opt/x/y", arguments = [] }') + deny) == []


def test_deny_within_a_deny_is_dead() -> None:
    """The wider one says it already."""
    text = rule("wide", "deny", task='{ kind = "process.run", directory = "/opt" }') + rule(
        "narrow", "deny", who='{ user = "x" }', task='{ kind = "process.run", path = "/opt/x" }'
    )

    assert ids(text) == [("narrow", "dead")]


def test_duplicates_are_told_once() -> None:
    """The same selectors and conditions twice."""
    task = '{ kind = "service.control", service = "x" }'

    assert ids(allow(task) + rule("b", who='{ group = "dev" }', task=task)) == [("b", "duplicate")]


def test_require_that_no_allow_reaches_is_told() -> None:
    """It demands something of tasks that are denied anyway."""
    require = rule("r", "require", task='{ kind = "file.write" }', then='{ reason = "required" }')
    allowed = allow('{ kind = "service.control", service = "x" }')

    assert ids(allowed + require) == [("r", "unreachable-require")]
    assert ids(allowed + rule("w", who='{ user = "x" }', task='{ kind = "file.write", path = "/etc/x" }') + require) == []


def test_untested_rules_are_told_where_asked() -> None:
    """The caller says which rules no test covers."""
    assert ("a", "untested") in ids(allow('{ kind = "service.control" }'), uncovered=frozenset({"a"}))


def test_folders_of_this_machine_can_be_asked() -> None:
    """A folder that is not on the list may be writable here."""
    text = allow('{ kind = "package.install", directory = "/srv/in" }')

    assert ids(text, writable=lambda folder: folder == "/srv/in") == [("a", "writable-folder")]


def test_versions_in_names_do_not_hide_a_program() -> None:
    """``perl5.36`` is perl."""
    for path in ("/usr/bin/perl5.36", "/usr/bin/gcc-12", "/opt/lua5.4", "/usr/bin/7z"):
        assert danger_of(path, {}) is not None
    assert danger_of("/usr/bin/true", {}) is None


def test_a_checkout_of_gtfobins_adds_programs() -> None:
    """The worst of the functions counts; what is not in the front matter does not."""
    text = "---\nfunctions:\n  file-read:\n    - code: x\n  shell:\n    - code: y\n---\n"
    more = read_gtfobins("oddtool.md", text)

    assert more == {"oddtool": Danger("a shell", "choice")}
    assert read_gtfobins("harmless.md", "---\nfunctions:\n---\n") == {}
    assert ids(allow('{ kind = "process.run", path = "/usr/bin/oddtool" }'), more=more) == [("a", "dangerous-program")]
