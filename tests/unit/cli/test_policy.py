"""``elevate policy``: what is printed, and the exit status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.cli.policy import app
from elevate.errors import PolicyError
from tests.unit.policy.build import ROOT, rule

WORKSTATION = str(ROOT / "policies" / "developer-workstation")
run = CliRunner()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


def test_check_says_that_all_is_well() -> None:
    """Exit status 0 and one line."""
    result = run.invoke(app, ["check", WORKSTATION])

    assert result.exit_code == 0
    assert result.stdout.endswith("tests, 0 problems\n")


def test_check_tells_every_problem_with_its_place(place: Path) -> None:
    """Both mistakes, with line, column and caret; exit status 1."""
    place.write_text('[[rule]]\nid = "a"\nefect = "x"\neffect = "alow"\ntask = {}\n')

    result = run.invoke(app, ["check", str(place)])

    assert result.exit_code == 1
    assert f"{place}:3:1: unknown key 'efect' in a rule\n    efect" in result.stderr
    assert f"{place}:4:1: effect: 'alow'" in result.stderr
    assert result.stdout == "0 rules, 0 tests, 2 problems\n"


def test_check_as_json(place: Path) -> None:
    """The same for programs."""
    place.write_text('[[rule]]\nid = "a"\neffect = "alow"\ntask = {}\n')

    found = json.loads(run.invoke(app, ["check", "--json", str(place)]).stdout)

    assert found["count"] == 1
    assert found["problems"][0] | {"file": ""} == {
        "file": "",
        "line": 3,
        "column": 1,
        "message": "effect: 'alow' is not known here",
        "fix": "did you mean allow?",
    }


def test_check_owner_looks_at_who_can_write(tmp_path: Path) -> None:
    """As the broker does when it loads."""
    tmp_path.chmod(0o777)

    result = run.invoke(app, ["check", "--owner", str(tmp_path)])

    assert isinstance(result.exception, PolicyError)
    assert "can be written by others" in result.exception.message


def test_files_tests_are_run() -> None:
    """What ships passes."""
    result = run.invoke(app, ["test", "--covered", WORKSTATION])

    assert result.exit_code == 0
    assert "0 failed, 0 rules without a test" in result.stdout


def test_failed_test_is_told_with_its_place(place: Path) -> None:
    """What was expected and what was decided; exit status 1; a rule that no test reached is named."""
    test = '[[test]]\nname = "t"\ngiven = { task = { kind = "process.run", path = "/x" } }\nexpect = { outcome = "consent" }\n'
    place.write_text(rule("unseen", "deny", task='{ path = "/y" }') + test)

    result = run.invoke(app, ["test", str(place)])

    assert result.exit_code == 1
    assert f"{place}:5: t: expected consent, decided denied by no rule" in result.stderr
    assert "no test covers unseen" in result.stderr


def test_explain_names_rule_and_near_miss() -> None:
    """A program in a folder that alice can write is not run, and the reason is told."""
    arguments = [
        "explain",
        WORKSTATION,
        "--user",
        "alice",
        "--group",
        "sudo",
        "--fact",
        "path=/usr/bin/x",
        "--fact",
        "writable=true",
    ]

    result = run.invoke(app, [*arguments, "--", "-v"])

    assert result.exit_code == 0
    assert "denied, no rule allows it: /usr/bin/x -v" in result.stdout
    assert "run-system-programs (allow): wants a file in folders that the requester can't write" in result.stdout


def test_explain_as_json() -> None:
    """Outcome and rules for programs."""
    arguments = ["explain", WORKSTATION, "--json", "--group", "sudo", "--kind", "package.install", "--fact", "path=/x.deb"]

    told = json.loads(run.invoke(app, arguments).stdout)

    assert (told["outcome"], [one["id"] for one in told["rules"]]) == ("credential", ["install-packages"])


@pytest.mark.parametrize(("fact", "message"), [("nothing", "is not name=value"), ("paht=/x", "unknown key")])
def test_explain_refuses_what_it_can_not_read(fact: str, message: str) -> None:
    """One clear error."""
    result = run.invoke(app, ["explain", WORKSTATION, "--fact", fact])

    assert result.exit_code != 0
    assert message in result.output or message in str(result.exception)
