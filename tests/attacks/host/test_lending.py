"""Rows 28, 30, 31 and 36 where a launcher lends itself: whoever has the same user gets nothing by it, and stops nothing."""

import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from elevate.errors import NotStartedError, StartUnknownError
from elevate.host import identity, launched
from elevate.host.launcher import Jail, Launcher, Order, Prepared
from elevate.host.watch import descendants
from tests.attacks.host.holding import GID, LONG, UID, as_the_user, held, program, status
from tests.tools import wait_for
from tests.unit.host.run import PATH

pytestmark = pytest.mark.root
CHOWN, KILL, DAC_READ_SEARCH, SYS_PTRACE = 0, 5, 2, 19
DUMPABLE = Path("/proc/sys/fs/suid_dumpable")
TRIES = """
import ctypes, os, resource, sys
libc = ctypes.CDLL(None)
for pid in map(int, sys.argv[1:]):
    if libc.ptrace(16, pid, 0, 0) == 0:
        print("traced")
    for name in ("mem", "environ", "maps"):
        try:
            with open(f"/proc/{pid}/{name}", "rb"):
                print(name)
        except OSError:
            pass
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (0, 0))
        print("limited")
    except OSError:
        pass
"""


@pytest.mark.parametrize("dumpable", ["0", "1"])
def test_28_who_has_the_tasks_user_can_not_take_hold_of_the_launcher(tmp_path: Path, dumpable: str) -> None:
    """Neither of it nor of the process that shares its memory, however the machine is set; of another one it can."""
    before = DUMPABLE.read_text()
    try:
        DUMPABLE.write_text(dumpable)
    except OSError:
        pytest.skip("this machine's setting can't be changed")
    try:
        with held(tmp_path, "exit 3") as start:
            assert status(start.launcher)["Uid"] == [str(UID), str(UID), "0", str(UID)]
            found = as_the_user("/usr/bin/python3", "-I", "-S", "-c", TRIES, str(start.launcher), str(start.process))
            start.allow()
            assert start.told.result(LONG).wait().exit_status == 3
        own = subprocess.Popen(["/bin/sleep", "1000"], user=UID, group=GID, extra_groups=[])
        control = as_the_user("/usr/bin/python3", "-I", "-S", "-c", TRIES, str(own.pid))
        own.kill()
        own.wait()
    finally:
        DUMPABLE.write_text(before)
    assert found == ""
    assert control.split() == ["traced", "mem", "environ", "maps", "limited"]


def test_28_who_has_the_tasks_user_can_not_take_hold_of_a_process_as_it_takes_that_user() -> None:
    """At no moment is it wholly the user's and can be traced: it says what it is after each change."""
    before = DUMPABLE.read_text()
    read, write = os.pipe()
    try:
        try:
            DUMPABLE.write_text("1")
        except OSError:
            pytest.skip("this machine's setting can't be changed")
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                become(write)
            os._exit(0)
        os.waitpid(pid, 0)
    finally:
        DUMPABLE.write_text(before)
        os.close(write)
    with os.fdopen(read) as said:
        changes = [line.split() for line in said]
    assert changes[-1] == [str(UID), str(UID), str(UID), "0"]
    assert [str(UID), str(UID), str(UID), "1"] not in changes
    assert ["0", "0", "0", "1"] in changes  # the machine is set so that it could be traced


def become(told: int) -> None:
    """Take the user's identity; tell real, effective and saved user after each change, and whether it can be traced."""
    order: Any = {"uid": [b"%d" % UID], "gid": [b"%d" % GID], "groups": [], "capabilities": [], "network": [b"1"], "small": []}
    change = {name: getattr(os, name) for name in ("setresuid", "setresgid")}
    libc = ctypes.CDLL(None)

    def watched(name: str, *numbers: int) -> None:
        change[name](*numbers)
        os.write(told, b"%d %d %d %d\n" % (*os.getresuid(), libc.prctl(3, 0, 0, 0, 0)))

    for name in change:
        setattr(os, name, partial(watched, name))
    identity.Identity(order).become()


