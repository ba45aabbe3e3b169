"""Row 6 for real: processes that guess and are killed, and many at once. Never is more evaluated than counted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hello.parts import Machine

ROOT = Path(__file__).resolve().parents[2]
SOAK = bool(os.environ.get("ELEVATE_SOAK"))
KILLS = 1_000 if SOAK else 50


def guesses(machine: Machine, *words: str) -> dict[str, int]:
    machine.enrolled()
    done = subprocess.run(
        [sys.executable, "-m", "tests.hello.guesser", words[0], str(machine.folder.parent), *words[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_6_a_killed_process_gains_no_try(machine: Machine) -> None:
    """50 kills, 1,000 with ELEVATE_SOAK=1, at random moments."""
    found = guesses(machine, "kills", str(KILLS), "4711")
    print(f"counter kills: {found}")  # noqa: T201 - the count that ran is shown
    assert found["kills"] == KILLS
    assert 0 < found["answered"] <= found["evaluated"] <= found["counted"]
    assert found["counted"] - found["evaluated"] <= KILLS


@pytest.mark.parametrize("limit", [32, 2_000])
def test_6_sixteen_processes_get_the_limit_together(machine: Machine, limit: int) -> None:
    """Not one more; the larger limit makes sure that a missing lock would be seen."""
    found = guesses(machine, "race", "16", str(limit))
    assert found["evaluated"] == found["counted"] == limit
