"""``elevate run``: what goes in, what comes out, and how it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from elevate.broker import Ask
from elevate.client import MAX_INPUT
from elevate.errors import CommandNotFoundError, DeniedError, ElevateError
from elevate.ports import Cancel
from tests.transcripts.terminal import Terminal
from tests.unit.client.conftest import DRIVER, ROOT, Client
from tests.unit.server.simulator import SimulatedTask

HEAVY = {
    "json", "socket", "signal", "subprocess", "dataclasses", "typing", "enum", "re", "argparse", "asyncio",
    "collections", "os", "pathlib", "threading", "logging", "typer", "rich", "apsw", "cryptography",
    "elevate.errors", "elevate.ways", "elevate.interactive",
}  # fmt: skip


def test_start_loads_nothing_that_costs() -> None:
    """The list of what the thin client must not load holds."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import elevate.client; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, text=True).stdout
    assert "elevate.wire" in shown.split()
    assert not HEAVY.intersection(shown.split())


def test_output_and_status_pass_through(client: Client) -> None:
    """What the task writes and how it exits is what the caller sees."""
    assert client.run("-r", "why", "--", "true", "-x") == (7, b"hello\n", b"oh\n")
    asked = client.broker.asks[0]
    assert (asked.reason, asked.task["argv"], asked.task["cwd"]) == ("why", ("true", "-x"), str(Path.cwd()))
    assert (asked.payload, client.broker.terminals) == (None, [None])


def test_who_asks_is_the_client_process(client: Client) -> None:
    """The broker knows the process from the kernel."""
    process = client.start("true")
    process.communicate(timeout=30)
    assert client.broker.presenters[0][1].pid == process.pid


@pytest.mark.parametrize("size", [0, 1, 100_000, MAX_INPUT])
def test_piped_input_is_a_sealed_copy(client: Client, size: int) -> None:
    """All of it arrives, and nobody can change it any more."""
    seen: list[int] = []

    def script(task: SimulatedTask, ask: Ask) -> None:
        assert ask.payload is not None
        seen.append(os.fstat(ask.payload).st_size)
        with pytest.raises(PermissionError):
            os.pwrite(ask.payload, b"x", 0)
        task.end()

    client.broker.script = script
    status, _, _ = client.run("cat", given=b"x" * size)
    assert (status, seen) == (0, [size])


def test_too_much_input_is_one_clear_error(client: Client) -> None:
    """One byte over the bound: nothing is asked."""
    status, out, err = client.run("cat", given=b"x" * (MAX_INPUT + 1))
    lines = [line for line in err.decode().splitlines() if not line.startswith("elevate: note:")]
    assert (status, out) == (125, b"")
    assert lines == [
        "elevate: error: standard input is over 16777216 bytes",
        "elevate: hint: put it into a file and name that",
    ]
    assert client.broker.asks == []


def test_no_stdin_leaves_the_pipe_alone(client: Client) -> None:
    """With --no-stdin an endless pipe does no harm."""
    process = client.start("--no-stdin", "true", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.wait(30) == 7
    process.communicate(timeout=30)
    assert client.broker.asks[0].payload is None


def test_long_wait_for_input_is_told(client: Client) -> None:
    """A person who forgot the pipe learns what is being waited for."""
    process = client.start("cat", stdin=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"elevate: note: waiting for the end of standard input")
    process.communicate(b"", timeout=30)
    assert process.returncode == 7


@pytest.mark.parametrize(
    ("error", "status"), [(DeniedError("policy does not allow this task"), 126), (CommandNotFoundError("no such command"), 127)]
)
def test_refusals_have_their_status_and_one_hint(client: Client, error: ElevateError, status: int) -> None:
    """Error, hint, exit status: as the error's class says."""

    def refuse(_ask: Ask, _cancel: Cancel) -> None:
        raise error

    client.broker.prompt = refuse
    expected = f"elevate: error: {error.message}\nelevate: hint: {error.hint}\n"
    assert client.run("true") == (status, b"", expected.encode())


def test_control_characters_of_an_error_reach_no_terminal(client: Client) -> None:
    """What the broker says is shown without escape sequences."""

    def refuse(_ask: Ask, _cancel: Cancel) -> None:
        raise DeniedError("no \x1b[2J\x07", hint="a\rb")

    client.broker.prompt = refuse
    _, _, err = client.run("true")
    assert err == b"elevate: error: no ?[2J?\nelevate: hint: a?b\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_fatal_signal_of_the_task_is_raised_again(client: Client, number: signal.Signals) -> None:
    """A shell sees the client die as the task died."""
    client.broker.script = lambda task, _ask: task.cancel(number)
    status, _, err = client.run("true")
    assert (status, err) == (-number, b"")


def _wait(cancel: Cancel) -> None:
    import select

    poll = select.poll()
    poll.register(cancel.fileno(), select.POLLIN)
    poll.poll()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_during_the_prompt_cancels(client: Client, number: signal.Signals) -> None:
    """The broker learns of it, nothing runs, and the client dies by that signal."""
    asked = threading.Event()

    def prompt(_ask: Ask, cancel: Cancel) -> None:
        asked.set()
        _wait(cancel)

    client.broker.prompt = prompt
    process = client.start("true")
    assert asked.wait(30)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, client.broker.tasks) == (-number, [])
    assert err == b"elevate: error: cancelled by a signal\nelevate: hint: nothing was done; ask again\n"


