"""The launcher starts exactly what was ordered, ends the whole tree, and reports."""

import gc
import os
import select
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, HostError
from elevate.host import wire
from elevate.host.launcher import Launcher, Order
from elevate.host.watch import descendants
from tests.unit.host.run import PATH, alive, run, run_argv

ROOT = Path(__file__).resolve().parents[3]


def test_exit_status_passes_through(launcher: Launcher) -> None:
    """The first process's exit status is the report's."""
    report, _ = run(launcher, "exit 42")
    assert (report.exit_status, report.signal, report.timed_out, report.leftover) == (42, None, False, 0)


def test_fatal_signal_passes_through(launcher: Launcher) -> None:
    """A signal is reported as a signal, not as a status."""
    report, _ = run(launcher, "kill -SEGV $$")
    assert (report.exit_status, report.signal) == (None, signal.SIGSEGV)


def test_environment_is_exactly_the_given(launcher: Launcher) -> None:
    """Nothing of the broker's or the launcher's environment reaches the task."""
    _, text = run_argv(launcher, ("/usr/bin/env",), env={"ONE": "1", "TWO": "a=b c"})
    assert text == "ONE=1\nTWO=a=b c\n"


def test_descriptors_are_exactly_the_given(launcher: Launcher) -> None:
    """The task has 0, 1, 2 and what was declared; 0 and 2 are empty where not declared."""
    read, write = os.pipe()
    try:
        _, text = run(launcher, "ls -1 /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/2", fds={7: read})
    finally:
        os.close(read)
        os.close(write)
    assert text.split() == ["0", "1", "2", "7", "/dev/null", "/dev/null"]


def test_two_descriptors_may_change_places(launcher: Launcher) -> None:
    """Sources and targets may overlap in any way."""
    fds = [os.memfd_create(name) for name in ("a", "b")]
    try:
        _, text = run(
            launcher, f"readlink /proc/$$/fd/{fds[0]} /proc/$$/fd/{fds[1]}", fds=dict(zip(fds, fds[::-1], strict=True))
        )
    finally:
        for fd in fds:
            os.close(fd)
    assert text.split()[::2] == ["/memfd:b", "/memfd:a"]


def test_own_session_and_group(launcher: Launcher) -> None:
    """The task leads a session and a process group of its own, with no controlling terminal."""
    _, text = run(launcher, "read -r a b c d pgrp sid tty rest < /proc/$$/stat; echo $$ $pgrp $sid $tty")
    pid, group, session, terminal = text.split()
    assert pid == group == session
    assert terminal == "0"


def test_working_directory_by_descriptor(launcher: Launcher, tmp_path: Path) -> None:
    """A directory that was swapped after it was opened is not entered."""
    (tmp_path / "true").mkdir()
    fd = os.open(tmp_path / "true", os.O_PATH | os.O_DIRECTORY)
    (tmp_path / "true").rename(tmp_path / "moved")
    (tmp_path / "true").symlink_to("/etc")
    try:
        _, text = run(launcher, "pwd -P", cwd_fd=fd)
    finally:
        os.close(fd)
    assert text.strip() == str(tmp_path / "moved")


def test_script_runs_by_descriptor(launcher: Launcher, tmp_path: Path) -> None:
    """A script is executed from its descriptor, though its path holds another one by then."""
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho first "$@"\n')
    script.chmod(0o755)
    fd = os.open(script, os.O_RDONLY)
    script.unlink()
    script.write_text("#!/bin/sh\necho second\n")
    script.chmod(0o755)
    try:
        report, text = run_argv(launcher, (str(script), "x"), exec_fd=fd)
    finally:
        os.close(fd)
    assert (report.exit_status, text) == (0, "first x\n")


