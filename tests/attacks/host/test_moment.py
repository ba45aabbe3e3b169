"""Rows 28 and 36 in the moment of an execution: whoever has the task's user can end or stop it, and what is told is true.

Before its first instruction a task's process is whoever forked it, and has the task's user already.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from elevate.errors import NotStartedError, StartUnknownError
from elevate.host import becoming, launched, launcher
from elevate.host.launcher import Launcher
from elevate.host.running import TreeRunning
from elevate.model import Ended
from tests.attacks.host.holding import LONG, as_the_user, held, program
from tests.tools import wait_for

ROOT = Path(__file__).resolve().parents[3]
BROKEN = """
import os, sys
sys.path.append({root!r})
from elevate.host import lending, program

def broken(*_words, **_more):
    raise MemoryError

{name} = broken
program.main()
"""


@pytest.mark.root
@pytest.mark.parametrize("name", ["KILL", "TERM"])
@pytest.mark.parametrize("forked", [False, True])
def test_28_a_process_killed_in_its_execution_is_known_not_to_have_run(tmp_path: Path, name: str, *, forked: bool) -> None:
    """What was forked and never executed is told from what ran and was killed."""
    with held(tmp_path, "exit 3", forked=forked) as start:
        assert as_the_user("/bin/kill", f"-{name}", str(start.process)) == ""
        report = start.told.result(LONG).wait()
    assert (report.executed, report.signal) == (False, getattr(signal, f"SIG{name}"))


@pytest.mark.root
@pytest.mark.parametrize("forked", [False, True])
def test_28_one_that_is_killed_as_it_runs_has_run(tmp_path: Path, *, forked: bool) -> None:
    """Whoever is blamed for it has begun."""
    with held(tmp_path, "kill -KILL $$", forked=forked) as start:
        start.allow()
        report = start.told.result(LONG).wait()
    assert (report.executed, report.signal) == (True, signal.SIGKILL)


@pytest.mark.root
def test_28_of_a_launcher_killed_in_the_execution_nobody_says_that_its_task_ran(tmp_path: Path) -> None:
    """Nor that it did not: nobody knows, and nothing is left."""
    with held(tmp_path, "exec sleep 1000") as start:
        assert as_the_user("/bin/kill", "-KILL", str(start.launcher)) == ""
        with pytest.raises(StartUnknownError, match="ended while it started"):
            start.told.result(LONG)
        assert wait_for(lambda: not start.cgroup.exists())


@pytest.mark.root
@pytest.mark.parametrize("forked", [False, True])
def test_36_a_process_stopped_before_it_executes_does_not_hold_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, forked: bool
) -> None:
    """Its launcher waits for it, so the broker looks: it is ended long before the start is given up."""
    monkeypatch.setattr(launched, "LOOK_SECONDS", 0.1)
    with held(tmp_path, "exit 3", forked=forked) as start:
        assert as_the_user("/bin/kill", "-STOP", str(start.process)) == ""
        began = time.monotonic()
        start.deny()  # back from the kernel, and stopped: it says no more
        with pytest.raises(StartUnknownError):
            start.told.result(launched.START_SECONDS)
        assert time.monotonic() - began < launched.START_SECONDS / 2
        assert wait_for(lambda: not start.cgroup.exists())


@pytest.mark.root
@pytest.mark.parametrize("name", ["os.posix_spawn", "lending.shed"])
def test_36_a_launcher_that_fails_in_any_way_does_not_say_that_the_task_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before the execution or after it: the tree is ended, and nobody knows."""
    broken = tmp_path / "program.py"
    broken.write_text(BROKEN.format(root=str(ROOT), name=name))
    monkeypatch.setattr(launcher, "_PROGRAM", broken)
    with Launcher() as own:
        prepared = own.prepare(program("exec sleep 1000"))
        with pytest.raises(StartUnknownError):
            prepared.go()
        assert wait_for(lambda: not Path(prepared._waiting.cgroup).exists())


def test_36_no_answer_of_a_file_system_reads_as_a_task_that_runs() -> None:
    """One of a user's own can answer with any number below 512."""
    assert {becoming.number_of(OSError(number, "")) for number in (0, 256, 511)} == {bytes([22]), b"\xff"}
    assert becoming.number_of(OSError(2, "")) == bytes([2])


@pytest.mark.root
def test_28_the_host_says_that_it_did_not_run(tmp_path: Path) -> None:
    """Each time that it is asked."""
    ended: list[object] = []

    def finish(report: object) -> Ended:
        ended.append(report)
        return Ended(exit_status=0)

    with held(tmp_path, "exit 3") as start:
        os.kill(start.process, signal.SIGKILL)
        running = TreeRunning(start.told.result(LONG), (-1, -1, -1, -1), finish)
        for _ in range(2):
            with pytest.raises(NotStartedError):
                running.wait()
    assert ended == []
