"""A task's output for clients that can't take descriptors: read as it comes, and sent on as base64, or dropped."""

import base64
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

from elevate.canonical import Json
from elevate.outcome import copy


@contextlib.contextmanager
def forward(pipes: tuple[int, int], tell: Callable[[dict[str, Json]], None]) -> Iterator[None]:
    """Read both pipes in a thread of its own while the task runs, and then what it left in them; close them at the end.

    Args:
        pipes: Read ends of the task's standard output and error.
        tell: Called with each piece.
    """
    over = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    streams = dict(zip(pipes, ("stdout", "stderr"), strict=True))

    def say(fd: int, data: bytes) -> None:
        tell({"state": "running", "stream": streams[fd], "data": base64.b64encode(data).decode()})

    reader = threading.Thread(target=copy, args=(pipes, say, over))
    reader.start()
    try:
        yield
    finally:
        os.eventfd_write(over, 1)
        reader.join()
        os.close(over)
