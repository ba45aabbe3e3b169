"""Rows 28 and 36 in the moment of an execution: whoever has the task's user can end or stop it, and what is told is true.

Before its first instruction a task's process is whoever forked it, and has the task's user already.
"""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from elevate.errors import NotStartedError, StartUnknownError
from elevate.host import becoming, cgroups, launched, launcher
from elevate.host.confinement import ROOT as RIGHTS
from elevate.host.confinement import numbers_of
from elevate.host.launcher import Jail, Launcher, Order
from elevate.host.running import TreeRunning
from elevate.model import Ended
from tests.attacks.host.holding import LONG, as_the_user, held, program, status
from tests.tools import wait_for
from tests.unit.host.run import PATH

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
FREEZES = """
import ctypes, os
libc = ctypes.CDLL(None)
os.mkdir("/tmp/own")
if libc.unshare(0x12020000) == 0 and libc.mount(b"none", b"/tmp/own", b"cgroup2", 0, None) == 0:
    print("mounted", *[pid for pid in open("/tmp/own/cgroup.procs").read().split() if pid == "1"], flush=True)
    os.mkdir("/tmp/own/below")
    open("/tmp/own/below/cgroup.procs", "w").write("1")
    print("moved")
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


@pytest.mark.root
def test_36_who_could_be_moved_out_of_its_cgroup_does_not_lend_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In version 1 whoever has the same user moves it into a folder that is theirs; one that hung was not ended then."""
    base = Path("/sys/fs/cgroup/pids")
    if not (base / "cgroup.procs").exists() or not os.access(base, os.W_OK):
        pytest.skip("no cgroups of version 1 here")
    own = base / f"elevate-moved-{os.getpid()}"
    monkeypatch.setattr(cgroups, "base", lambda: str(own))
    with held(tmp_path, "exit 3") as start:
        assert start.cgroup.parent == own
        assert status(start.launcher)["Uid"] == ["0"] * 4
        start.allow()
        assert start.told.result(LONG).wait().exit_status == 3
    assert wait_for(lambda: _gone(own))


@pytest.mark.root
def test_31_a_task_as_uid_0_can_not_freeze_its_launcher() -> None:
    """It can mount its own cgroup, but put nobody into one below: its time limit is kept, and the broker is heard."""
    read, write = os.pipe()
    jail = Jail(uid=0, gid=0, home="/mnt", capabilities=numbers_of(RIGHTS))
    with Launcher() as own, os.fdopen(read) as said:
        own._base = f"{own._base}-freezes-{os.getpid()}"
        order = Order(argv=("/usr/bin/python3", "-I", "-S", "-c", FREEZES), env=PATH, fds={1: write}, jail=jail)
        running = own.launch(order)
        os.close(write)
        found = said.read().split()
        running.wait()
    assert wait_for(lambda: _gone(Path(own._base)))
    if "mounted" not in found:
        pytest.skip("this machine gives a task no cgroup file system of its own")
    assert found == ["mounted", "1"]


@pytest.mark.root
def test_36_a_task_that_froze_itself_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its launcher is frozen with it, and hears nobody; whoever cancels it does not wait for ever."""
    monkeypatch.setattr(launched, "SURE_SECONDS", 0.5)
    with Launcher() as own:
        running = own.launch(program("exec sleep 1000"))
        cgroup = Path(running._cgroup)
        if not (cgroup / "cgroup.freeze").exists():
            pytest.skip("no cgroups of version 2 here")
        (cgroup / "cgroup.freeze").write_text("1")
        running.end()
        assert select.select([running], [], [], LONG)[0]
        assert running.wait().signal == signal.SIGKILL
        assert wait_for(lambda: not cgroup.exists())


@pytest.mark.root
def test_31_cgroups_of_a_program_that_was_killed_go_with_its_tasks() -> None:
    """Nobody buries its launchers any more: the broker looks whenever a task has ended."""
    with Launcher() as own:
        own._base = f"{own._base}-killed-{os.getpid()}"
        task = own.launch(program("exec sleep 1000"))
        cgroup = Path(task._cgroup)
        os.kill(own._pid, signal.SIGKILL)
        for _ in range(launcher.MAX_WARM):  # those that wait still, and one of the next program's
            with suppress(NotStartedError):  # one that was asked for, and not forked any more
                own.launch(program("exit 0")).wait()
        assert cgroup.exists()
        task.close()
        assert wait_for(lambda: own.launch(program("exit 0")).wait().exit_status == 0 and not cgroup.exists())
    assert wait_for(lambda: not cgroups.sweep(own._base) and _gone(Path(own._base)))  # of those that ended last


def _gone(folder: Path) -> bool:
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()
