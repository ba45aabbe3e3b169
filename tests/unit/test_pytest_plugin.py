"""The fixtures for other people's tests, used as they would use them: in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest
import elevate
from elevate.errors import DeclinedError, ElevateError, GestureError, PromptTimedOutError

TASK = elevate.Task.run(["whoami"])


def test_approve(elevate_machine, approve):
    outcome = elevate_machine.elevate(TASK, reason="a test").run(capture=True)
    assert outcome.stdout.startswith(b"ADMIN_")
    assert [view["reason"] for view in approve] == ["a test"]


def test_deny(elevate_machine, deny):
    with pytest.raises(DeclinedError):
        elevate_machine.elevate(TASK)
    assert len(deny) == 1


def test_nobody(elevate_machine):
    with pytest.raises(PromptTimedOutError, match="nobody"):
        elevate_machine.elevate(TASK)


def test_sensor(elevate_machine, sensor):
    sensor("match")
    assert elevate_machine.elevate(TASK).run(capture=True).exit_status == 0
    for sight in ("no-match", "time-out", "spoof"):
        sensor(sight)
        with pytest.raises(ElevateError):
            elevate_machine.elevate(TASK)


def test_machines_are_apart(elevate_machine, approve):
    assert not list(elevate_machine.parts.store.entries_of("0" * 32))
    assert [user.smaa for user in elevate_machine.parts.host.users()] == [None]
"""


def test_the_fixtures_work_for_others(tmp_path: Path) -> None:
    """Approve, deny, nobody, each sight of the sensor, and a machine for each test."""
    (tmp_path / "test_theirs.py").write_text(TESTS)
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "elevate.pytest_plugin",
        "--rootdir",
        tmp_path,
        tmp_path,
    ]

    done = subprocess.run(list(map(str, argv)), cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_the_plugin_loads_nothing_by_itself() -> None:
    """It is loaded in every test run of a machine that has elevate; that must cost nothing."""
    script = "import sys, elevate.pytest_plugin; print([name for name in sys.modules if name.startswith('elevate.')])"

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['elevate.pytest_plugin']"
