"""A start is prepared first and begins on one byte: before it nothing of the task runs, and without it nothing ever does."""

import contextlib
import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from elevate.errors import CommandNotFoundError, ElevateError, HostError, NotStartedError, StartUnknownError
from elevate.host import becoming, cgroups, kernel, running, wire
from elevate.host import launcher as launchers
from elevate.host.launched import Waiting
from elevate.host.launcher import MAX_WARM, Jail, Launcher, Order, Prepared
from elevate.host.watch import descendants
from elevate.model import Window
from tests.tools import wait_for
from tests.unit.host.run import PATH

ROOT = Path(__file__).resolve().parents[3]
SOON, LONG = 0.3, 20.0
PR_GET_DUMPABLE = 3
JAILS = [False, pytest.param(True, marks=pytest.mark.root)]


@contextmanager
def prepared(launcher: Launcher, script: str, *, jailed: bool = False, limit: int = 60) -> Iterator[tuple[Prepared, int]]:
    """Prepare a shell script; give it with the read end of its output."""
    if jailed and os.geteuid() != 0:
        pytest.skip("needs root")
    read, write = os.pipe()
    jail = Jail(uid=65_534, gid=65_534, home="/mnt") if jailed else None
    order = Order(argv=("/bin/sh", "-c", script), env=PATH, fds={1: write}, time_limit_seconds=limit, jail=jail)
    ready = launcher.prepare(order)
    os.close(write)
    try:
        yield ready, read
    finally:
        ready.close()
        os.close(read)


def open_descriptors() -> list[int]:
    """Give the numbers of this process's descriptors, without the one that looks."""
    return [int(path.name) for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink()]


def told(read: int, seconds: float) -> bytes | None:
    """Give what came within the time, empty at the end of the file; None where nothing came."""
    return os.read(read, 100) if select.select([read], [], [], seconds)[0] else None


@pytest.mark.parametrize("jailed", JAILS)
def test_nothing_runs_before_the_byte(launcher: Launcher, *, jailed: bool) -> None:
    """The program begins when it is let go, and not a moment before."""
    with prepared(launcher, "echo ran", jailed=jailed) as (ready, read):
        assert told(read, SOON) is None
        running = ready.go()
        assert told(read, LONG) == b"ran\n"
        assert running.wait().exit_status == 0


def test_whoever_waits_can_not_be_traced_by_its_own_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even on a machine whose fs.suid_dumpable lets one be traced that has just become another user."""
    (answer, its), (theirs, go) = os.pipe(), os.pipe()

    def traceable(*_: object) -> bytes:
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
        return b""

    def tell(*_: object) -> None:
        os.write(its, bytes([ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)]))

    monkeypatch.setattr(becoming, "receive", lambda _: ({"terminal": [], "env": [], "argv": []}, [-1, its, theirs]))
    monkeypatch.setattr(becoming, "prepare", traceable)
    monkeypatch.setattr(os, "execve", tell)  # it must not be executed
    os.write(go, wire.GO)
    pid = os.fork()
    if pid == 0:
        try:
            ours, _ = socket.socketpair()
            becoming.become(ours, mmap.mmap(-1, mmap.PAGESIZE))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert told(answer, LONG) == wire.EXECUTES + b"\0"
    for fd in (answer, its, theirs, go):
        os.close(fd)


@pytest.mark.parametrize("jailed", JAILS)
def test_what_is_given_up_never_runs(launcher: Launcher, *, jailed: bool) -> None:
    """Its processes end, all of them, and it can't be let go any more; twice is the same as once."""
    with prepared(launcher, "echo ran", jailed=jailed) as (ready, read):
        assert told(read, SOON) is None
        ready.close()
        ready.close()
        assert told(read, LONG) == b""  # nobody holds its output any more
        with pytest.raises(HostError, match="given up"):
            ready.go()


def test_what_is_dropped_never_runs(launcher: Launcher) -> None:
    """Whoever forgets it gives it up."""
    with prepared(launcher, "echo ran") as (ready, read):
        ready.__del__()
        assert told(read, LONG) == b""


@pytest.mark.parametrize("jailed", JAILS)
def test_a_task_begins_once(launcher: Launcher, *, jailed: bool) -> None:
    """A second byte is refused, and giving up what runs changes nothing."""
    with prepared(launcher, "echo ran; exit 7", jailed=jailed) as (ready, read):
        running = ready.go()
        with pytest.raises(HostError, match="under way"):
            ready.go()
        ready.close()
        assert told(read, LONG) == b"ran\n"
        assert running.wait().exit_status == 7