def test_signal_while_running_goes_to_the_task(client: Client) -> None:
    """Ctrl-C is the task's; how that ends is how the client ends."""
    started = threading.Event()
    client.broker.script = lambda task, _ask: started.set() if os.write(task.out, b"up\n") else None
    process = client.start("true")
    assert started.wait(30)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (process.returncode, client.broker.tasks[0].signals) == (-signal.SIGINT, [signal.SIGINT])


def test_signal_while_reading_input_asks_nothing(client: Client) -> None:
    """Ctrl-C before the request: no request."""
    process = client.start("cat", stdin=subprocess.PIPE)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert (process.returncode, client.broker.asks) == (-signal.SIGINT, [])


def _flood(size: int) -> Callable[[SimulatedTask, Ask], None]:
    def write(task: SimulatedTask, out: int) -> None:
        left = size
        with contextlib.suppress(BrokenPipeError):
            while left:
                left -= os.write(out, b"x" * min(left, 65_536))
        os.close(out)
        task.end()

    # A descriptor of the writer's own: the task's is closed when it is cancelled.
    return lambda task, _ask: threading.Thread(target=write, args=(task, os.dup(task.out))).start()


def test_large_output_arrives_whole(client: Client) -> None:
    """Many times a pipe's size, through a pipe."""
    client.broker.script = _flood(5_000_000)
    status, out, _ = client.run("true")
    assert (status, len(out)) == (0, 5_000_000)


def test_slow_reader_slows_the_task(client: Client) -> None:
    """The client and the pipes hold a bounded piece; the task can't be done before the reader nearly is."""
    client.broker.script = _flood(5_000_000)
    process = client.start("true")
    assert process.stdout is not None
    total = 0
    while data := os.read(process.stdout.fileno(), 16_384):
        total += len(data)
        assert total > 4_600_000 or client.broker.tasks[0].result.exit_status is None
    assert (process.wait(30), total) == (0, 5_000_000)
    process.communicate()


def test_reader_that_goes_ends_client_and_task(client: Client) -> None:
    """As ``elevate run -- yes | head``: killed by SIGPIPE, and the task is ended."""
    client.broker.script = _flood(50_000_000)
    process = client.start("yes")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(30) == -signal.SIGPIPE
    assert process.stderr is not None
    process.stderr.close()
    assert client.broker.tasks[0].ended.wait(30)


def test_closed_standard_descriptors_do_no_harm(client: Client) -> None:
    """Nothing of the protocol is written where an output was closed."""
    shell = 'exec "$@" 0<&- 1>&- 2>&-'
    done = subprocess.run(["/bin/sh", "-c", shell, "sh", *client.argv("true")], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"", b"")


def test_terminal_goes_to_the_broker_only(client: Client) -> None:
    """The broker writes and reads the caller's terminal; without one, or with -n, it gets none."""

    def prompt(_ask: Ask, _cancel: Cancel) -> None:
        given = client.broker.terminals[-1]
        assert given is not None
        os.write(given, b"PIN: ")
        assert os.read(given, 100) == b"123456\n"

    client.broker.prompt = prompt
    with Terminal(client.argv("true")) as terminal:
        terminal.read_until("PIN: ")
        terminal.type("123456\n")
        terminal.read_until("hello\n")
        assert terminal.finish() == 7
    client.broker.prompt = lambda _ask, _cancel: None
    with Terminal(client.argv("-n", "true")) as terminal:
        assert terminal.finish() == 7
    assert client.broker.terminals[-1] is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "the command is empty"),
        (["--"], "the command is empty"),
        (["-z", "true"], "unknown option -z"),
        (["--no-stdin=x", "true"], "unknown option --no-stdin=x"),
        (["-r"], "the option -r needs a value"),
        ([""], "the command is empty"),
        (["true", "x" * 70_000], "the request is over 65536 bytes"),
        (["true", b"\xff".decode("utf-8", "surrogateescape")], "the request is not Unicode text"),
    ],
)
def test_bad_command_lines(client: Client, words: list[str], error: str) -> None:
    """One error, one hint, status 125."""
    status, out, err = client.run(*words)
    lines = err.decode().splitlines()
    assert (status, out, len(lines)) == (125, b"", 2)
    assert lines[0] == f"elevate: error: {error}"
    assert lines[1].startswith("elevate: hint: ")


def test_no_broker_says_how_to_start_one() -> None:
    """It never makes one silently."""
    argv = [sys.executable, "-I", "-S", "-c", DRIVER, "/nowhere/broker.sock", "true"]
    done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=30)
    error, hint = done.stderr.decode().splitlines()
    assert (done.returncode, error) == (125, "elevate: error: no broker listens on /nowhere/broker.sock")
    assert hint == "elevate: hint: start one: elevate init, then elevate serve"