def test_31_a_launcher_that_the_tasks_user_stops_takes_the_task_with_it(tmp_path: Path) -> None:
    """Else the task would run without a time limit, and go on when the broker is gone. Nobody is left who says that it ran."""
    with held(tmp_path, "exec sleep 1000") as start:
        process = os.pidfd_open(start.process)
        assert as_the_user("/bin/kill", "-STOP", str(start.launcher)) == ""
        start.allow()
        assert select.select([process], [], [], LONG)[0]
        os.close(process)
        with pytest.raises(StartUnknownError):
            start.told.result(LONG)
        assert wait_for(lambda: not start.cgroup.exists())


def test_31_signals_of_the_tasks_user_do_not_reach_the_launcher(tmp_path: Path) -> None:
    """It is the first of its namespace, and hears none but those it asked for."""
    with held(tmp_path, "exit 3") as start:
        for name in ("TERM", "INT", "HUP", "USR1", "ALRM", "XCPU", "CHLD"):
            assert as_the_user("/bin/kill", f"-{name}", str(start.launcher)) == ""
        start.allow()
        assert start.told.result(LONG).wait().exit_status == 3


def test_36_a_start_that_hangs_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher hangs with it, and hears nobody; it is ended all the same."""
    monkeypatch.setattr(launched, "START_SECONDS", 0.3)
    with held(tmp_path, "exit 3") as start:
        waiting = [os.pidfd_open(pid) for pid in (start.launcher, start.process)]
        with pytest.raises(StartUnknownError):
            start.told.result(LONG)
        for one in waiting:
            assert select.select([one], [], [], LONG)[0]
            os.close(one)
        assert wait_for(lambda: not start.cgroup.exists())


def test_30_nobody_has_the_tasks_user_before_the_byte() -> None:
    """While it waits the launcher is root's; so nobody else can stop it for long."""
    with Launcher() as launcher:
        prepared = launcher.prepare(program("exit 3"))
        assert wait_for(lambda: any(status(pid)["NoNewPrivs"] == ["1"] for pid in descendants(launcher._pid)))
        assert {tuple(status(pid)["Uid"]) for pid in descendants(launcher._pid)} == {("0",) * 4}
        assert prepared.go().wait().exit_status == 3


@contextmanager
def waiting() -> Iterator[tuple[Prepared, int]]:
    """Give a start that is forked, and so waits as the task's user, with the number of that process; it must not run."""
    read, write = os.pipe()
    with Launcher() as launcher, os.fdopen(read) as said:
        jail = Jail(uid=UID, gid=GID, home="/mnt", small=True)
        prepared = launcher.prepare(replace(program("echo ran"), jail=jail, fds={1: write}))
        os.close(write)
        found: list[int] = []

        def waits() -> bool:
            found[:] = [pid for pid in descendants(launcher._pid) if status(pid)["Uid"] == [str(UID)] * 4]
            return bool(found)

        assert wait_for(waits)
        yield prepared, found[0]
        assert said.read() == ""


def test_28_a_process_killed_by_its_user_before_it_executes_is_known_not_to_have_run() -> None:
    """Nobody has to look at what the task does: nothing of it ran."""
    with waiting() as (prepared, process):
        assert as_the_user("/bin/kill", "-KILL", str(process)) == ""
        with pytest.raises(NotStartedError):
            prepared.go()


def test_28_nor_has_one_that_is_stopped() -> None:
    """Its launcher ends it, so that it is known at once that nothing ran, and not after a long wait."""
    with waiting() as (prepared, process):
        assert as_the_user("/bin/kill", "-STOP", str(process)) == ""
        began = time.monotonic()
        with pytest.raises(NotStartedError):
            prepared.go()
        assert time.monotonic() - began < LONG


