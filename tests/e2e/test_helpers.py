"""A helper of somebody else's, as a process of its own, against a real daemon."""

import contextlib
import os
import pickle
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import DeniedError, TaskInvalidError, TokenError, TokenExpiredError, TokenRevokedError, TokenSpentError
from elevate.handover import HandOver
from elevate.helper import Verifier, fetch_keys, read_token, redeem
from elevate.receipt import Receipt
from elevate.tasks import Task
from elevate.wire import Wire
from tests.e2e.daemon import ROOT, Daemon
from tests.e2e.test_kills import wait_for
from tests.handed import AUDIENCE, HELPER, TRUE, prepare

DIE = """
import os, sys
sys.path.insert(0, {root!r})
from elevate.helper import read_token, redeem
held = redeem(read_token(), path={socket!r})
os._exit(9)
"""
UPDATER = ROOT / "demo" / "helper" / "updater.py"


class Handing(Daemon):
    """A daemon whose rules hand tasks to this very interpreter."""

    def _start(self) -> "subprocess.Popen[str]":
        if not (self.state / "policy" / "rules.toml").exists():
            prepare(self.state)
        return super()._start()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handing]:
    with Handing(tmp_path_factory.mktemp("handing")) as made:
        yield made


def updater(daemon: Daemon, token: HandOver) -> subprocess.CompletedProcess[bytes]:
    """Run the demo's helper."""
    return subprocess.run(
        [sys.executable, str(UPDATER), str(daemon.socket)],
        stdin=token.fileno(),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )


def test_a_helper_does_the_task_once(daemon: Daemon) -> None:
    """The token goes by standard input; a second helper with the same one is refused."""
    with daemon.connect() as broker:
        with broker.hand_over(Task.run(["/bin/sh", "-c", "echo done; exit 3"]), helper=HELPER, reason="INC-4711") as token:
            first, second = updater(daemon, token), updater(daemon, token)
        assert (first.returncode, first.stdout) == (3, b"done\n"), first.stderr
        assert (second.returncode, second.stdout) == (126, b""), second
        assert b"updater: token-spent" in second.stderr
        receipt = broker.receipt(token.request)
    assert receipt["exit_status"] == 3
    assert receipt["identity"] == {"name": AUDIENCE, "sid": f"{os.getuid()}@{receipt['host']}"}


def test_a_token_goes_by_a_socket_too(daemon: Daemon) -> None:
    """To a helper that runs already: the descriptor travels, and is read from its beginning."""
    ours, theirs = socket.socketpair()
    with ours, theirs, daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        socket.send_fds(ours, [b"token"], [token.fileno()])
        _, [fd], _, _ = socket.recv_fds(theirs, 16, 1)
        os.lseek(fd, 0, os.SEEK_END)
        held = read_token(fd)
        os.close(fd)
        claims = Verifier(fetch_keys(daemon.socket), audience=AUDIENCE).verify(held)
        assert (claims.aud, claims.request) == (AUDIENCE, token.request)
        with redeem(held, path=daemon.socket) as task:
            assert task.argv == ("/usr/bin/true",)
            assert (task.task["kind"], task.requester["uid"]) == ("process.run", os.getuid())
            assert (task.request, task.time_limit_seconds, task.claims["aud"]) == (token.request, 3600, AUDIENCE)
        assert task.finish().exit_status == 0, "a second report changes nothing"
        with pytest.raises(TokenSpentError):
            redeem(held, path=daemon.socket)


def test_what_fails_is_reported(daemon: Daemon) -> None:
    """An exception that leaves the block is exit status 1, and goes on."""
    with daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        with pytest.raises(ZeroDivisionError), redeem(read_token(token.fileno()), path=daemon.socket):
            raise ZeroDivisionError
        assert broker.receipt(token.request)["exit_status"] == 1


def test_13_a_helper_that_dies_leaves_an_unknown_outcome(daemon: Daemon) -> None:
    """Its connection ends with it; nothing is made up."""
    die = DIE.format(root=str(ROOT), socket=str(daemon.socket))
    with daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        assert subprocess.run([sys.executable, "-c", die], stdin=token.fileno(), check=False).returncode == 9
        assert wait_for(daemon, "outcome-unknown")[-3:] == ["redeemed", "running", "outcome-unknown"]
        with pytest.raises(TaskInvalidError, match="outcome-unknown"):
            broker.receipt(token.request)


def test_13_a_token_ends_with_whoever_asked(daemon: Daemon) -> None:
    """Released or disconnected before the helper came: taken back."""
    with daemon.connect() as broker:
        token = broker.hand_over(TRUE, helper=HELPER)
        released = read_token(token.fileno())
        token.release()
        with pytest.raises(ValueError, match="released"):
            token.fileno()
        left = broker.hand_over(TRUE, helper=HELPER)
        held = read_token(left.fileno())
    for one in (released, held):
        with pytest.raises(TokenRevokedError):
            redeem(one, path=daemon.socket)
    left.release()


def test_13_a_restart_ends_it(tmp_path: Path) -> None:
    """Another key, another epoch; verified by the old keys it is still nothing to the broker."""
    with Handing(tmp_path) as daemon, daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        keys = fetch_keys(daemon.socket)
        held = read_token(token.fileno())
        daemon.kill()
        daemon.restart()
        assert Verifier(keys, audience=AUDIENCE).verify(held).aud == AUDIENCE
        with pytest.raises(TokenError):
            Verifier(fetch_keys(daemon.socket), audience=AUDIENCE).verify(held)
        with pytest.raises(TokenError) as refused:
            redeem(held, path=daemon.socket)
        assert not isinstance(refused.value, TokenExpiredError)


