"""A task on a terminal of its own, where a rule says interactive; none where no rule does."""

import fcntl
import os
import shutil
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemon import PIN, Daemon
from tests.tools import wait_for
from tests.transcripts.terminal import Terminal

SHELL = os.path.realpath(shutil.which("sh") or "/bin/sh")
RULE = f"""
format = 1
[[rule]]
id = "a-shell-that-hears"
effect = "allow"
task = {{ kind = "process.run", path = ["/bin/sh", "/usr/bin/sh", "{SHELL}"] }}
then = {{ prompt = "credential", interactive = true }}
why = "For tests of the terminal."
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), sensor=False) as made:
        file = made.state / "policy" / "interactive.toml"
        file.write_text(RULE)
        file.chmod(0o600)
        with made.connect() as broker:
            broker.reload_policy()
        yield made


def started(daemon: Daemon, script: str) -> Terminal:
    """Start a script as an interactive task, and agree to it."""
    person = Terminal(daemon.argv("sh", "-c", script))
    resize(person, 31, 97)
    person.read_until("PIN: ")
    person.type(PIN.decode() + "\n")
    return person


def resize(person: Terminal, rows: int, columns: int) -> None:
    fcntl.ioctl(person.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_task_hears_and_is_seen(daemon: Daemon) -> None:
    """Keys go in, the screen comes out, the exit status passes, and the terminal is as before."""
    with started(daemon, 'test -t 0 && test -t 1 && echo ready; read -r word; echo "heard $word"; exit 5') as person:
        person.read_until("ready")
        person.type("hello\n")
        person.read_until("heard hello")
        assert person.finish() == 5
        assert person.echoes()


def test_terminal_is_the_task_s_own(daemon: Daemon) -> None:
    """It has another name than the person's, and its own foreground group."""
    with started(daemon, "tty; echo over") as person:
        shown = person.read_until("over")
        assert "/dev/pts/" in shown
        assert os.ttyname(person._slave) not in shown.splitlines()
        assert person.finish() == 0


def test_size_goes_along(daemon: Daemon) -> None:
    """At the start, and when the window changes."""
    with started(daemon, "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.02; done") as person:
        person.read_until("31 97")
        resize(person, 20, 50)
        person.read_until("20 50")
        assert person.finish() == 0


def test_ctrl_c_is_the_task_s(daemon: Daemon) -> None:
    """The task may catch it and go on."""
    with started(daemon, "trap 'echo caught' INT; echo ready; read -r word; echo \"then $word\"") as person:
        person.read_until("ready")
        person.type("\x03")
        person.read_until("caught")
        person.type("on\n")
        person.read_until("then")
        assert person.finish() == 0


def test_terminal_is_put_right_after_a_signal(daemon: Daemon) -> None:
    """Whatever ends the client but SIGKILL."""
    with started(daemon, "echo ready; exec sleep 1000") as person:
        person.read_until("ready")
        assert not person.echoes()
        person.process.terminate()
        person.finish()
        assert person.echoes()


def test_26_without_a_rule_there_is_no_terminal(daemon: Daemon) -> None:
    """Other programs get pipes, whatever the caller sits on."""
    with Terminal(daemon.argv("tty")) as person:
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        person.read_until("not a tty")
        assert person.finish() == 1


def test_27_piped_input_is_never_a_terminal(daemon: Daemon) -> None:
    """Declared input is what the task reads, and nothing else."""
    shell = ["/bin/sh", "-c", 'echo piped | "$@"', "sh", *daemon.argv("sh", "-c", "cat; test -t 0 || echo no tty")]
    with Terminal(shell) as person:
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        person.read_until("piped\nno tty")
        assert person.finish() == 0


def test_folder_of_the_rule_is_there() -> None:
    """The rule names the file that runs."""
    assert Path(SHELL).is_file()


def test_terminal_is_put_right_after_kill(daemon: Daemon) -> None:
    """Nobody catches SIGKILL: the broker sees to it, where nobody else has set the terminal meanwhile."""
    with started(daemon, "echo ready; exec sleep 1000") as person:
        person.read_until("ready\n")
        assert wait_for(lambda: not person.echoes())
        person.process.kill()
        assert wait_for(person.echoes)
