"""The methods on the log over the socket: what they read, and that a follower who does not read delays nobody."""

import os
from pathlib import Path

import pytest

from elevate.broker.asking import Asked
from elevate.canonical import Json
from tests.unit.server.conftest import Bench, ask, hear
from tests.unit.server.simulator import SimulatedLog


def answered(bench: Bench, method: str, parameters: dict[str, Json]) -> dict[str, Json]:
    with bench.turning():
        sock = bench.client()
        ask(sock, method, parameters)
        return hear(sock)


def test_a_search_is_read_whole(bench: Bench) -> None:
    """Every parameter; who asks is the kernel's word."""
    given: dict[str, Json] = {"words": "user:bob", "position": 3, "limit": 7, "mine": True, "cursor": ".1.2.3"}
    assert answered(bench, "AuditSearch", given)["parameters"] == {"entries": []}
    ((method, asked, who),) = bench.broker.logbook.asked
    assert (method, asked) == ("search", Asked(words="user:bob", position=3, limit=7, mine=True, cursor=".1.2.3"))
    assert (who.process.uid, who.process.pid) == (os.getuid(), os.getpid())
    assert bench.broker.logbook.answers == [os.getuid()]


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("AuditSearch", {"limit": 0}),
        ("AuditSearch", {"limit": 513}),
        ("AuditSearch", {"position": -1}),
        ("AuditSearch", {"words": "x" * 1025}),
        ("AuditSearch", {"cursor": "x" * 129}),
        ("AuditSearch", {"user": "bob"}),
        ("AuditSearch", {"mine": "no"}),
        ("AuditShow", {}),
        ("AuditShow", {"id": "x" * 65}),
        ("AuditProve", {}),
        ("AuditProve", {"position": -1}),
        ("AuditProve", {"position": "1"}),
        ("AuditCheckpoint", {"old": 1}),
        ("AuditCheckpoint", {"new": 1}),
        ("AuditCheckpoint", {"old": -1, "new": 1}),
        ("AuditFollow", {"lines": 513}),
        ("AuditFollow", {"limit": 1}),
        ("AuditErase", {}),
        ("AuditErase", {"subject": "x" * 257}),
        ("AuditPrune", {"before": 1}),
        ("AuditPrune", {"archive_fd": 0}),
        ("AuditRotateKey", {"key": "k"}),
    ],
)
def test_odd_parameters_are_refused(bench: Bench, method: str, parameters: dict[str, Json]) -> None:
    """Before anything is asked of the log."""
    assert answered(bench, method, parameters)["error"] == "org.varlink.service.InvalidParameter"
    assert bench.broker.logbook.asked == []
    assert bench.broker.care.done == []


def test_show_and_care_are_answered(bench: Bench, tmp_path: Path) -> None:
    """The archive's descriptor travels beside the call."""
    with bench.turning():
        sock = bench.client()
        ask(sock, "AuditShow", {"id": "abc", "mine": True})
        assert hear(sock)["parameters"] == {"request": "abc", "entries": [], "mine": True}
        ask(sock, "AuditProve", {"position": 7, "mine": True})
        assert hear(sock)["parameters"] == {"proof": "p", "mine": True}
        ask(sock, "AuditCheckpoint")
        assert hear(sock)["parameters"] == {"note": "n", "keys": []}
        ask(sock, "AuditCheckpoint", {"old": 3, "new": 9})
        assert hear(sock)["parameters"] == {"hashes": [], "keys": []}
        assert [(method, asked) for method, asked, _ in bench.broker.logbook.asked[1:]] == [
            ("prove", 7),
            ("checkpoint", 0),
            ("checkpoint", 9),
        ]
        ask(sock, "AuditErase", {"subject": "alice"})
        assert hear(sock)["parameters"] == {"entries": 1, "requests": 1}
        ask(sock, "AuditRotateKey")
        assert hear(sock)["parameters"] == {"key": "k"}
        from tests.attacks.server.test_connections import call, send_with

        with (tmp_path / "archive").open("wb") as file:
            send_with(sock, call("AuditPrune", {"before": 256, "archive_fd": 0}), [file.fileno()])
            assert hear(sock)["parameters"] == {"began": 256}
    assert (tmp_path / "archive").read_bytes() == b"archived"


def test_a_follower_gets_pages_until_it_leaves(bench: Bench) -> None:
    """Each as a reply that others follow; half a close ends it with the last position."""
    page: dict[str, Json] = {"entries": [{"seq": 4}], "next": 5}
    bench.broker.logbook.pages = [page, page | {"next": 6}]
    with bench.turning():
        sock = bench.client()
        ask(sock, "AuditFollow", {"position": 4}, more=True)
        buffer = bytearray()
        assert hear(sock, buffer) == {"parameters": page, "continues": True}
        assert hear(sock, buffer)["parameters"] == page | {"next": 6}
        sock.shutdown(1)
        assert hear(sock, buffer) == {"parameters": {"entries": [], "next": 6}}
        assert bench.broker.logbook.ended.acquire(timeout=20)


def test_without_more_one_page_is_the_answer(bench: Bench) -> None:
    """And the follower has ended."""
    bench.broker.logbook.pages = [{"entries": [], "next": 5}] * 3
    assert answered(bench, "AuditFollow", {})["parameters"] == {"entries": [], "next": 5}
    assert bench.broker.logbook.ended.acquire(timeout=20)


def test_36_a_follower_that_does_not_read_delays_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its socket is full: others are answered at once, and after its time it is cut off."""
    monkeypatch.setattr("elevate.server.connection.SEND_SECONDS", 1)
    bench.broker.logbook = SimulatedLog(endless=True)
    with bench.turning():
        deaf = bench.client()
        ask(deaf, "AuditFollow", {}, more=True)
        other = bench.client()
        for _ in range(20):
            ask(other, "Status")
            assert hear(other)["parameters"] == {"status": {"emulated": True}}
        assert bench.broker.logbook.ended.acquire(timeout=20)
