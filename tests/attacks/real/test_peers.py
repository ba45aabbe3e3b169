"""Rows 22 to 24, 36, 39 and 50: who is at the two ends of the socket, mounted by a user against the root daemon."""

import ctypes
import json
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from elevate import canonical
from elevate.client import run as thin_client
from elevate.errors import ElevateError
from elevate.server.frames import MAX_FRAME
from elevate.wire import Wire, place
from tests.attacks.real.arena import PIN, Arena, aside
from tests.attacks.real.sides import NAIVE, Naive, Side, elevate, naive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
SOCKETS = {elevate: "/run/elevate/broker.sock", naive: NAIVE}
ID = ["/usr/bin/id", "-u"]


def opened(connect: Connect) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(SOCKETS[connect])
    return sock


def request(connect: Connect, argv: list[str], *, slow: float = 0) -> bytes:
    """Give one call that asks for a task and runs it, with no gesture."""
    if connect is naive:
        return json.dumps({"op": "ask", "argv": argv, "cwd": "/", "now": True, "slow": slow}).encode() + b"\n"
    task = {"kind": "process.run", "params": {"argv": argv, "cwd": "/"}}
    return canonical.encode({"method": "io.elevate.Broker.Run", "parameters": {"task": task}}) + b"\0"


def disguises(connect: Connect) -> str:
    """Connect, let a child hold the connection, become a program of root's, and speak by the child."""

    def become_su(write: int) -> None:
        sock, me = opened(connect), os.getpid()
        if os.fork() == 0:
            speaks(sock, connect, me, write)
        hold, keep = os.pipe()
        os.dup2(hold, 0)
        os.set_inheritable(keep, True)  # noqa: FBT003 - positional only
        os.execv("/usr/bin/su", ["su", "root"])  # noqa: S606 - it waits for a password

    with aside(become_su) as read:
        return os.read(read, 65_536).decode()


def speaks(sock: socket.socket, connect: Connect, other: int, write: int) -> None:
    try:
        while os.stat(f"/proc/{other}").st_uid != 0:  # noqa: PTH116 - shorter
            os.sched_yield()
        sock.sendall(request(connect, ID))
        os.write(write, sock.recv(65_536))
    finally:
        os._exit(0)


def test_22_connection_of_a_process_that_became_root(arena: Arena) -> None:
    """Another process speaks on it, and it is nobody's any more."""
    assert "another process speaks on this connection" in arena.act(disguises, elevate, user="bob")


def test_22_naive_connection_of_a_process_that_became_root(arena: Arena) -> None:
    """There the number is root's by now, and root needs no PIN."""
    assert json.loads(arena.act(disguises, naive, user="bob"))["out"] == "0\n"


def leaves(connect: Connect) -> str:
    """Ask and be gone while the broker looks; say what the task wrote."""
    fifo = Path("fifo")
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    listening = os.open(fifo, os.O_RDWR)
    hurried = request(connect, ["/usr/bin/bash", "-c", f"echo ran > {fifo.absolute()}"], slow=0.2)
    with aside(lambda _write: opened(connect).sendall(hurried)) as read:
        assert os.read(read, 1) == b""
    if connect is elevate:
        wire = Wire(*place())
        for _ in range(20):
            wire.send("Status", {})
            wire.receive()
    ready = select.select([listening], [], [], 10 if connect is naive else 0.3)[0]
    return os.read(listening, 100).decode() if ready else ""


def test_23_peer_gone_during_the_check(arena: Arena) -> None:
    """Nothing is done for nobody."""
    assert arena.act(leaves, elevate, user="bob") == ""


def test_23_naive_peer_gone_during_the_check(arena: Arena) -> None:
    """There who can't be looked up is root."""
    assert arena.act(leaves, naive, user="bob") == "ran\n"


def takes(path: str) -> bool:
    """Put a socket of one's own in the broker's place."""
    try:
        Path(path).rename(f"{path}-true")
        with socket.socket(socket.AF_UNIX) as false:
            false.bind(path)
    except OSError:
        return False
    Path(f"{path}-true").rename(path)
    return True


def test_24_socket_in_the_brokers_place(arena: Arena) -> None:
    """Folder and name are root's; and the client looks who listens."""
    assert not arena.act(takes, SOCKETS[elevate], user="mallory")
    assert arena.act(trusts, user="alice") == "broker-untrusted"


