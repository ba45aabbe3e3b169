"""The four forms of a report, and what a hostile name can't do in them."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from elevate.cli.lab import app
from elevate.errors import LabError
from elevate.lab.findings import KINDS, finding
from elevate.lab.report import Report, as_html, as_json, as_junit, as_text
from tests.unit.host.windows.programs import Program, manifest

EVIL = "a\x1b[2J<script>alert(1)</script>&\u202e\x00.exe"
READY = Report(installer="notes.exe", facts=(("kind", "pe, 64 bits"),))
FOUND = Report(installer=EVIL, facts=(("product", EVIL),), findings=tuple(finding("user-files", [rf"C:\users\{EVIL}"])))
STUCK = Report(installer="notes.exe", facts=(), reason="it did not end")


@pytest.mark.parametrize(("report", "status"), [(READY, 0), (FOUND, 1), (STUCK, 2)])
def test_the_exit_status_says_how_it_ended(report: Report, status: int) -> None:
    assert report.exit_status == status
    assert as_json(report)["exit_status"] == status


def test_text_names_kind_evidence_and_what_to_do() -> None:
    text = as_text(FOUND)

    assert f"error user-files: {KINDS['user-files'].title}" in text
    assert f"what to do: {KINDS['user-files'].advice}" in text
    assert r"C:\users\a" in text
    assert "1 error, 0 warnings" in text


@pytest.mark.parametrize("write", [as_text, as_html, as_junit])
def test_37_nothing_in_a_name_moves_or_runs(write: object) -> None:
    """Escape sequences, turned reading, markup: all are shown as what they are."""
    text = write(FOUND)  # type: ignore[operator] # one of three functions

    assert not {"\x1b", "\u202e", "\x00"} & set(text)
    assert "<script>" not in text or write is as_text


def test_junit_has_a_case_for_each_kind() -> None:
    """What was looked for and not found is a passed case; what could not be run is an error for each."""
    for report, failures, errors in ((READY, 0, 0), (FOUND, 1, 0), (STUCK, 0, len(KINDS))):
        (suite,) = ET.fromstring(as_junit(report))  # noqa: S314 - our own

        assert suite.get("tests") == str(len(KINDS)) == str(len(list(suite)))
        assert len(list(suite.iter("failure"))) == failures == int(str(suite.get("failures")))
        assert len(list(suite.iter("error"))) == errors == int(str(suite.get("errors")))


def test_what_is_accepted_is_named_and_does_not_count() -> None:
    """A build that is signed later is ready but for that; what no lab finds can't be accepted."""
    report = Report(installer="notes.exe", facts=(), findings=tuple(finding("unsigned", ["no signature"])))

    accepted = report.accepting(["unsigned", "user-com"])

    assert (report.exit_status, accepted.exit_status, as_json(accepted)["accepted"]) == (1, 0, ["unsigned"])
    assert "notes.exe: ready for Administrator protection, but for unsigned\n" in as_text(accepted)
    assert FOUND.accepting(["unsigned"]).exit_status == 1
    with pytest.raises(LabError, match="no finding unsinged"):
        report.accepting(["unsinged"])


def test_html_needs_nothing_from_elsewhere() -> None:
    page = as_html(FOUND)

    assert page.startswith("<!DOCTYPE html>")
    assert "default-src 'none'" in page
    assert "http" not in page.replace('http-equiv="', "")


def test_inspect_tells_what_a_file_says(tmp_path: Path) -> None:
    file = tmp_path / "notes-setup.exe"
    file.write_bytes(Program(manifest=manifest("highestAvailable"), strings={"ProductName": "Notes"}).build())

    said = CliRunner().invoke(app, ["inspect", str(file)])
    data = json.loads(CliRunner().invoke(app, ["inspect", str(file), "--json"]).output)

    assert said.output.splitlines() == [
        "kind: pe, 64 bits",
        "product: Notes 1.2.3.4",
        "manifest: highestAvailable",
        "signature: unsigned",
        "installer: yes, by its name",
        "uiAccess: no",
    ]
    assert (data["traits"]["level"], data["judged"]["installer"]) == ("highestAvailable", True)


@pytest.mark.parametrize(("data", "why"), [(None, "No such file or directory"), (b"text", "neither a Windows program")])
def test_check_says_why_a_file_can_t_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes | None, why: str
) -> None:
    if data is not None:
        (tmp_path / "a.exe").write_bytes(data)

    result = CliRunner().invoke(app, ["check", str(tmp_path / "a.exe")])

    assert result.exit_code == 2
    assert f"elevate: error: the installer can't be read: {why}" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--drive", "HH=/tmp"], "--drive can't be HH=/tmp"),
        (["--drive", "H=/nowhere/at/all"], "the folder of a drive is not there"),
        (["--env", "NAME"], "--env can't be NAME"),
        (["--root", "/nowhere/at/all"], "a file of roots can't be read"),
    ],
)
def test_check_says_what_it_can_t_take(tmp_path: Path, capfd: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    """One error, one hint, exit status 2."""
    result = CliRunner().invoke(app, ["check", str(tmp_path / "a.exe"), *words])

    assert result.exit_code == 2
    told = capfd.readouterr().err
    assert f"elevate: error: {said}" in told
    assert "elevate: hint: " in told