@pytest.mark.parametrize("jailed", JAILS)
def test_the_time_limit_counts_from_the_byte(launcher: Launcher, *, jailed: bool) -> None:
    """What was prepared long before has its whole time, and no more."""
    for script, over in (("sleep 0.4; exit 5", False), ("exec sleep 1000", True)):
        with prepared(launcher, script, jailed=jailed, limit=1) as (ready, read):
            assert told(read, 1.2) is None
            report = ready.go().wait()
            assert (report.timed_out, report.exit_status == 5) == (over, not over)
            assert report.duration_ms < 1150 + 2000 * over


@pytest.mark.parametrize("prepare", ["launcher.prepare(order)", "launcher.launch(order)"])
def test_nothing_runs_when_the_broker_is_killed(prepare: str) -> None:
    """Between the two a crash leaves nothing; the second way shows that the test would see it."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from elevate.host.launcher import *; launcher = Launcher()\n"
        "order = Order(argv=('/bin/sh', '-c', 'echo ran; exec sleep 1000'), env={}, fds={2: 1})\n"
        f"kept = {prepare}; print('ready', launcher._pid, flush=True); sys.stdin.read()"
    ).replace("echo ran", "echo ran >&2")
    ours = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    broker = subprocess.Popen([sys.executable, "-I", "-c", code, str(ROOT)], **ours)  # type: ignore[call-overload]
    said = [broker.stdout.readline() for _ in range(2 if "launch(" in prepare else 1)]
    zygote = int(next(line for line in said if line.startswith("ready")).split()[1])
    waiting = [os.pidfd_open(pid) for pid in (zygote, *descendants(zygote))]
    broker.kill()
    rest = broker.stdout.read()  # until nobody holds it any more
    broker.wait()
    broker.stdin.close()
    broker.stdout.close()
    for one in waiting:
        assert select.select([one], [], [], LONG)[0]
        os.close(one)
    assert ("ran\n" in "".join(said) + rest) is ("launch(" in prepare)


def test_the_pipes_end_alone_is_enough(launcher: Launcher) -> None:
    """Nothing is executed at its end without the byte, though launcher and broker are there and wait."""
    with prepared(launcher, "echo ran") as (ready, read):
        ends = ready._ends.taken()
        assert ends is not None
        os.close(ends[0])
        assert told(read, LONG) == b""
        assert os.read(ends[1], 10) == b""
        os.close(ends[1])
        ready._waiting.channel.close()


def test_what_nobody_lets_go_is_ended_in_bounded_time() -> None:
    """A broker that neither goes on nor gives up keeps no process waiting for ever; that is no task that took too long."""
    code = (
        "import mmap, os, socket, subprocess, sys; sys.path.insert(0, sys.argv[1]); from elevate.host import watch, wire\n"
        "watch.WAIT_SECONDS = 0.2; ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "wake = watch.wake_on_child(); child = subprocess.Popen(['/bin/sleep', '1000'])\n"
        "watch.Watch(theirs, wake, child.pid, mmap.mmap(-1, 64), 1000).run(); print(*wire.REPORT.unpack(ours.recv(100)))"
    )
    argv = [sys.executable, "-I", "-c", code, str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.stdout.split() == ["-1", str(int(signal.SIGKILL)), "0", "0", "0"], done.stderr


def test_a_launcher_that_dies_is_noticed_while_those_before_it_run() -> None:
    """Nobody but a launcher has its socket, whenever the others were forked."""
    with Launcher(warm=3) as launcher:
        launcher.launch(Order(argv=("/bin/true",), env={})).wait()
        assert wait_for(lambda: len(descendants(launcher._pid)) >= 4)  # two were forked at once, each with its task's process
        first, second = (launcher.launch(Order(argv=("/bin/sleep", "1000"), env={})) for _ in range(2))
        parent = int(Path(f"/proc/{second.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        assert select.select([second], [], [], SOON)[0]
        assert second.wait().leftover == 1
        first.close()


def test_a_launcher_that_dies_before_the_byte_runs_nothing() -> None:
    """Whoever lets it go hears that nothing ran, though the byte was sent."""
    with Launcher() as launcher, prepared(launcher, "echo ran") as (ready, read):
        assert told(read, SOON) is None
        for pid in descendants(launcher._pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert told(read, LONG) == b""
        with pytest.raises(NotStartedError):
            ready.go()


def test_a_program_that_is_not_there_is_told_at_the_byte(launcher: Launcher) -> None:
    """What fails before the execution is known not to have run, when soever it failed."""
    ready = launcher.prepare(Order(argv=("/bin/true",), env={}, cwd="/nonexistent"))
    with pytest.raises(HostError, match="surroundings") as caught:
        ready.go()
    assert not isinstance(caught.value, StartUnknownError)


@pytest.mark.parametrize("jailed", JAILS)
def test_a_terminal_that_is_none_is_told(capfd: pytest.CaptureFixture[str], *, jailed: bool) -> None:
    """Nothing runs, and nobody falls over it."""
    jail = Jail(uid=65_534, gid=65_534, home="/mnt") if jailed else None
    with Launcher() as launcher, Path("/dev/null").open("rb") as none:
        with pytest.raises(HostError, match="surroundings"):
            launcher.launch(Order(argv=("/bin/true",), env=PATH, fds={0: none.fileno()}, terminal=0, jail=jail))
        pid = os.pidfd_open(launcher._pid)
    assert select.select([pid], [], [], LONG)[0]  # who is asked for no more ends when the others have
    os.close(pid)
    assert capfd.readouterr().err == ""


@pytest.mark.root
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_a_launcher_begins_on_another_processor() -> None:
    """Its first steps run beside the broker's, not after them."""
    folder = f"{cgroups.base()}/{os.urandom(8).hex()}"
    cgroups.make(folder)
    ours, theirs = socket.socketpair()
    with subprocess.Popen(["/bin/sleep", "1000"]) as waiting, ours, theirs:
        try:
            Path(folder, "cgroup.procs").write_text(str(waiting.pid))
            launchers._aside(Waiting(ours, folder))
            assert len(os.sched_getaffinity(waiting.pid)) == len(os.sched_getaffinity(0)) - 1
        finally:
            waiting.kill()
            waiting.wait()
            assert cgroups.end(folder) == 0