def test_15_no_way_leads_into_arguments_or_files(daemon: Daemon) -> None:
    """It can't be printed, pickled, or run here, and the memory file can't be changed."""
    with daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        text = os.pread(token.fileno(), 65536, 0)
        assert text.decode() not in repr(token) + repr(vars(token)) + repr(read_token(token.fileno()))
        for one in (token, read_token(token.fileno())):
            with pytest.raises(TypeError):
                pickle.dumps(one)
        with pytest.raises(PermissionError):
            os.pwrite(token.fileno(), b"x", 0)
        assert not hasattr(token, "run")


def test_a_task_for_a_helper_is_not_run_here(daemon: Daemon) -> None:
    """``elevate run`` says whom it is for."""
    with daemon.connect() as broker, pytest.raises(DeniedError, match=f"for a helper: {HELPER}"):
        broker.elevate(TRUE)
    status, _, text = daemon.run("--", "/usr/bin/true")
    assert (status, HELPER.encode() in text) == (126, True)


def test_only_the_connection_that_redeemed_reports(daemon: Daemon) -> None:
    """Another one can't say how it ended."""
    with daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        task = redeem(read_token(token.fileno()), path=daemon.socket)
        with pytest.raises(TaskInvalidError, match="no such task"):
            broker._call("FinishToken", {"request": token.request, "exit_status": 0})
        assert task.finish(0).exit_status == 0


def test_the_input_comes_with_the_redemption(daemon: Daemon) -> None:
    """From the broker, sealed, at its beginning; the program between never had to pass it on."""
    with daemon.connect() as broker:
        with broker.hand_over(Task.run(["/bin/cat"], stdin=b"agreed\n"), helper=HELPER) as token:
            done = updater(daemon, token)
        assert (done.returncode, done.stdout) == (0, b"agreed\n"), done.stderr
        with broker.hand_over(Task.run(["/bin/cat"], stdin=b"agreed\n"), helper=HELPER) as token:
            with redeem(read_token(token.fileno()), path=daemon.socket) as task:
                fd = task.stdin
                with pytest.raises(OSError, match=r"Bad file descriptor|not permitted"):
                    os.pwrite(fd, b"other", 0)
                assert os.read(fd, 100) == b"agreed\n"
            assert (task.stdin, task.cancelled()) == (subprocess.DEVNULL, False)


def test_a_cancelled_helper_is_told_and_its_receipt_says_so(daemon: Daemon) -> None:
    """It stops its child and reports; whoever asked finds both in the receipt."""
    task = Task.run(["/bin/sh", "-c", "echo up; exec sleep 60"])
    with daemon.connect() as broker, broker.hand_over(task, helper=HELPER) as token, started(daemon, token) as helper:
        assert helper.stdout is not None
        assert helper.stdout.readline() == b"up\n"
        broker.cancel(token.request)
        assert helper.wait(timeout=30) == 256 - 15
        receipt = Receipt.read(broker.receipt(token.request))
    assert (receipt.exit_status, receipt.problem) == (128 + 15, "it was cancelled; the helper said how it ended")


@contextlib.contextmanager
def started(daemon: Daemon, token: HandOver) -> Iterator["subprocess.Popen[bytes]"]:
    """Start the demo's helper."""
    argv = [sys.executable, str(UPDATER), str(daemon.socket)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdin=token.fileno(), stdout=subprocess.PIPE, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_cancellation_is_heard_by_whoever_waits(daemon: Daemon) -> None:
    """Once is for ever; the end may be reported still, and nothing is told behind it."""
    with daemon.connect() as broker, broker.hand_over(TRUE, helper=HELPER) as token:
        with redeem(read_token(token.fileno()), path=daemon.socket) as task:
            assert not task.cancelled()
            broker.cancel(token.request)
            assert task.cancelled(wait_seconds=30)
            assert task.cancelled()
            assert select.select([task], [], [], 0)[0] == []
            assert task.finish(4).exit_status == 4
        assert task.finish().exit_status == 4


def test_a_helper_that_asked_for_one_answer_has_one(daemon: Daemon) -> None:
    """An older one, or one that is written by hand: no descriptor, nothing told, and the end answers."""
    with daemon.connect() as broker, broker.hand_over(Task.run(["/bin/cat"], stdin=b"x"), helper=HELPER) as token:
        wire = Wire(str(daemon.socket), os.getuid())
        text = os.pread(token.fileno(), 65_536, 0).decode()
        wire.send("RedeemToken", {"token": text, "redeem_id": "0" * 32})
        told, continues = wire.receive()
        assert (continues, "input_fd" in told) == (False, False)
        wire.send("FinishToken", {"request": told["request"], "exit_status": 2})
        ended, continues = wire.receive()
        wire.close()
    assert (continues, ended["state"]) == (False, "destroyed")


def test_an_end_that_nobody_waits_for_is_refused_in_its_place(daemon: Daemon) -> None:
    """Where the last reply of a redemption is awaited, there its error comes."""
    wire = Wire(str(daemon.socket), os.getuid())
    wire.send("FinishToken", {"request": "0" * 32, "exit_status": 0}, flag="oneway")
    with pytest.raises(TaskInvalidError, match="carries out no such task"):
        wire.receive()
    wire.close()
