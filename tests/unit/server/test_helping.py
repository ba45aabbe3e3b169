"""What helpers call: on their own connection, and given up with it."""

import os
import socket

from elevate.canonical import Json
from tests.unit.server.conftest import Bench, ask, hear

ID = "ab" * 16
TASK: dict[str, Json] = {"kind": "process.run", "params": {"argv": ["true"], "cwd": "/"}}


def call(sock: socket.socket, method: str, **parameters: Json) -> Json:
    """Give the reply's parameters, or the error's code."""
    ask(sock, method, dict(parameters))
    reply = hear(sock)
    told = reply["parameters"]
    assert isinstance(told, dict)
    return told["code"] if "error" in reply else told


def redeem(bench: Bench) -> socket.socket:
    sock = bench.client()
    told = call(sock, "RedeemToken", token="t1", redeem_id=ID)
    assert told == {"state": "running", "request": "t1", "reason": "because"}
    return sock


def test_a_token_leaves_as_a_descriptor_only(bench: Bench) -> None:
    """Sealed, at its beginning; the reply itself does not have it."""
    sock = bench.client()
    with bench.turning():
        ask(sock, "Elevate", {"task": TASK, "audience": "helper:x"})
        frame, [fd], _, _ = socket.recv_fds(sock, 65536, 1)
    assert os.read(fd, 100) == f"token of {'ab' * 16}".encode()
    assert b"token of" not in frame
    assert bench.broker.asks[0].audience == "helper:x"
    os.close(fd)


def test_a_report_ends_it(bench: Bench) -> None:
    """Once, and on the connection that redeemed it."""
    with bench.turning():
        sock, other = redeem(bench), bench.client()
        assert call(other, "FinishToken", request="t1", exit_status=0) == "task-invalid"
        ended = {"state": "destroyed", "request": "t1", "outcome": {"exit_status": 7}}
        assert call(sock, "FinishToken", request="t1", exit_status=7) == ended
        assert call(sock, "FinishToken", request="t1", exit_status=8) == "task-invalid"
    assert (bench.broker.redeemed[0].status, bench.broker.redeemed[0].left) == (7, False)


def test_a_helper_may_not_know(bench: Bench) -> None:
    """Without a status the outcome is unknown."""
    with bench.turning():
        sock = redeem(bench)
        assert call(sock, "FinishToken", request="t1") == {"state": "outcome-unknown", "request": "t1"}
        assert bench.broker.redeemed[0].left


def test_a_helper_that_leaves_is_waited_for_no_longer(bench: Bench) -> None:
    """Its connection ends, and what it carried is given up."""
    with bench.turning():
        redeem(bench).close()
        assert call(bench.client(), "Keys") == {"keys": {"keys": []}, "issuer": "simulated"}
        assert bench.broker.redeemed[0].left
