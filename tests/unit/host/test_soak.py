"""Many tasks in a row leave nothing: no descriptor, process, cgroup, mount, file, and no memory that grows."""

import os
import resource
from pathlib import Path

import pytest

from elevate.host.launcher import Launcher
from elevate.host.watch import descendants
from elevate.tasks import Task
from tests.tools import wait_for
from tests.unit.host.acting import Linux
from tests.unit.host.emulating import Emulated

SOAK = bool(os.environ.get("ELEVATE_SOAK"))
MAX_GROWTH_KB = 4096


def counts(launcher: Launcher) -> tuple[int, str, int]:
    """Give descriptors, mounts and cgroups as they are now."""
    base = Path(launcher._base or "/nonexistent")
    cgroups = len([path for path in base.iterdir() if path.is_dir()]) if base.is_dir() else 0
    return len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/mountinfo").read_text(), cgroups


@pytest.mark.root
def test_many_tasks_leave_nothing_on_the_machine(linux: Linux, launcher: Launcher, capsys: pytest.CaptureFixture[str]) -> None:
    """100 tasks, or 10,000 with ELEVATE_SOAK."""
    count = 10_000 if SOAK else 100
    for _ in range(20):
        linux.do(Task.run(["true"]))
    before, memory = counts(launcher), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count):
        assert linux.do(Task.run(["true"])).ended.leftover == 0
    after = counts(launcher)
    assert (after[0] <= before[0], after[1]) == (True, before[1])  # fewer launchers may wait than at the beginning
    assert wait_for(lambda: counts(launcher)[2] <= 3 * (launcher._warm + 1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < MAX_GROWTH_KB
    with capsys.disabled():
        print(f" [{count} tasks]", end="")  # noqa: T201 - the count that ran is told


def test_many_tasks_leave_nothing_on_the_emulated_machine(machine: Emulated, launcher: Launcher) -> None:
    """The same without root."""
    machine.do(Task.run(["true"]))
    before = counts(launcher)
    for _ in range(1_000 if SOAK else 30):
        machine.do(Task.run(["true"]))
    after = counts(launcher)
    assert (after[0] <= before[0], after[1]) == (True, before[1])
    assert not list((machine.drive.parent / "scratch").iterdir())
    assert len(descendants(launcher._pid)) <= 6 * (launcher._warm + 1)
