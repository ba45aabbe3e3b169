"""A person at a terminal: the prompt is the broker's, the PIN is not shown, and the terminal is left as it was."""

import signal
from collections.abc import Iterator

import pytest

from tests.e2e.daemon import PIN, Daemon
from tests.transcripts.terminal import Terminal

WRONG = "111222"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon"), sensor=False) as made:
        yield made


def test_pin_is_asked_without_echo_and_the_task_runs(daemon: Daemon) -> None:
    """The prompt shows what is asked, by whom and why; the PIN stays unseen; then the output comes."""
    with Terminal(daemon.argv("-r", "INC-1", "--", "echo", "done")) as person:
        shown = person.read_until("PIN: ")
        assert not person.echoes()
        person.type(PIN.decode() + "\n")
        person.read_until("done\n")
        assert person.finish() == 0
        assert person.echoes()
    for part in (
        "/usr/bin/echo done",
        "INC-1",
        "run-system-programs",
        "no security boundary",
        f"({person.process.pid})",
    ):
        assert part in shown
    assert PIN.decode() not in person.shown


def test_wrong_pin_is_asked_again(daemon: Daemon) -> None:
    """One wrong try costs one try."""
    with Terminal(daemon.argv("true")) as person:
        person.read_until("PIN: ")
        person.type(WRONG + "\n")
        person.read_until("wrong PIN; 3 tries left")
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        assert person.finish() == 0


def test_ctrl_c_at_the_prompt_declines(daemon: Daemon) -> None:
    """Nothing runs, the exit status says refused, the terminal echoes again."""
    with Terminal(daemon.argv("touch", str(daemon.state.parent / "must-not-be"))) as person:
        person.read_until("PIN: ")
        person.type("12\x03")
        assert person.finish() == 126
        assert person.echoes()
    assert "elevate: error: declined at the prompt" in person.shown
    assert not (daemon.state.parent / "must-not-be").exists()


def test_38_half_typed_pin_is_not_left_for_the_shell(daemon: Daemon) -> None:
    """What was typed before the end of the prompt is thrown away."""
    words = daemon.argv("true")
    shell = ["/bin/sh", "-c", '"$@"; read -r line; echo "left: [$line]"', "sh", *words]
    with Terminal(shell) as person:
        person.read_until("PIN: ")
        person.type("2749\x03")
        person.read_until("hint: ")
        person.type("\n")
        person.read_until("left: []")
        assert person.finish() == 0


def test_ctrl_c_while_running_ends_the_task(daemon: Daemon) -> None:
    """The task gets the signal, and the client ends as the task did."""
    with Terminal(daemon.argv("sh", "-c", "echo up; exec sleep 1000")) as person:
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        person.read_until("up\n")
        person.type("\x03")
        assert person.finish() == -signal.SIGINT
    assert open_requests(daemon) == 0


def test_closed_terminal_cancels_the_request(daemon: Daemon) -> None:
    """A window that is closed during the prompt leaves no open request."""
    with Terminal(daemon.argv("true")) as person:
        person.read_until("PIN: ")
        person.hang_up()
        assert person.process.wait(30) == -signal.SIGHUP
    while open_requests(daemon):
        pass


def test_task_gets_no_terminal(daemon: Daemon) -> None:
    """Standard input of the task is empty, which the prompt says before, and it has no controlling terminal."""
    script = "cat; (: < /dev/tty) 2>/dev/null && echo tty || echo no tty"
    with Terminal(daemon.argv("sh", "-c", script)) as person:
        assert "  input      none, no keys either; pipe it in, or use a rule with interactive\n" in person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        person.read_until("no tty\n")
        assert person.finish() == 0


def test_large_output_to_a_terminal(daemon: Daemon) -> None:
    """All of it is shown, in order."""
    with Terminal(daemon.argv("seq", "20000")) as person:
        person.read_until("PIN: ")
        person.type(PIN.decode() + "\n")
        person.read_until("\n20000\n")
        assert person.finish() == 0


def open_requests(daemon: Daemon) -> object:
    with daemon.connect() as broker:
        return broker.status()["open_requests"]