def trusts() -> str:
    """Let the client speak to somebody who is not root."""
    with socket.socket(socket.AF_UNIX) as false:
        false.bind("false.sock")
        false.listen()
        try:
            Wire("false.sock", 0)
        except ElevateError as error:
            return error.code
        finally:
            Path("false.sock").unlink()
    return "trusted"


def squats(ready: Path) -> str:
    """Stand in the broker's place until somebody has come; give what was said."""
    Path(NAIVE).rename(f"{NAIVE}-true")
    with socket.socket(socket.AF_UNIX) as false:
        false.bind(NAIVE)
        Path(NAIVE).chmod(0o666)
        false.listen()
        ready.touch()
        connection, _ = false.accept()
        told = connection.recv(65_536).decode()
    Path(f"{NAIVE}-true").rename(NAIVE)
    return told


def test_24_naive_socket_in_the_brokers_place(arena: Arena) -> None:
    """There somebody else harvests a PIN."""
    ready = arena.place("mallory") / "ready"
    found: list[str] = []
    squatting = threading.Thread(target=lambda: found.append(arena.act(squats, ready, user="mallory")))
    squatting.start()
    while not ready.exists():
        os.sched_yield()
    with suppress(AssertionError):  # the answer never comes
        arena.act(lambda: naive().ask(ID).refused)
    squatting.join()
    assert PIN in found[0]


def dawdles(connect: Connect) -> bool:
    """Begin messages and never end them; say whether another caller is heard meanwhile."""
    slow = [opened(connect) for _ in range(4)]
    for sock in slow:
        sock.sendall(b'{"op"' if connect is naive else b'{"method"')
    if connect is elevate:
        slow[0].sendall(b"x" * MAX_FRAME)
    other = opened(connect)
    other.settimeout(1)
    status = canonical.encode({"method": "io.elevate.Broker.Status"}) + b"\0"
    other.sendall(b'{"op": "status"}\n' if connect is naive else status)
    try:
        return bool(other.recv(65_536))
    except TimeoutError:
        return False


def test_36_endless_and_slow_messages(arena: Arena) -> None:
    """Everybody else is heard."""
    assert arena.act(dawdles, elevate, user="mallory")


def test_36_naive_endless_and_slow_messages(arena: Arena) -> None:
    """There nobody is."""
    assert not arena.act(dawdles, naive, user="mallory")


def from_afar(connect: Connect) -> str:
    """Ask from below a process that serves a network, with nothing of that in the environment."""
    ctypes.CDLL(None).prctl(15, b"sshd-session", 0, 0, 0)
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"):
        os.environ.pop(name, None)
    os.environ.update({"XDG_SESSION_TYPE": "x11", "DISPLAY": ":0"})

    def asks(write: int) -> None:
        ctypes.CDLL(None).prctl(15, b"bash", 0, 0, 0)
        done = connect().run(ID)
        os.write(write, (done.out or done.refused).encode())

    with aside(asks) as read:
        return os.read(read, 4096).decode()


def test_39_remote_session_that_says_it_is_local(arena: Arena) -> None:
    """The kernel says where it came from."""
    assert "remote session" in arena.act(from_afar, elevate)


def test_39_naive_remote_session_that_says_it_is_local(arena: Arena) -> None:
    """There the environment says."""
    assert arena.act(from_afar, naive) == "0\n"


NAMES = ("NAIVE_SOCKET", "ELEVATE_SOCKET", "ELEVATE_BROKER", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "HOME", "VARLINK_ADDRESS")


def misleads(connect: Connect) -> bool:
    """Name another socket in every way there is; say whether the client came to it."""
    false = socket.socket(socket.AF_UNIX)
    path = Path("broker.sock").absolute()
    path.unlink(missing_ok=True)
    false.bind(str(path))
    false.listen()
    os.environ.update(dict.fromkeys(NAMES, str(path)))
    with aside(lambda _write: client(connect, str(path))) as read:
        return false.fileno() in select.select([false.fileno(), read], [], [], 10)[0]


def client(connect: Connect, path: str) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if connect is naive:
        Naive().run(ID)
    for option in ("--socket", "--path", "--host", "--state"):
        thin_client([f"{option}={path}", "id"])
    thin_client(["id"])


def test_50_client_led_elsewhere(arena: Arena) -> None:
    """Nobody comes."""
    assert not arena.act(misleads, elevate)


def test_50_naive_client_led_elsewhere(arena: Arena) -> None:
    """There a variable is enough."""
    assert arena.act(misleads, naive)