def test_28_the_launcher_is_roots_again_and_has_few_rights(tmp_path: Path) -> None:
    """Those that it needs to end the tree; by what it executed it would get none beyond the task's own."""
    with held(tmp_path, "exec sleep 1000") as start:
        launcher = start.launcher
        start.allow()
        assert wait_for(lambda: status(launcher)["CapPrm"] == [f"{1 << KILL | 1 << DAC_READ_SEARCH:016x}"])
        found = status(launcher)
        assert (found["Uid"], found["Gid"], found["NoNewPrivs"]) == (["0"] * 4, ["0"] * 4, ["1"])
        assert [found[name] for name in ("CapInh", "CapAmb", "CapBnd")] == [[f"{0:016x}"]] * 3
        assert Path(f"/proc/{launcher}/mem").stat().st_uid == 0
        assert "denied" in as_the_user("/usr/bin/head", "-c", "0", f"/proc/{launcher}/mem")


ALL = """
grep -vE '^(Name|Pid|PPid|Tgid|Ngid|NSpid|NStgid|NSpgid|NSsid|Vm|Rss|Hugetlb|voluntary|nonvol|Mems|Cpus|SigQ|untag|Threads)' \
    /proc/self/status
cat /proc/self/limits /proc/self/cgroup /proc/self/oom_score_adj
umask; pwd; env; ls /proc/self/fd; cut -d ' ' -f 5-8 /proc/self/stat; wc -l < /proc/self/net/dev
for name in mnt ipc pid user uts; do readlink /proc/self/ns/$name | cut -c 1-3; done
echo $0 $#; cat /proc/$PPID/comm; cat /proc/$$/comm
[ $(id -u) = 0 ] || grep -c _ses /proc/keys
"""


def seen(order: Order, *, forked: bool) -> list[str]:
    """Give what a task says of itself."""
    read, write = os.pipe()
    with Launcher() as launcher, os.fdopen(read) as file:
        if forked:
            launcher._base = ""  # who has no cgroup lends nothing
        running = launcher.launch(replace(order, fds={1: write, 2: write}))
        os.close(write)
        found = [line for line in file if ":/" not in line]
        assert running.wait().exit_status == 0
    return found


@pytest.mark.parametrize(
    "changed",
    [
        {"groups": (GID, 7)},
        {"capabilities": (CHOWN, KILL), "groups": (5,)},
        {"uid": 0, "gid": 0, "capabilities": (CHOWN, DAC_READ_SEARCH)},
        {"uid": 0},
        {"network": False},
    ],
)
@pytest.mark.parametrize("more", [True, False])
def test_30_a_task_is_what_a_forked_one_is(changed: dict[str, Any], *, more: bool) -> None:
    """User, groups, capabilities, limits, session, signals, descriptors and all else that it can see of itself."""
    fields: dict[str, Any] = {"uid": UID, "gid": GID, "home": "/mnt"} | changed
    jail = Jail(**fields)
    order = Order(argv=("/bin/sh", "-c", ALL, "first", "second"), env=PATH, no_new_privs=not more, jail=jail)
    forked, lent = (seen(order, forked=forked) for forked in (True, False))
    assert lent == forked
    assert f"CapBnd:\t{sum(1 << number for number in jail.capabilities):016x}\n" in lent


def test_28_a_start_that_was_given_up_is_known_not_to_have_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers in time all are ended, and had said nothing of an execution."""
    monkeypatch.setattr(launched, "START_SECONDS", 0.2)
    with Launcher() as launcher:
        prepared = launcher.prepare(program("exit 3"))
        assert wait_for(lambda: any(status(pid)["NoNewPrivs"] == ["1"] for pid in descendants(launcher._pid)))
        everyone = [launcher._pid, *descendants(launcher._pid)]  # the one first who would end those that are stopped
        for pid in everyone:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(NotStartedError):
                prepared.go()
        finally:
            for pid in everyone:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
