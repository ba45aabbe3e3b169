"""Rows 29, 36 and 49 on the socket: no client leaves a descriptor behind, holds up the ear, or takes it down."""

import array
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from elevate import canonical
from elevate.broker import Ask
from elevate.canonical import Json
from elevate.errors import BusyError, StoreUnwritableError
from elevate.host.budget import Budget
from elevate.host.sealed import seal
from elevate.server import closing
from elevate.server import ear as ears
from elevate.server.connection import MAX_QUEUED
from tests.unit.server.conftest import Bench, ask, hear
from tests.unit.server.simulator import SimulatedTask, end_at_once

TASK: dict[str, Json] = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}


def call(method: str, parameters: dict[str, Json] | None = None, **flags: bool) -> bytes:
    name = f"io.elevate.Broker.{method}"
    return canonical.encode({"method": name, "parameters": parameters or {}, **flags}) + b"\0"


def send_with(sock: socket.socket, data: bytes, fds: list[int]) -> None:
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def ended(sock: socket.socket) -> bool:
    """Read to the end of the stream."""
    while sock.recv(65_536):
        pass
    return True


@pytest.fixture
def left(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], int]:
    """Count this process's descriptors of one file."""
    path = tmp_path_factory.mktemp("passed") / "file"
    path.touch()

    def count() -> int:
        return sum(os.path.realpath(name) == str(path) for name in Path("/proc/self/fd").iterdir())

    count.path = path  # type: ignore[attr-defined]
    return count


def _until_none(left: Callable[[], int]) -> None:
    """Wait for the thread that closes what came."""
    for thread in threading.enumerate():
        if thread.name == "closing":
            thread.join(5)
    assert left() == 0


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(call("Status", {"a_fd": 0, "b_fd": 1}) + b"rubbish\0", id="a good call and then rubbish"),
        pytest.param(b"rubbish\0" + call("Status", {"a_fd": 0}), id="rubbish first"),
        pytest.param(call("Signal", {"request": "x", "signal": 1, "a_fd": 0, "b_fd": 1}, oneway=True), id="a signal"),
        pytest.param(call("Status") * (MAX_QUEUED + 3) + call("Status", {"a_fd": 0, "b_fd": 1}), id="too many calls"),
    ],
)
def test_29_no_descriptor_of_a_client_stays_in_the_broker(bench: Bench, left: Callable[[], int], frames: bytes) -> None:
    """Whatever is wrong with the message beside which they came: enough of them would end the service for everybody."""
    release = threading.Event()
    bench.broker.prompt = lambda _ask, _cancel: release.wait(20)  # type: ignore[assignment]
    sock = bench.client()
    with bench.turning():
        ask(sock, "Elevate", {"task": TASK}, more=True)
        assert hear(sock)
        with open(left.path) as file:  # type: ignore[attr-defined]  # noqa: PTH123 - its descriptor is what is passed
            send_with(sock, frames, [file.fileno(), file.fileno()])
        sock.shutdown(socket.SHUT_WR)
        release.set()
        assert ended(sock)
    _until_none(left)


def test_36_a_descriptor_that_can_not_be_closed_at_once_holds_up_nobody(bench: Bench) -> None:
    """A TCP socket that lingers for an hour over unsent bytes: whoever closes it last waits for it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.socket() as lingering:
            lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
            lingering.connect(listener.getsockname())
            far, _ = listener.accept()
            lingering.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                while lingering.send(bytes(65_536)):
                    pass
            sock = bench.client()
            send_with(sock, b"not a call\0", [lingering.fileno()])
        other = bench.client()
        with bench.turning():
            assert ended(sock)
            ask(other, "Status")
            assert hear(other)["parameters"] == {"status": {"emulated": True}}
            far.close()


def test_41_a_token_that_can_not_be_taken_back_takes_nobody_down(bench: Bench) -> None:
    """The disk is full when a client leaves with an unused grant: the others are still answered."""
    sock, other = bench.client(), bench.client()
    with bench.turning():
        ask(sock, "Elevate", {"task": TASK})
        assert hear(sock)["parameters"]
        bench.broker.grants[0].failing = StoreUnwritableError("the disk is full")
        sock.close()
        ask(other, "Status")
        assert hear(other)["parameters"] == {"status": {"emulated": True}}
        ask(other, "Status")
        assert hear(other)["parameters"] == {"status": {"emulated": True}}


def test_49_no_descriptor_left_for_a_connection_takes_nobody_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has no more descriptors: that connection is refused, and those that are there go on."""
    other = bench.client()
    bench.ear.turn(1000)

    def none_left(*_: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(ears, "Connection", none_left)  # the kernel's answer can't be had for one call alone
    late = bench.client()
    with bench.turning():
        assert ended(late)
        ask(other, "Status")
        assert hear(other)["parameters"] == {"status": {"emulated": True}}


def test_37_a_name_that_is_no_text_is_answered(bench: Bench) -> None:
    """Half of a surrogate pair in a member's name: the answer can be sent all the same."""
    sock = bench.client()
    with bench.turning():
        sock.sendall(b'{"method":"io.elevate.Broker.Status","parameters":{"\\ud800":1}}\0')
        assert hear(sock)["error"] == "io.elevate.Broker.Failed"


def test_31_who_holds_the_output_open_after_the_task_holds_up_nobody(bench: Bench) -> None:
    """A task can hand its standard output to somebody who stays; the call ends with the task all the same."""
    held: list[int] = []

    def hand_on(task: SimulatedTask, ask: Ask) -> None:
        held.append(os.dup(task.out))
        end_at_once(task, ask)

    bench.broker.script = hand_on
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK}, more=True)
        replies = [hear(sock, buffer) for _ in range(7)]
    os.close(held[0])
    assert "continues" not in replies[-1]
    assert sum("data" in str(each) for each in replies) == 2


