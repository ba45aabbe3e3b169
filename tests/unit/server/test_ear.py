"""Calls over a real socket: introspection, progress, output, errors, bounds and deadlines."""

import base64
import os
import socket
import threading

import pytest

from elevate.canonical import Json
from elevate.server.ear import FRAME_SECONDS, IDLE_SECONDS, MAX_PER_UID
from tests.unit.server.conftest import Bench, ask, hear

TASK: dict[str, Json] = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}


def failed(reply: dict[str, Json]) -> dict[str, Json]:
    assert reply["error"] == "io.elevate.Broker.Failed", reply
    parameters = reply["parameters"]
    assert isinstance(parameters, dict)
    return parameters


def test_info_names_the_interface(bench: Bench) -> None:
    """GetInfo lists what GetInterfaceDescription describes."""
    sock = bench.client()
    with bench.turning():
        ask(sock, "org.varlink.service.GetInfo")
        info = hear(sock)["parameters"]
        assert isinstance(info, dict)
        assert info["interfaces"] == ["org.varlink.service", "io.elevate.Broker"]


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("org.example.Nothing", "org.varlink.service.InterfaceNotFound"),
        ("io.elevate.Broker.Nothing", "org.varlink.service.MethodNotFound"),
        ("io.elevate.Broker.Cancel", "org.varlink.service.InvalidParameter"),
    ],
)
def test_varlink_errors(bench: Bench, method: str, error: str) -> None:
    """What can't be called is answered as Varlink says."""
    sock = bench.client()
    with bench.turning():
        ask(sock, method)
        assert hear(sock)["error"] == error


def test_run_tells_states_then_output_then_outcome(bench: Bench) -> None:
    """With more and without descriptors everything comes as replies, in order."""
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK, "reason": "why"}, more=True)
        told = [hear(sock, buffer)["parameters"] for _ in range(7)]
    states = [each["state"] for each in told if isinstance(each, dict) and "data" not in each]
    assert states == ["requested", "prompting", "issued", "running", "destroyed"]
    data = {each["stream"]: base64.b64decode(str(each["data"])) for each in told if isinstance(each, dict) and "data" in each}
    assert data == {"stdout": b"hello\n", "stderr": b"oh\n"}
    assert isinstance(told[-1], dict)
    assert told[-1]["outcome"] == {"exit_status": 7, "signal": None, "receipt": {"request": "ab" * 16}}
    assert bench.broker.asks[0].reason == "why"


def test_run_in_brief_tells_of_the_task_only(bench: Bench) -> None:
    """No reply says how far the request has come."""
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK, "brief": True}, more=True)
        told = [hear(sock, buffer)["parameters"] for _ in range(4)]
    assert [each["state"] for each in told if isinstance(each, dict) and "data" not in each] == ["running", "destroyed"]


def test_run_without_more_answers_once(bench: Bench) -> None:
    """A caller that wants one reply gets one; the task's output is read all the same."""
    sock = bench.client()
    with bench.turning():
        ask(sock, "Run", {"task": TASK})
        reply = hear(sock)
        assert "continues" not in reply
        assert reply["parameters"]["outcome"]["exit_status"] == 7  # type: ignore[index, call-overload]


def test_grant_is_used_once(bench: Bench) -> None:
    """A second Redeem of the same grant is refused by the broker."""
    sock = bench.client()
    with bench.turning():
        ask(sock, "Elevate", {"task": TASK})
        assert hear(sock)["parameters"]["grant"]["request"] == "ab" * 16  # type: ignore[index, call-overload]
        for expected in (None, "token-spent"):
            ask(sock, "Redeem", {"request": "ab" * 16, "redeem_id": "1"})
            reply = hear(sock)
            assert (failed(reply)["code"] if expected else reply.get("error")) == expected


def test_grant_of_another_connection_is_not_there(bench: Bench) -> None:
    """A grant is bound to its connection, and is taken back when that ends."""
    first, second = bench.client(), bench.client()
    with bench.turning():
        ask(first, "Elevate", {"task": TASK})
        hear(first)
        ask(second, "Redeem", {"request": "ab" * 16, "redeem_id": "1"})
        assert failed(hear(second))["code"] == "denied"
    assert bench.broker.grants[0].released


def test_grant_is_taken_back_while_another_call_is_under_way(bench: Bench) -> None:
    """Whoever leaves has no token any more, whatever the last call on the connection still does."""
    go, first, second = threading.Event(), bench.client(), bench.client()
    with bench.turning():
        ask(first, "Elevate", {"task": TASK})
        hear(first)
        bench.broker.prompt = lambda _ask, _cancel: assert_set(go)
        ask(first, "Elevate", {"task": TASK}, more=True)
        assert hear(first)["continues"]
        first.close()
        ask(second, "Status")
        hear(second)
        released = bench.broker.grants[0].released
        go.set()
    assert released


