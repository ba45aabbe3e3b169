"""`elevate init`: what it makes, and what it says."""

from pathlib import Path

from typer.testing import CliRunner

from elevate.broker import Broker
from elevate.cli.app import app
from elevate.tasks import Task


def _init(*words: str) -> str:
    done = CliRunner().invoke(app, ["init", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_person_is_told_to_enrol(tmp_path: Path) -> None:
    """No gesture is there yet, and no sensor is simulated."""
    said = _init("--state", str(tmp_path / "state"))
    assert "elevate hello enrol" in said
    assert not (tmp_path / "state/hello/sensor.toml").exists()
    with Broker.open(tmp_path / "state") as broker:
        assert broker.status()["allow_simulated_gestures"] is False


def test_a_machine_for_tests_answers_by_itself_and_says_so(tmp_path: Path) -> None:
    """A scripted face is enrolled; the token says simulated."""
    assert "for tests only" in _init("--simulated", "--state", str(tmp_path / "state"))
    with Broker.open(tmp_path / "state") as broker, broker.elevate(Task.run(["true"])) as grant:
        assert "simulated" in grant.claims.amr
        assert grant.run(capture=True).exit_status == 0