def test_fresh_signals_umask_and_no_new_privileges() -> None:
    """The task starts with nothing ignored or blocked, umask 022 and no way to more privileges."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with Launcher() as fresh:
            _, text = run(fresh, "umask; grep -E 'NoNewPrivs|SigIgn|SigBlk' /proc/self/status")
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    umask, _, blocked, _, ignored, _, no_new_privs = text.split()
    standard = 2**31 - 1  # the C library keeps two real-time signals to itself
    assert (umask, int(blocked, 16), int(ignored, 16) & standard, no_new_privs) == ("0022", 0, 0, "1")


def test_time_limit_ends_the_tree(launcher: Launcher) -> None:
    """When the time is over the task is asked to end, then killed."""
    report, _ = run(launcher, "sleep 1000", time_limit_seconds=1)
    assert (report.timed_out, report.signal, report.leftover) == (True, signal.SIGTERM, 0)


def test_end_asks_then_the_report_comes(launcher: Launcher) -> None:
    """`end` signals the whole process group; the descriptor turns readable."""
    launched = launcher.launch(Order(argv=("/bin/sleep", "1000"), env={}))
    launched.end(signal.SIGINT)
    assert select.select([launched], [], [], 10)[0]
    assert launched.wait().signal == signal.SIGINT


def test_commands_that_come_too_late_cost_no_report(launcher: Launcher) -> None:
    """What the launcher did not read any more when it ended does not hide what it said."""
    for _ in range(20):
        launched = launcher.launch(Order(argv=("/bin/true",), env={}))
        for _ in range(20):
            launched.kill(0)
        report = launched.wait()
        assert (report.exit_status, report.leftover) == (0, 0)


def test_task_that_ignores_the_signal_is_killed(launcher: Launcher) -> None:
    """After the grace period nothing is asked any more."""
    report, _ = run(launcher, "trap '' TERM; kill -TERM $$; while :; do sleep 1; done", time_limit_seconds=1)
    assert (report.signal, report.leftover) == (signal.SIGKILL, 0)


def test_dropped_tree_is_killed(launcher: Launcher) -> None:
    """Who forgets a running tree ends it."""
    launched = launcher.launch(Order(argv=("/bin/sleep", "1000"), env={}))
    pid = os.pidfd_open(launched.pid)
    del launched
    assert select.select([pid], [], [], 10)[0]
    os.close(pid)


def test_broker_killed_tree_ends() -> None:
    """A broker that is killed takes its tasks, orphans included, and its launchers with it."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from elevate.host.launcher import *; launcher = Launcher()\n"
        "launcher.launch(Order(argv=('/bin/sh', '-c', sys.argv[2]), env={'PATH': '/usr/bin:/bin'}, fds={1: 1})).wait()"
    )
    script = "setsid sh -c 'echo $$; exec sleep 1000'"
    broker = subprocess.Popen([sys.executable, "-I", "-c", code, str(ROOT), script], stdout=subprocess.PIPE)
    assert broker.stdout is not None
    orphan = os.pidfd_open(int(broker.stdout.readline()))
    broker.kill()
    broker.wait()
    assert select.select([orphan], [], [], 10)[0]
    os.close(orphan)
    broker.stdout.close()


def test_unknown_program_and_unknown_interpreter(launcher: Launcher, tmp_path: Path) -> None:
    """What is not there is one error, for a script's interpreter too."""
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    for argv in (("/no/such",), (str(script),)):
        with pytest.raises(CommandNotFoundError):
            run_argv(launcher, argv)


def test_file_that_is_no_program(launcher: Launcher, tmp_path: Path) -> None:
    """What can't be executed is one error; no shell is tried in its place."""
    text = tmp_path / "text"
    text.write_text("echo hello\n")
    text.chmod(0o755)
    with pytest.raises(CommandNotExecutableError):
        run_argv(launcher, (str(text),))
    text.chmod(0o644)
    with pytest.raises(CommandNotExecutableError):
        run_argv(launcher, (str(text),))


def test_64_at_once(launcher: Launcher) -> None:
    """Callers from many threads each get their own task's report."""
    with ThreadPoolExecutor(16) as pool:
        reports = list(pool.map(lambda number: run(launcher, f"exit {number}")[0].exit_status, range(64)))
    assert reports == list(range(64))


