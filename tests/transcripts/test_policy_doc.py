"""``docs/policy.md``: its examples load and say what they say, and its reference is what the reader reads."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from elevate.cli.policy import app
from elevate.policy import Source, load, run_tests
from elevate.policy.lint import Severity
from elevate.policy.reference import reference
from elevate.policy.schema import RULE, SERVICE, TABLES
from tests.unit.policy.build import ROOT

PAGE = (ROOT / "docs" / "policy.md").read_text()
SESSION = re.compile(r"```console\n\$ elevate (?P<command>policy [^\n]*)\n(?P<shown>.*?)```", re.DOTALL)


def test_the_rules_of_the_tutorial_load_and_its_test_passes() -> None:
    """All of them together, as a reader would have written them."""
    text = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))

    run = run_tests(load([Source(name="team.toml", data=text.encode())]))

    assert (run.passed, run.failed) == (1, 0)


@pytest.mark.parametrize("session", list(SESSION.finditer(PAGE)), ids=lambda found: found["command"][:20])
def test_the_sessions_are_as_shown(session: "re.Match[str]", monkeypatch: pytest.MonkeyPatch) -> None:
    """Word for word."""
    monkeypatch.chdir(ROOT)

    result = CliRunner().invoke(app, shlex.split(session["command"])[1:])

    assert result.stdout == session["shown"]


def test_the_reference_is_printed_from_the_tables() -> None:
    """``elevate policy schema --markdown`` gives the page's last part; every key has its row."""
    assert PAGE.endswith(reference())
    assert CliRunner().invoke(app, ["schema", "--markdown"]).stdout == reference()
    for table in (RULE, SERVICE, *TABLES.values()):
        for name in table:
            assert f"\n| `{name}` | " in reference()


def test_every_finding_of_lint_is_in_the_table() -> None:
    """With its severity."""
    source = (ROOT / "elevate" / "policy" / "lint.py").read_text()
    found = set(re.findall(r'_finding\(\s*Severity\.(\w+), "([a-z-]+)"', source))

    assert len(found) >= 12
    for severity, name in found:
        assert f"| `{name}` | {Severity[severity].value} |" in PAGE


def test_the_table_of_what_a_new_user_may_names_every_allow() -> None:
    """No more and no less than the set that ``init`` copies."""
    folder = ROOT / "policies" / "developer-workstation"
    loaded = load(Source(name=file.name, data=file.read_bytes()) for file in folder.iterdir())

    told = re.findall(r"^\| [a-z][^|]* \| `([a-z-]+)` \|$", PAGE, re.MULTILINE)

    assert sorted(told) == sorted(rule.id for rule in loaded.rules if rule.effect == "allow")
