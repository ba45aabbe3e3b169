"""A task's output for clients that can't take descriptors: read as it comes, and sent on as base64, or dropped."""

import base64
import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator

from elevate.canonical import Json

_CHUNK = 16_384


@contextlib.contextmanager
def forward(pipes: tuple[int, int], tell: Callable[[dict[str, Json]], None]) -> Iterator[None]:
    """Read both pipes to their end in a thread of its own; close them at the end.

    Args:
        pipes: Read ends of the task's standard output and error.
        tell: Called with each piece.
    """
    reader = threading.Thread(target=_read, args=(dict(zip(pipes, ("stdout", "stderr"), strict=True)), tell))
    reader.start()
    try:
        yield
    finally:
        reader.join()


def _read(streams: dict[int, str], tell: Callable[[dict[str, Json]], None]) -> None:
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    while streams:
        for fd, _ in poll.poll():
            data = os.read(fd, _CHUNK)
            if data:
                tell({"state": "running", "stream": streams[fd], "data": base64.b64encode(data).decode()})
            else:
                poll.unregister(fd)
                os.close(fd)
                del streams[fd]