@pytest.mark.root
def test_a_task_has_all_processors() -> None:
    """Wherever its launcher began."""
    with Launcher(warm=1) as launcher, ExitStack() as stack:
        stack.enter_context(prepared(launcher, "true", jailed=True))[0].go().wait()
        (waiting,) = launcher._pools[True].ready
        wait_for(lambda: bool(cgroups.members(waiting.cgroup)))
        ready, read = stack.enter_context(prepared(launcher, "grep Cpus_allowed: /proc/self/status", jailed=True))
        running = ready.go()
        mine = next(line for line in Path("/proc/self/status").read_text().splitlines() if "Cpus_allowed:" in line)
        assert (told(read, LONG) or b"").decode().strip() == mine
        running.wait()


def test_launchers_follow_the_load() -> None:
    """Many at once find more of them waiting the next time, and not more than a bound; one after the other, fewer."""
    with Launcher() as own:
        for _ in range(8):
            running = [own.launch(Order(argv=("/bin/true",), env={})) for _ in range(4)]
            for one in running:
                one.wait()
        assert 4 <= len(own._pools[False].ready) <= 8
        for _ in range(40):
            own.launch(Order(argv=("/bin/true",), env={})).wait()
        assert len(own._pools[False].ready) == own._warm


@pytest.mark.parametrize("window", [None, Window(24, 80, "dumb", (0, 1, 2))])
def test_a_start_for_which_descriptors_lack_keeps_none(launcher: Launcher, window: Window | None) -> None:
    """Whichever of them can't be had; with enough of them it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def order(out: int, err: int) -> Order:
        return Order(argv=("/bin/true",), env=PATH, fds={1: out, 2: err})

    launcher.launch(order(1, 2)).wait()
    lowest, failed = max(open_descriptors()), 0
    gaps = [os.open("/dev/null", os.O_RDONLY) for _ in range(lowest - len(open_descriptors()) + 2)]
    before, lowest = len(open_descriptors()), max(open_descriptors())
    for more in range(1, 24):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, hard))
            running.prepare(launcher, order, lambda _: pytest.fail("nothing ended"), window=window).close()
        except (OSError, ElevateError):
            failed += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    left = len(open_descriptors()) - before
    for gap in gaps:
        os.close(gap)
    assert failed > 4
    assert left <= MAX_WARM, "only launchers that wait may be more"


def test_a_start_that_failed_is_replaced_as_one_that_ended() -> None:
    """So the next one finds a launcher that waits."""
    with Launcher() as launcher:  # one that has not yet seen how many are needed
        launcher.launch(Order(argv=("/bin/true",), env=PATH)).wait()
        waiting = len(launcher._pools[False].ready)
        with pytest.raises(CommandNotFoundError):
            launcher.launch(Order(argv=("/nonexistent",), env=PATH))
        assert len(launcher._pools[False].ready) == waiting
        launcher.prepare(Order(argv=("/bin/true",), env=PATH)).close()
        assert len(launcher._pools[False].ready) == waiting