def test_launcher_program_is_started_again_when_killed() -> None:
    """The death of the program costs nothing but its warm launchers."""
    with Launcher() as launcher:
        run(launcher, "true")
        os.kill(launcher._pid, signal.SIGKILL)
        os.waitid(os.P_PID, launcher._pid, os.WEXITED | os.WNOWAIT)
        reports = [run(launcher, "exit 3")[0].exit_status for _ in range(5)]
    assert reports == [3] * 5


def test_killed_launcher_is_never_reported_clean(launcher: Launcher) -> None:
    """Where the launcher itself is killed, the report says that something may be left, and the task is gone too."""
    launched = launcher.launch(Order(argv=("/bin/sleep", "1000"), env={}))
    task = os.pidfd_open(launched.pid)
    parent = int(Path(f"/proc/{launched.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert select.select([task], [], [], 10)[0]
    os.close(task)
    assert launched.wait().leftover == 1


def test_close_leaves_no_process() -> None:
    """After close the program has ended, and a further order is refused."""
    launcher = Launcher()
    run(launcher, "true")
    pid = launcher._pid
    until = time.monotonic() + 10
    while not (waiting := [os.pidfd_open(one) for one in descendants(pid) if alive(one)]) and time.monotonic() < until:
        continue  # the program forks those that wait when it has nothing more important to do
    launcher.close()
    launcher.close()
    assert not alive(pid)
    assert waiting
    for one in waiting:
        assert select.select([one], [], [], 10)[0]
        os.close(one)
    with pytest.raises(HostError):
        run(launcher, "true")


def test_no_descriptor_is_left() -> None:
    """A hundred tasks leave the broker with as many descriptors as before."""
    gc.collect()  # what earlier tests left
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Launcher() as launcher:  # how many wait ready while it is open changes from moment to moment
        for _ in range(100):
            launcher.launch(Order(argv=("/bin/true",), env={})).wait()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("argv", [(), ("true",), ("",)])
def test_order_needs_an_absolute_program(argv: tuple[str, ...]) -> None:
    """An empty command or a relative one can't be ordered."""
    with pytest.raises(HostError):
        Order(argv=argv, env={})


@pytest.mark.parametrize("name", ["", "A=B"])
def test_order_refuses_a_bad_environment_name(name: str) -> None:
    """No entry can pretend to be another."""
    with pytest.raises(HostError):
        Order(argv=("/bin/true",), env={name: "x"})


def test_order_with_a_nul_is_refused(launcher: Launcher) -> None:
    """A NUL never cuts an argument short."""
    with pytest.raises(HostError):
        launcher.launch(Order(argv=("/bin/echo", "a\0b"), env=PATH))


def test_order_wire_round_trip_and_cut() -> None:
    """What is packed is unpacked; a cut order is refused."""
    fields = {"a": [b"x", b""], "b": [], "c": [b"\xff\n"]}
    assert wire.unpack(wire.pack(fields)) == fields
    with pytest.raises(ValueError, match="cut off"):
        wire.unpack(wire.pack(fields)[:-1])


@pytest.mark.parametrize("data", [b"a\0", b"a\0-2\0", b"a\x000\0b\x002\0x\0", b"a\0x\0", b"\xff\x000\0"])
def test_order_that_says_other_than_it_holds_is_refused(data: bytes) -> None:
    """A launcher that read it for ever would be stuck with all rights."""
    with pytest.raises(ValueError, match=r"order|invalid|decode"):
        wire.unpack(data)


def test_long_command_line(launcher: Launcher) -> None:
    """A command line far longer than a datagram arrives whole."""
    argv = ("/bin/sh", "-c", 'echo $# ${#1} "$4"', "sh", *["x" * 120_000, "y" * 120_000, "z" * 120_000, "last"])
    _, text = run_argv(launcher, argv)
    assert text == "4 120000 last\n"
