"""The further tools of ``elevate policy``, on files and on the log of a real broker."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.broker import Broker
from elevate.cli.policy import app
from elevate.errors import DeniedError, PolicyError
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.policy.build import ROOT, rule

WORKSTATION = str(ROOT / "policies" / "developer-workstation")
CI = str(ROOT / "policies" / "ci-machine")
run = CliRunner()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A broker's folder whose log has one task that was allowed and one that nothing allowed."""
    folder = tmp_path_factory.mktemp("broker") / "state"
    with Broker.embedded(folder, clock=ManualClock()) as broker:
        broker.elevate(Task.run(["/usr/bin/true", "-x"])).run()
        script = folder.parent / "mine.sh"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o777)
        with pytest.raises(DeniedError):
            broker.elevate(Task.run([str(script)]))
    return folder


def test_lint_tells_errors_and_gives_a_narrower_rule(place: Path) -> None:
    """Exit status 1 where there is an error."""
    place.write_text(rule("all", who='{ group = "dev" }', task='{ kind = "process.run" }'))

    result = run.invoke(app, ["lint", str(place)])

    assert result.exit_code == 1
    assert f"{place}:1: error: any-program: all: it lets any program run as admin\n    [[rule]]" in result.stdout
    assert "note: untested: all" in result.stdout
    assert result.stdout.endswith("1 rules, 2 findings, 1 errors\n")


@pytest.mark.parametrize("place", [WORKSTATION, CI])
def test_lint_finds_no_error_in_what_ships(place: str) -> None:
    """Warnings are known; errors there are none."""
    found = json.loads(run.invoke(app, ["lint", "--json", place]).stdout)

    assert found["errors"] == 0
    assert {one["id"] for one in found["findings"]} <= {"folder-of-programs"}


def test_lint_reads_a_checkout_of_gtfobins(place: Path, tmp_path: Path) -> None:
    """A program that the own list does not know."""
    place.write_text(rule("odd", who='{ group = "dev" }', task='{ kind = "process.run", path = "/usr/bin/oddtool" }'))
    (tmp_path / "checkout" / "_gtfobins").mkdir(parents=True)
    (tmp_path / "checkout" / "_gtfobins" / "oddtool.md").write_text("---\nfunctions:\n  shell:\n---\n")

    without = run.invoke(app, ["lint", str(place)])
    result = run.invoke(app, ["lint", "--gtfobins", str(tmp_path / "checkout"), str(place)])

    assert (without.exit_code, result.exit_code) == (0, 1)
    assert "dangerous-program: odd" in result.stdout
    assert isinstance(run.invoke(app, ["lint", "--gtfobins", str(tmp_path / "no"), str(place)]).exception, PolicyError)


def test_fmt_changes_what_is_not_in_form_and_only_that(place: Path) -> None:
    """``--check`` only tells; a second run changes nothing; the mode stays."""
    place.write_text('[[rule]]\ntask = {}\nid="a"\neffect="deny"\n')
    place.chmod(0o640)

    checked = run.invoke(app, ["fmt", "--check", str(place)])
    first = run.invoke(app, ["fmt", str(place)])
    second = run.invoke(app, ["fmt", str(place)])

    assert (checked.exit_code, first.exit_code, second.exit_code) == (1, 0, 0)
    assert (checked.stdout, first.stdout, second.stdout) == (f"would change {place}\n", f"changed {place}\n", "")
    assert place.read_text() == '[[rule]]\nid = "a"\neffect = "deny"\ntask = {}\n'
    assert place.stat().st_mode & 0o777 == 0o640


def test_schema_is_a_json_schema() -> None:
    """For editors."""
    schema = json.loads(run.invoke(app, ["schema"]).stdout)

    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"]["rule"]["items"]["required"] == ["id", "effect", "task"]


def test_export_prints_policies_and_tells_what_stays_behind() -> None:
    """Text on standard output, the rest on standard error."""
    result = run.invoke(app, ["export", "--cedar", CI])

    assert result.exit_code == 0
    assert '@id("ci-update-package-lists")\npermit (' in result.stdout
    assert "people-name-a-ticket: a require has no counterpart" in result.stderr