def assert_set(event: threading.Event) -> None:
    assert event.wait(20)


def test_unknown_parameter_is_refused(bench: Bench) -> None:
    """No caller can believe that something was heard that was not."""
    sock = bench.client()
    with bench.turning():
        ask(sock, "Run", {"task": TASK, "user": "root"})
        reply = hear(sock)
        assert (reply["error"], reply["parameters"]) == ("org.varlink.service.InvalidParameter", {"parameter": "user"})
    assert bench.broker.asks == []


@pytest.mark.parametrize(
    "frame", [b"\0", b"[]\0", b'{"method":1}\0', b'{"method":"a.B","x":1}\0', b'{"method":"a","method":"b"}\0']
)
def test_what_is_no_call_ends_the_connection(bench: Bench, frame: bytes) -> None:
    """Nobody guesses what such a client means."""
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        sock.sendall(frame)
        assert failed(hear(sock, buffer))["code"] == "protocol"
        with pytest.raises(EOFError):
            hear(sock, buffer)


def test_calls_wait_for_the_one_under_way(bench: Bench) -> None:
    """Calls on one connection are answered in order, oneway calls not at all."""
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK})
        ask(sock, "Status", oneway=True)
        ask(sock, "WhoAmI")
        assert "outcome" in hear(sock, buffer)["parameters"]  # type: ignore[operator]
        assert hear(sock, buffer)["parameters"]["requester"]["pid"] == os.getpid()  # type: ignore[index, call-overload]


def test_signal_reaches_the_task_beside_the_call(bench: Bench) -> None:
    """A oneway Signal does not wait for Run."""
    bench.broker.script = lambda _task, _ask: None
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK}, more=True)
        while hear(sock, buffer)["parameters"]["state"] != "running":  # type: ignore[index, call-overload]
            pass
        ask(sock, "Signal", {"request": "ab" * 16, "signal": 2}, oneway=True)
        assert hear(sock, buffer)["parameters"]["outcome"]["signal"] == 2  # type: ignore[index, call-overload]


def test_half_closed_connection_cancels_and_still_hears_the_answer(bench: Bench) -> None:
    """A client that says it has left during the prompt gets the refusal."""
    bench.broker.prompt = lambda _ask, cancel: _wait_readable(cancel.fileno())
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK}, more=True)
        hear(sock, buffer)
        sock.shutdown(socket.SHUT_WR)
        hear(sock, buffer)
        assert failed(hear(sock, buffer))["code"] == "cancelled"
    assert bench.broker.tasks == []


def test_client_that_goes_ends_its_task(bench: Bench) -> None:
    """No task outlives the connection that started it."""
    bench.broker.script = lambda _task, _ask: None
    sock, buffer = bench.client(), bytearray()
    with bench.turning():
        ask(sock, "Run", {"task": TASK}, more=True)
        while hear(sock, buffer)["parameters"]["state"] != "running":  # type: ignore[index, call-overload]
            pass
        sock.close()
        assert bench.broker.tasks[0].cancelled.wait(20)
        assert bench.broker.tasks[0].signals == [15]


def _wait_readable(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()


def test_36_slow_frame_is_ended_at_its_deadline(bench: Bench) -> None:
    """A frame that drips in is cut off; its pieces do not move the deadline."""
    sock = bench.client()
    bench.ear.turn(1000)
    for _ in range(FRAME_SECONDS):
        sock.sendall(b"{")
        bench.ear.turn(1000)
        bench.clock.advance(0.9)
    sock.sendall(b"{")
    bench.ear.turn(1000)
    bench.clock.advance(0.9)
    bench.ear.turn(0)
    assert failed(hear(sock))["code"] == "busy"


def test_36_silent_connection_is_ended(bench: Bench) -> None:
    """Who connects and never asks gives the place back."""
    sock = bench.client()
    bench.ear.turn(1000)
    bench.clock.advance(IDLE_SECONDS - 1)
    bench.ear.turn(0)
    bench.clock.advance(1)
    bench.ear.turn(0)
    assert failed(hear(sock))["message"] == "the message did not come in time"


def test_36_connections_per_user_are_bounded(bench: Bench) -> None:
    """One more than the bound is told so and closed; one that goes makes room."""
    socks = [bench.client() for _ in range(MAX_PER_UID + 1)]
    for _ in socks:
        bench.ear.turn(1000)
    assert failed(hear(socks[-1]))["code"] == "busy"
    socks[0].close()
    bench.ear.turn(1000)
    late = bench.client()
    bench.ear.turn(1000)
    ask(late, "org.varlink.service.GetInfo")
    bench.ear.turn(1000)
    assert "error" not in hear(late)
