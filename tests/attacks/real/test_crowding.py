"""Rows 36 and 49, further: what one user may take up of the root daemon, so that it is there for the others."""

import array
import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate import canonical
from elevate.server.closing import MAX_WAITING
from elevate.server.ear import MAX_PER_UID
from tests.attacks.real.arena import Arena, aside, become
from tests.attacks.real.sides import elevate

pytestmark = pytest.mark.root
PLACE = "/run/elevate/broker.sock"
STATUS = canonical.encode({"method": "io.elevate.Broker.Status"}) + b"\0"
CLONE_NEWUSER = 0x10000000
BORROWED = 700_000
"""The first of the uids that a user may give to processes of a namespace of the user's own, as newuidmap does."""


def opened() -> socket.socket | None:
    """Connect, and stay; None where the broker will not."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(PLACE)
    with contextlib.suppress(OSError):
        sock.sendall(STATUS)
        if b'"status"' in sock.recv(65_536):
            return sock
    sock.close()
    return None


@contextlib.contextmanager
def many_uids(arena: Arena) -> Iterator[int]:
    """Let mallory take connections under twelve uids; give how many there are."""
    told, tell = os.pipe()
    mapped, map_now = os.pipe()

    def take(write: int) -> None:
        become(arena.users["mallory"])
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        ctypes.CDLL(None).unshare(CLONE_NEWUSER)
        os.write(tell, b"x")
        os.read(mapped, 1)
        os.setresgid(0, 0, 0)
        held = []
        for uid in range(12):
            os.setresuid(uid, uid, 0)
            held += [sock for sock in (opened() for _ in range(MAX_PER_UID)) if sock]
            os.setresuid(0, 0, 0)
        os.write(write, str(len(held)).encode())
        os.read(mapped, 1)

    with aside(take) as read:
        os.read(told, 1)
        child = next(iter(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
        Path(f"/proc/{child}/uid_map").write_text(f"0 {BORROWED} 100\n")
        Path(f"/proc/{child}/gid_map").write_text(f"0 {BORROWED} 100\n")
        os.write(map_now, b"x")
        yield int(os.read(read, 100))


def test_49_one_person_with_many_uids(arena: Arena) -> None:
    """They are counted for who made the namespace; another user still gets in."""

    def others_get_in() -> list[object]:
        with many_uids(arena) as taken, aside(lambda write: os.write(write, ask_as(arena))) as read:
            return [taken, os.read(read, 100).decode()]

    assert arena.act(others_get_in, user="root") == [MAX_PER_UID, "True"]


def ask_as(arena: Arena) -> bytes:
    become(arena.users["alice"])
    return str(opened() is not None).encode()


def lingers(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Give a TCP socket that waits for an hour when it is closed, and its other end."""
    near = socket.socket()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    near.connect(listener.getsockname())
    far, _ = listener.accept()
    near.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while near.send(bytes(65_536)):
            pass
    return near, far


def floods() -> list[int]:
    """Pass descriptors whose closing waits; give how many threads the broker has before and after."""
    daemon = int(elevate().call("Status")[0]["status"]["pid"])
    before = threads(daemon)
    with socket.socket() as listener, socket.socket(socket.AF_UNIX) as sock:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sock.settimeout(10)
        sock.connect(PLACE)
        kept = []
        for _ in range(MAX_WAITING):
            near, far = lingers(listener)
            kept.append(far)
            sock.sendmsg([STATUS], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [near.fileno()]))])
            near.close()
            assert sock.recv(65_536)
        return [before, threads(daemon)]


def threads(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("Threads:\t")[2].split()[0])


def test_36_descriptors_whose_closing_waits(arena: Arena) -> None:
    """One thread for one user, however many come."""
    before, after = arena.act(floods, user="mallory")
    assert after <= before + 2
