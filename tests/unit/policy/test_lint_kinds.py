"""Lint of a machine's own kinds: what their descriptions give away, told where a rule allows the kind."""

import pytest

from elevate.policy.dangerous import Danger
from elevate.policy.lint import Context, Finding, lint
from tests.unit.policy.build import policy

TEXT = 'type = "text", pattern = "[a-z/]{1,9}"'
CHOICE = 'type = "choice", values = ["a.b", "c"]'
NUMBER = 'type = "number", least = 0, most = 9'
FIXED = 'type = "text", pattern = "backup"'
ALLOW = '[[rule]]\nid = "a"\neffect = "allow"\nwho = {{ group = "dev" }}\ntask = {{ kind = "{}" }}\n'


def found(argv: str, param: str = TEXT, allow: str = "acme.go", **context: object) -> list[Finding]:
    params = f"[kind.params]\nx = {{ {param} }}\n" if "{x}" in argv else ""
    text = f'[[kind]]\nname = "acme.go"\ndisplay_name = "Go"\nargv = {argv}\n{params}\n{ALLOW.format(allow)}'
    return lint(policy(text), Context(now=0, **context))  # type: ignore[arg-type]  # the tests name its fields


def told(argv: str, param: str = TEXT, **context: object) -> list[tuple[str, str]]:
    findings = found(argv, param, **context)  # type: ignore[arg-type]  # the same
    return [(one.severity.value, one.id) for one in findings]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ('["/usr/lib/acme/flush", "--zone={x}", "{x}"]', []),
        ('["/usr/lib/acme/flush", "-{x}"]', [("warning", "kind-option")]),
        ('["/usr/lib/acme/flush", "--with-{x}"]', [("warning", "kind-option")]),
        ('["/usr/lib/acme/flush", "-o{x}"]', [("warning", "kind-option")]),
        ('["/bin/sh", "/opt/acme/go", "{x}"]', [("warning", "kind-interpreter")]),
        ('["/bin/sh", "-c", "echo {x}"]', [("error", "kind-interpreter")]),
        ('["/usr/bin/python3.11", "-m", "{x}"]', [("error", "kind-interpreter")]),
        ('["/usr/bin/python3", "-I", "/opt/acme/go.py", "--zone={x}"]', [("warning", "kind-interpreter")]),
        ('["/usr/bin/perl"]', [("warning", "kind-interpreter")]),
        ('["/usr/bin/env", "ZONE={x}", "/opt/acme/go"]', [("error", "kind-interpreter")]),
        ('["/usr/bin/env", "/opt/acme/go", "{x}"]', [("warning", "kind-interpreter")]),
        ('["/usr/bin/vim", "/etc/acme.conf"]', [("error", "dangerous-program")]),
        ('["/usr/bin/tar", "-xf", "{x}"]', [("warning", "dangerous-program")]),
        ('["/usr/bin/tar", "-xf", "/srv/acme.tar"]', []),
        ('["/tmp/acme/go"]', [("error", "writable-folder")]),
    ],
)
def test_what_a_description_gives_away(argv: str, expected: list[tuple[str, str]]) -> None:
    """Whoever may ask for the kind chooses what the parameter says."""
    assert told(argv) == expected


@pytest.mark.parametrize("param", [CHOICE, NUMBER, FIXED])
def test_what_is_written_down_gives_nothing_away(param: str) -> None:
    """Every value stands in the description, or is a number."""
    assert told('["/usr/lib/acme/flush", "-{x}"]', param) == []
    assert told('["/usr/bin/tar", "{x}"]', param) == []
    assert told('["/bin/sh", "-c", "echo {x}"]', param) == [("warning", "kind-interpreter")]


def test_it_is_told_where_a_rule_allows_it() -> None:
    """With place, kind and parameter; what nobody may ask for is not told."""
    (finding,) = found('["/usr/lib/acme/flush", "-{x}"]')
    assert (finding.rule, finding.file, finding.line > 1) == ("a", "0.toml", True)
    assert finding.message.startswith("acme.go: the parameter x says which option '-{x}' is; ")
    assert found('["/bin/sh"]', allow="service.control") == []


def test_programs_and_folders_of_elsewhere_count() -> None:
    """As for rules: a list that is handed in, and this machine's own folders."""
    more = {"flush": Danger("a shell", "code")}
    assert told('["/usr/lib/acme/flush"]', more=more) == [("warning", "kind-interpreter")]
    assert told('["/usr/lib/acme/flush"]', writable=lambda folder: folder == "/usr/lib/acme") == [("error", "writable-folder")]
