"""A broker that answers every call at once, so that only the client is measured."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RUNNING = b'{"continues":true,"parameters":{"state":"running","request":"00"}}\0'
ENDED = b'{"parameters":{"state":"destroyed","outcome":{"exit_status":0,"signal":null}}}\0'


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """Let a process listen there."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            _answer(listener)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answer(listener: socket.socket) -> None:
    """Tell each caller that its task runs, and has ended."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    while True:
        with listener.accept()[0] as caller:
            while caller.recv(65_536)[-1:] != b"\0":
                pass
            socket.send_fds(caller, [RUNNING], [nothing, nothing])
            caller.sendall(ENDED)
            caller.recv(1)