def test_49_whoever_looks_after_the_broker_still_gets_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have taken all connections that others may take."""
    bench.ear._per_uid.update(dict.fromkeys(range(100000, 100000 + ears.MAX_CONNECTIONS - ears.KEPT_FOR_OWNER), 1))
    sock = bench.client()
    with bench.turning():
        ask(sock, "Status")
        assert hear(sock)["parameters"] == {"status": {"emulated": True}}
    monkeypatch.setattr("os.getuid", lambda: 4711)  # the broker's own user is another one
    monkeypatch.setattr("elevate.server.peer.Peer.uid", property(lambda _self: 4712))
    with pytest.raises(BusyError, match="too many connections"):
        bench.ear._admit(bench.client())
    bench.ear._per_uid.clear()


def test_36_who_sends_what_does_not_close_is_heard_no_more(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers to nothing keeps one thread, and so many descriptors; then that user must wait."""
    release = threading.Event()

    def hang(fd: int) -> None:
        release.wait(20)
        closing.close_all([fd])

    monkeypatch.setattr(closing, "close_soon", hang)  # a file system that hangs can't be had without a driver
    monkeypatch.setattr(closing, "MAX_WAITING", 4)
    sock = bench.client()
    with bench.turning(), Path("/dev/null").open() as file:
        send_with(sock, call("Status"), [file.fileno()] * 4)
        assert b'"status"' in sock.recv(65_536)
        send_with(sock, call("Status"), [file.fileno()] * 4)
        assert b'"status"' not in sock.recv(65_536)  # why, where there is time to say it
        assert ended(bench.client())
        assert sum(thread.name == "closing" for thread in threading.enumerate()) == 1
        release.set()


def steps(size: int) -> bytes:
    """Give a call for a task of one step with so many bytes of input beside it."""
    step: Json = {"kind": "process.run", "params": {"argv": ["cat"], "cwd": "/"}, "input_bytes": size}
    task: Json = {"kind": "steps", "params": {}, "steps": [step], "undo": 0}
    return call("Elevate", {"task": task, "payload_fd": 0}, more=True)


def test_49_the_input_of_several_steps_counts_before_it_is_read(bench: Bench) -> None:
    """And until nobody is asked any more: many calls that wait take no more memory than one user may."""
    bench.broker.budget = Budget(each=2_500)
    release = threading.Event()
    bench.broker.prompt = lambda _ask, _cancel: release.wait(20)  # type: ignore[assignment]
    first, second = bench.client(), bench.client()
    sealed = seal(b"x" * 1_000)
    with bench.turning():
        buffer = bytearray()
        send_with(first, steps(1_000), [sealed])
        assert hear(first, buffer)
        send_with(second, steps(1_000), [sealed])
        assert hear(second)["parameters"]["code"] == "busy"  # type: ignore[call-overload, index]
        assert len(bench.broker.asks) == 1
        release.set()
        while hear(first, buffer).get("continues"):
            pass
        send_with(second, steps(1_000), [sealed])
        assert hear(second)["parameters"]["state"] == "requested"  # type: ignore[call-overload, index]
    os.close(sealed)
