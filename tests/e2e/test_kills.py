"""SIGKILL of the client, and of the broker, at each stage: nothing runs on, nothing is granted twice, the log is whole."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate.audit import Outcome, parse, verify_chain
from elevate.errors import BrokerError
from elevate.store.reader import LedgerReader
from elevate.tasks import Task
from elevate.wire import Wire
from tests.e2e.daemon import ROOT, Daemon

CLIENT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from elevate.library import connect
from elevate.tasks import Task
broker = connect(sys.argv[1])
grant = broker.elevate(Task.run(["sh", "-c", "echo $$ > " + sys.argv[2] + "; echo up; exec sleep 1000"]), interactive=False)
print("issued", flush=True)
if sys.stdin.readline():
    grant.run()
"""


def events(daemon: Daemon) -> list[str]:
    """Give the log's events; the log must verify."""
    with LedgerReader(daemon.state / "ledger.sqlite") as reader:
        data = list(reader.entries())
    assert verify_chain(data).outcome is not Outcome.TAMPERED
    return [parse(one).event for one in data]


def wait_for(daemon: Daemon, event: str) -> list[str]:
    """Wait until the last entry is ``event``; give all."""
    found = events(daemon)
    while not found or found[-1] != event:
        found = events(daemon)
    return found


@contextmanager
def client(daemon: Daemon) -> Iterator["subprocess.Popen[str]"]:
    """A program that holds a grant and runs it when told to."""
    argv = [sys.executable, "-c", CLIENT, str(daemon.socket), str(daemon.state.parent / "pid")]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def run_it(process: "subprocess.Popen[str]", daemon: Daemon) -> int:
    """Let the client run its task; give the task's process id."""
    assert process.stdin is not None
    process.stdin.write("run\n")
    process.stdin.flush()
    assert line(process) == "up\n"
    return int((daemon.state.parent / "pid").read_text())


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@contextmanager
def prompting(daemon: Daemon) -> Iterator[Wire]:
    """A request whose prompt is open on a terminal that nobody answers."""
    master, slave = pty.openpty()
    wire = Wire(str(daemon.socket), os.getuid())
    try:
        task = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}
        wire.send("Run", {"task": task, "terminal_fd": 0}, flag="more", fds=(slave,))
        shown = b""
        while b"PIN" not in shown:
            shown += os.read(master, 4096)
        yield wire
    finally:
        wire.close()
        os.close(master)
        os.close(slave)


def read_to_the_end(wire: Wire) -> None:
    while wire.receive()[1]:
        pass


def test_23_client_gone_during_the_prompt(tmp_path: Path) -> None:
    """The prompt is closed and the request cancelled."""
    with Daemon(tmp_path, sensor=False) as daemon:
        with prompting(daemon) as wire:
            wire.close()
            wait_for(daemon, "cancelled")
        assert "issued" not in events(daemon)


def test_client_killed_with_an_unused_grant(own: Daemon) -> None:
    """The token is taken back."""
    with client(own) as process:
        assert line(process) == "issued\n"
        process.kill()
        assert "redeemed" not in wait_for(own, "revoked")


def test_client_killed_while_its_task_runs(own: Daemon) -> None:
    """The task is ended with its client, and the log says how."""
    with client(own) as process:
        line(process)
        pid = run_it(process, own)
        process.kill()
        wait_for(own, "destroyed")
        assert is_gone(pid)


def test_broker_killed_during_the_prompt(tmp_path: Path) -> None:
    """The client is told; after the restart the request has failed."""
    with Daemon(tmp_path, sensor=False) as daemon:
        with prompting(daemon) as wire:
            assert daemon.kill() == -signal.SIGKILL
            with pytest.raises(BrokerError, match="the broker has"):
                read_to_the_end(wire)
        daemon.restart()
        assert events(daemon)[-2:] == ["failed", "broker-started"]


def test_broker_killed_with_an_unused_grant(own: Daemon) -> None:
    """After the restart the token is dead."""
    with client(own) as process:
        line(process)
        own.kill()
        own.restart()
        found = events(own)
    assert "redeemed" not in found
    assert found[-2] in {"revoked", "expired"}


def test_broker_killed_while_a_task_runs(own: Daemon) -> None:
    """No task outlives its broker; after the restart its outcome is unknown, and the token stays used."""
    with client(own) as process:
        line(process)
        pid = run_it(process, own)
        own.kill()
        while not is_gone(pid):
            pass
        process.wait(30)
        own.restart()
    assert events(own)[-2:] == ["outcome-unknown", "broker-started"]


def test_sigterm_cancels_prompts_and_lets_tasks_end(tmp_path: Path) -> None:
    """An open prompt is cancelled at once, and the daemon ends with status 0 and without its socket."""
    with Daemon(tmp_path, sensor=False) as daemon, prompting(daemon):
        assert daemon.stop() == 0
        assert events(daemon)[-2:] == ["cancelled", "broker-stopped"]
        assert not daemon.socket.exists()


def test_sigterm_lets_a_running_task_end(own: Daemon) -> None:
    """What runs may finish; new calls are refused meanwhile."""
    go = own.state.parent / "go"
    os.mkfifo(go)
    with own.connect() as broker:
        grant = broker.elevate(Task.run(["sh", "-c", f"read line < {go}; echo $line"]), interactive=False)
        process = subprocess.Popen(own.argv("sh", "-c", f"read line < {go}; echo $line"), stdin=subprocess.DEVNULL, stdout=-1)
        grant.release()
        with go.open("w") as out:
            own.process.terminate()
            out.write("well\n")
        assert process.communicate(timeout=30)[0] == b"well\n"
        assert own.process.wait(30) == 0


def test_two_daemons_on_one_state(own: Daemon) -> None:
    """The second one is refused, by the socket and by the ledger."""
    for socket in (own.socket, own.socket.with_name("other.sock")):
        status, _, err = own.command("serve", "--state", str(own.state), "--socket", str(socket))
        assert (status, err.count("elevate: error: "), err.count("elevate: hint: ")) == (125, 1, 1), err
    assert own.run("true")[0] == 0


def test_state_is_kept_over_a_restart(own: Daemon) -> None:
    """Container, ledger, machine."""
    assert own.run("true")[0] == 0
    assert own.stop() == 0
    own.restart()
    assert own.run("true")[0] == 0
