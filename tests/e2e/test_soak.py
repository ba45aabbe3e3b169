"""Many elevations in a row leave nothing on the machine: 300 against root's daemon, 10,000 with ELEVATE_SOAK=1, N with =N."""

import os
from typing import Any

import pytest

from tests import stage

pytestmark = pytest.mark.root
_WANTED = os.environ.get("ELEVATE_SOAK", "")
COUNT = {"": 300, "1": 10_000}.get(_WANTED) or int(_WANTED)
SOAK = COUNT >= 10_000
MAX_GROWTH_BYTES = 4_096 if SOAK else 81_920
"""For each elevation, in the second half. SQLite keeps pages of the ledger, 9 KB for each, until its bound of 32 MB."""
MAX_PROGRAM_GROWTH_BYTES = 64 if SOAK else 4_096


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return stage.play("tests.e2e.soaked", str(COUNT), timeout=3600)


@pytest.mark.parametrize("what", ["descriptors", "processes", "cgroups", "mounted", "files", "accounts"])
def test_as_much_is_there_as_before(told: dict[str, Any], what: str) -> None:
    """After all of them, and after the first few, there is the same."""
    assert told["after"][what] == told["before"][what], told["count"]


def test_nothing_is_left_when_the_daemon_has_ended(told: dict[str, Any]) -> None:
    """It ends well; no process and no cgroup of its own is there."""
    assert (told["status"], told["left"], told["cgroups_left"]) == (0, [], 0)


def test_memory_is_flat(told: dict[str, Any]) -> None:
    """The daemon grows by the pages of the ledger that are kept, and the program that forks launchers not at all."""
    assert told["slopes"]["daemon"] < MAX_GROWTH_BYTES, told["slopes"]
    assert told["slopes"]["program"] < MAX_PROGRAM_GROWTH_BYTES, told["slopes"]


def test_idle_daemon_is_small() -> None:
    """With a hundred rules, after a few elevations: at most 60 MB."""
    assert stage.play("tests.bench.scenes", "memory")["daemon"] <= 60
