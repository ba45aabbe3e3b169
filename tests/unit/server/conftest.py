"""An ear on a real socket with a simulated broker, turned by hand or by a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate import canonical
from elevate.canonical import Json
from elevate.server import place
from elevate.server.ear import Ear
from elevate.testing import ManualClock
from tests.unit.server.simulator import SimulatedBroker


class Bench:
    """The ear, its broker, its clock, and clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.broker = SimulatedBroker()
        self.clock = ManualClock()
        self.listener = place.listen(path)
        self.ear = Ear(self.listener, self.broker, self.clock)
        self.clients: list[socket.socket] = []

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(20)
        sock.connect(str(self.path))
        self.clients.append(sock)
        return sock

    @contextmanager
    def turning(self) -> Iterator[None]:
        """Let a thread turn the ear."""
        thread = threading.Thread(target=self.ear.run)
        thread.start()
        try:
            yield
        finally:
            for task in self.broker.tasks:
                task.end()
            self.ear.stop()
            thread.join()

    def close(self) -> None:
        for sock in self.clients:
            sock.close()
        self.ear.close()
        place.remove(self.path, self.listener)
        self.listener.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "run" / "broker.sock")
    yield made
    made.close()


def ask(sock: socket.socket, method: str, parameters: dict[str, Json] | None = None, **flags: bool) -> None:
    """Send one call."""
    name = method if "." in method else f"io.elevate.Broker.{method}"
    sock.sendall(canonical.encode({"method": name, "parameters": parameters or {}, **flags}) + b"\0")


def hear(sock: socket.socket, buffer: bytearray | None = None) -> dict[str, Json]:
    """Wait for one reply."""
    buffer = bytearray() if buffer is None else buffer
    while b"\0" not in buffer:
        data = sock.recv(65_536)
        if not data:
            raise EOFError
        buffer += data
    frame, _, rest = bytes(buffer).partition(b"\0")
    buffer[:] = rest
    reply = canonical.decode(frame, max_bytes=2**20)
    assert isinstance(reply, dict)
    return reply
