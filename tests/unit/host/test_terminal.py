"""A task's own terminal: only where a rule says interactive, with its size and its signals, and gone at the end."""

import os
import select
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from elevate.errors import HostError
from elevate.host.running import TreeRunning
from elevate.model import Ended, Obligations, Window
from elevate.ports import Mandate
from elevate.tasks import Task
from tests.unit.host.acting import Linux
from tests.unit.host.emulating import Emulated

INTERACTIVE = Obligations(extra=(("interactive", True),))


@pytest.fixture(params=["emulated", *(pytest.param(name, marks=pytest.mark.root) for name in ("linux", "confined"))])
def acting(request: pytest.FixtureRequest) -> Emulated | Linux:
    name = "machine" if request.param == "emulated" else "linux"
    found = request.getfixturevalue(name)
    assert isinstance(found, Emulated | Linux)
    if request.param == "confined" and isinstance(found, Linux):
        return found.demanding(interactive=True, identity="root", read_only=("/etc",))
    return found


def converse(acting: Emulated | Linux, task: Task, talk: Callable[[TreeRunning], None]) -> tuple[str, Ended]:
    """Run with a terminal of 40 rows and 100 columns; give all that was shown."""
    inspection = acting.host.inspect(task, acting.requester)
    running = acting.host.start(
        inspection,
        Mandate(
            identity=acting.host.provision(acting.requester),
            session=next(acting.sessions),
            time_limit_seconds=60,
            obligations=acting.obligations or INTERACTIVE,
        ),
        window=Window(40, 100),
    )
    talk(running)
    shown = b""
    try:
        while part := os.read(running.terminal, 4096):
            shown += part
    except OSError:
        pass
    ended = running.wait()
    for fd in (running.terminal, running.stdout, running.stderr):
        os.close(fd)
    inspection.close()
    return shown.decode().replace("\r\n", "\n"), ended


def sh(text: str) -> Task:
    return Task.run(["/bin/sh", "-c", text])


def test_task_reads_and_writes_its_terminal(acting: Emulated | Linux) -> None:
    """All three descriptors and /dev/tty are a terminal of the task's own, with the size that was given."""

    def talk(running: TreeRunning) -> None:
        os.write(running.terminal, b"hello\n")

    text, ended = converse(
        acting, sh("stty size; read -r x; echo got $x > /dev/tty; test -t 0 && test -t 1 && test -t 2"), talk
    )
    assert ended.exit_status == 0
    assert "40 100\n" in text
    assert "got hello\n" in text


@pytest.mark.root
def test_confined_task_sees_no_terminal_but_its_own(linux: Linux) -> None:
    """Another's can be neither read nor written; its own has a name, and it can make further ones."""
    master, slave = os.openpty()
    other = os.ttyname(slave)
    confined = linux.demanding(interactive=True, identity="root", read_only=("/etc",))
    text, _ = converse(confined, sh(f"tty; echo typed > {other}; script -qc 'tty' /dev/null"), lambda _: None)
    shown = [line for line in text.splitlines() if not line.startswith("/bin/sh") and "cannot create" not in line]
    try:
        assert not select.select([master], [], [], 0)[0]
    finally:
        os.close(master)
        os.close(slave)
    assert shown == ["/dev/console", "/dev/pts/0"]


def test_interrupt_character_ends_the_foreground(acting: Emulated | Linux) -> None:
    """Ctrl-C is the terminal's: it signals the task, and the status is a signal."""

    def talk(running: TreeRunning) -> None:
        assert os.read(running.terminal, 100).startswith(b"ready")
        os.write(running.terminal, b"\x03")

    _, ended = converse(acting, sh("echo ready; exec sleep 1000"), talk)
    assert ended.signal == signal.SIGINT


def test_job_control_works(acting: Emulated | Linux) -> None:
    """The task's shell may stop and go on with its own jobs."""
    _, ended = converse(acting, sh("set -m; sleep 0 & wait $!; jobs; exit 7"), lambda _: None)
    assert (ended.exit_status, ended.leftover) == (7, 0)


def test_closed_terminal_ends_the_task(acting: Emulated | Linux) -> None:
    """When the other end goes, the task gets a hang-up."""
    inspection = acting.host.inspect(sh("exec sleep 1000"), acting.requester)
    running = acting.host.start(
        inspection,
        Mandate(
            identity=acting.host.provision(acting.requester),
            session=next(acting.sessions),
            time_limit_seconds=60,
            obligations=acting.obligations or INTERACTIVE,
        ),
        window=Window(24, 80),
    )
    for fd in (running.terminal, running.stdout, running.stderr):
        os.close(fd)
    assert running.wait().signal == signal.SIGHUP
    inspection.close()


@pytest.mark.parametrize(
    ("obligations", "task", "window"),
    [
        (None, Task.run(["true"]), Window(24, 80)),
        (Obligations(), Task.run(["true"]), Window(24, 80)),
        (INTERACTIVE, Task.run(["cat"], stdin=b"x"), Window(24, 80)),
        (INTERACTIVE, Task.run(["true"]), Window(-1, 80)),
        (INTERACTIVE, Task.run(["true"]), Window(24, 70_000)),
        (INTERACTIVE, Task.run(["true"]), Window(24, 80, "", ())),
        (INTERACTIVE, Task.run(["true"]), Window(24, 80, "", (0, 3))),
        (Obligations(), Task.run(["cat"], stdin=b"x"), Window(24, 80, "", (1, 2))),
    ],
)
def test_27_no_terminal_without_a_rule(machine: Emulated, obligations: Obligations | None, task: Task, window: Window) -> None:
    """Without interactive, beside declared input, or with no real size, nothing starts."""
    inspection = machine.host.inspect(task, machine.requester)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HostError):
        machine.host.start(
            inspection,
            Mandate(
                identity=machine.host.provision(machine.requester),
                session="session-none",
                time_limit_seconds=5,
                obligations=obligations or Obligations(),
            ),
            window=window,
        )
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    inspection.close()


def test_rule_that_says_interactive_does_not_force_a_terminal(machine: Emulated) -> None:
    """Who asks for none gets pipes."""
    machine.obligations = INTERACTIVE
    assert machine.sh("test -t 1 || echo pipe").out == "pipe\n"