def test_diff_tells_rules_and_answers_that_change(tmp_path: Path) -> None:
    """One rule less: what it allowed is denied."""
    before, after = tmp_path / "before.toml", tmp_path / "after.toml"
    before.write_text(rule("opt", task='{ kind = "process.run", directory = "/opt" }'))
    after.write_text("")

    result = run.invoke(app, ["diff", str(before), str(after)])
    same = run.invoke(app, ["diff", str(before), str(before)])

    assert (result.exit_code, same.exit_code) == (1, 0)
    assert result.stdout.splitlines() == [
        "- rule opt",
        "narrower: credential -> denied: someone: /opt/some-file (opt -> no rule)",
        "1 requests are answered otherwise",
    ]


def test_replay_asks_the_log_again(state: Path, place: Path) -> None:
    """The policy in force changes nothing; an empty one denies what was allowed."""
    place.write_text("")

    same = run.invoke(app, ["replay", "--state", str(state), str(state / "policy")])
    empty = run.invoke(app, ["replay", "--json", "--state", str(state), str(place)])

    assert (same.exit_code, same.stdout) == (0, "0 requests are answered otherwise\n")
    told = json.loads(empty.stdout)
    assert [(one["before"], one["after"], one["rules_before"]) for one in told["changes"]] == [
        ("credential", "denied", ["run-system-programs"])
    ]


def test_diff_asks_the_log_where_told(state: Path, place: Path) -> None:
    """The same through ``diff --log``."""
    place.write_text("")

    result = run.invoke(app, ["diff", "--log", "--state", str(state), str(state / "policy"), str(place)])

    assert "narrower: credential -> denied" in result.stdout
    assert result.stdout.endswith("1 requests are answered otherwise\n")


def test_suggest_gives_rules_with_their_evidence(state: Path, place: Path) -> None:
    """For the denial a rule by content; for what a broad rule allowed a narrow one. Both load."""
    suggested = run.invoke(app, ["suggest", "--state", str(state), str(state / "policy")])
    place.write_text(suggested.stdout)

    replayed = json.loads(run.invoke(app, ["replay", "--json", "--state", str(state), str(place)]).stdout)

    assert "# nothing allowed 1 request: " in suggested.stdout
    assert "# in place of run-system-programs, which allowed 1 request: " in suggested.stdout
    assert suggested.stdout.endswith("# 2 suggestions\n")
    assert {(one["before"], one["after"]) for one in replayed["changes"]} == {
        ("denied", "credential"),
        ("credential", "credential"),
    }


SUDOERS = (
    '{"User_Specs":[{"User_List":[{"username":"a"}],"Host_List":[{"hostname":"ALL"}],'
    '"Cmnd_Specs":[{"Commands":[{"command":"/x/y"}]}]}]}'
)


def test_import_prints_rules_and_tells_every_line(place: Path) -> None:
    """Rules on standard output, the report on standard error."""
    place.write_text(SUDOERS)

    result = run.invoke(app, ["import", "sudoers", str(place)])

    assert result.exit_code == 0
    assert 'task = { kind = "process.run", path = "/x/y" }' in result.stdout
    assert result.stderr == "translated: a ALL = /x/y\n"
    told = json.loads(run.invoke(app, ["import", "--json", "sudoers", str(place)]).stdout)
    assert told["notes"] == [{"fate": "translated", "source": "a ALL = /x/y", "why": ""}]


@pytest.mark.parametrize(("form", "text"), [("sudoers", "{"), ("applocker", "x"), ("appcontrol", "<a/>"), ("polkit", "")])
def test_import_of_what_can_not_be_read_is_one_error(place: Path, form: str, text: str) -> None:
    """An unknown form, too."""
    place.write_text(text)

    assert isinstance(run.invoke(app, ["import", form, str(place)]).exception, PolicyError)
    assert isinstance(run.invoke(app, ["import", form, str(place) + "x"]).exception, PolicyError)


@pytest.mark.service
def test_import_reads_a_sudoers_file_through_cvtsudoers(place: Path) -> None:
    """What it refuses is told in its own words."""
    if not Path("/usr/bin/cvtsudoers").exists():
        pytest.skip("needs cvtsudoers")
    place.write_text("alice ALL = /x/y\n")
    good = run.invoke(app, ["import", "sudoers", str(place)])
    place.write_text("alice ALL\n")
    bad = run.invoke(app, ["import", "sudoers", str(place)])

    assert 'path = "/x/y"' in good.stdout
    assert isinstance(bad.exception, PolicyError)
    assert "syntax error" in bad.exception.message
