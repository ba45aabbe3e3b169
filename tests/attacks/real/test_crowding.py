"""Rows 36 and 49, further: what one user may take up of the root daemon, so that it is there for the others."""

import array
import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import struct
import tarfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate import canonical
from elevate.host.sealed import seal
from elevate.server.closing import MAX_WAITING
from elevate.server.ear import MAX_PER_UID
from tests.attacks.real.arena import Arena, aside, become
from tests.attacks.real.sides import elevate

pytestmark = pytest.mark.root
PLACE = "/run/elevate/broker.sock"
STATUS = canonical.encode({"method": "io.elevate.Broker.Status"}) + b"\0"
CLONE_NEWUSER = 0x10000000
NONE = -1
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
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
            os.write(tell, b"-")
            return
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
        if os.read(told, 1) == b"-":
            yield NONE
            return
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

    taken, answered = arena.act(others_get_in, user="root")
    if taken == NONE:
        pytest.skip("the kernel gives users no namespaces here")
    assert (taken, answered) == (MAX_PER_UID, "True")


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


def endless(path: str, *, kind: str = "file.write") -> list[object]:
    """Name a file that takes for ever to be read; give what is answered, or None where nothing is in time."""
    side = elevate()
    side.wire.socket.settimeout(10)
    if kind == "process.run":
        return [side.ask([path]).refused.partition(":")[0]]
    task = {"kind": kind, "params": {"path": path, "cwd": "/"}}
    fds = (seal(b"x"),) if kind == "file.write" else ()
    return [side.elevate(task, fds, **({"payload_fd": 0} if fds else {})).refused.partition(":")[0]]


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a file system with files of any length")
def test_36_file_that_never_ends_in_the_place_that_is_written(arena: Arena) -> None:
    """A sparse one of the user's, and one of the kernel's: the broker does not read on, and can still be stopped."""

    def sparse() -> list[object]:
        path = Path(f"/dev/shm/elevate-{os.getpid()}")
        with path.open("wb") as file:
            file.truncate(2**62)
        try:
            return endless(str(path)) + endless("/proc/self/pagemap")
        finally:
            path.unlink()

    assert arena.act(sparse, user="mallory") == ["task-invalid", "task-invalid"]


def test_36_file_that_somebody_has_a_lease_on(arena: Arena) -> None:
    """Opening it would wait until its owner lets go, or for 45 seconds."""

    def leased() -> list[object]:
        path = Path("leased")
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        with path.open("r+") as file:
            try:
                fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError:
                return [NONE]
            return endless(str(path.absolute()), kind="process.run")

    told = arena.act(leased, user="mallory")
    if told == [NONE]:
        pytest.skip("the file system knows no leases")
    assert told == ["command-not-executable"]


def bomb(path: Path, mebibytes: int) -> None:
    """Write a package that is small, and large where its fields are unpacked."""
    entry = tarfile.TarInfo("./control")
    entry.size = mebibytes << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(entry.tobuf())
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)) + packer.flush()
    members = {"debian-binary": b"2.0\n", "control.tar.gz": packed + bytes(len(packed) % 2)}
    heads = {name: f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() for name, data in members.items()}
    path.write_bytes(b"!<arch>\n" + b"".join(heads[name] + data for name, data in members.items()))


def unpacks() -> list[object]:
    """Have such a package looked at; give the answer, and how many MiB of memory that took at most."""
    path = Path("bomb.deb")
    bomb(path, 600)
    before, peak = shared_memory(), [0]
    answered = threading.Event()

    def watch() -> None:
        while not answered.wait(0.01):
            peak[0] = max(peak[0], shared_memory() - before)

    watching = threading.Thread(target=watch)
    watching.start()
    told = endless(str(path.absolute()), kind="package.install")
    answered.set()
    watching.join()
    return [*told, peak[0]]


def shared_memory() -> int:
    text = Path("/proc/meminfo").read_text()
    return int(text.partition("Shmem:")[2].split()[0]) >> 10


@pytest.mark.service
def test_36_package_that_is_large_when_it_is_unpacked(arena: Arena) -> None:
    """Who reads it for the broker has little room."""
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("this machine has no dpkg")
    refused, peak = arena.act(unpacks, user="mallory")
    assert refused == "task-invalid"
    assert peak < 150


@pytest.mark.service
def test_36_many_packages_are_read_at_once(arena: Arena) -> None:
    """Who reads them has a share of memory; whoever wants more for oneself than that waits, and nobody else."""
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("this machine has no dpkg")

    def crowds() -> list[object]:
        path = Path("bomb.deb")
        bomb(path, 64)
        told: list[object] = []
        asking = [
            threading.Thread(target=lambda: told.extend(endless(str(path.absolute()), kind="package.install")))
            for _ in range(12)
        ]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        return told

    assert set(arena.act(crowds, user="mallory")) == {"task-invalid", "busy"}
