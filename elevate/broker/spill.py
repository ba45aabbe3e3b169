"""The output of what undoes: handed on as long as somebody reads it, and then let go.

A task whose reader has gone is ended by its next write, as in any pipe. What takes a change back must not end that way.
"""

import contextlib
import os
import select
import threading
from collections.abc import Iterator

from elevate.outcome import copy

PATIENCE_MS = 1_000
"""So long a reader may be slow, once."""


@contextlib.contextmanager
def spilled(streams: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Give write ends whose output goes to ``streams`` or nowhere; the caller keeps ``streams``, which never block again."""
    (read_out, write_out), (read_err, write_err) = os.pipe(), os.pipe()
    over = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    reading = dict(zip((read_out, read_err), streams, strict=True))
    for stream in streams:
        os.set_blocking(stream, False)

    def hand_on(fd: int, data: bytes) -> None:
        if fd in reading and not _write(reading[fd], data):
            del reading[fd]

    reader = threading.Thread(target=copy, args=((read_out, read_err), hand_on, over), name="undo", daemon=True)
    reader.start()
    try:
        yield write_out, write_err
    finally:
        os.close(write_out)
        os.close(write_err)
        os.eventfd_write(over, 1)
        reader.join()
        os.close(over)


def _write(stream: int, data: bytes) -> bool:
    """Write all of it; False where nobody reads it, now or in time."""
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(stream, view) :]
        except BlockingIOError:
            if not poll.poll(PATIENCE_MS):
                return False
        except OSError:
            return False
    return True
