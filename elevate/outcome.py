"""How a task ended, for whoever asked for it, and the copying of what it writes while it runs."""

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from elevate.canonical import Json

CHUNK_BYTES = 16_384
MAX_CAPTURED_BYTES = 64 * 2**20
MAX_LEFT_BYTES = 2**20
"""As much as a pipe can hold: so much of each is still read when the task has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a task ended, and the receipt for it.

    Attributes:
        exit_status: 0 to 255; None where a signal ended it.
        signal: Its number; None where it exited.
        timed_out: The time limit ended it.
        stdout: What was captured, where that was asked for.
    """

    exit_status: int | None
    signal: int | None
    timed_out: bool
    receipt: Mapping[str, Json]
    stdout: bytes = field(default=b"", repr=False)
    stderr: bytes = field(default=b"", repr=False)


def drain(pipes: Sequence[int], over: int | None, *, capture: bool) -> tuple[bytes, bytes]:
    """Read a task's standard output and error, and close them; the pipes' own bounds slow a fast task down.

    Args:
        pipes: Two descriptors to read from.
        over: Turns readable when the task has ended; None where it has.
        capture: Collect at most 64 MiB of each, and let the rest go; else write to descriptors 1 and 2 as it comes.
    """
    held = {fd: bytearray() for fd in pipes}
    targets = dict(zip(pipes, (1, 2), strict=True))

    def take(fd: int, data: bytes) -> None:
        if not capture:
            write_all(targets[fd], data)
        elif len(held[fd]) < MAX_CAPTURED_BYTES:
            held[fd] += data

    copy(pipes, take, over)
    return bytes(held[pipes[0]]), bytes(held[pipes[1]])


def copy(pipes: Sequence[int], take: Callable[[int, bytes], None], over: int | None) -> None:
    """Read pipes to their ends, or, once ``over`` is readable, what is left in them; close them.

    SECURITY: whoever was handed the other end of a pipe can hold it open after the task; nobody waits for that.
    """
    reading = set(pipes)
    try:
        while reading and over is not None:
            ready = _readable({*reading, over}, None)
            reading -= {fd for fd in ready & reading if not _take_one(fd, take)}
            if over in ready:
                break
        for fd in reading:
            left = MAX_LEFT_BYTES
            while left > 0 and _readable({fd}, 0) and (size := _take_one(fd, take)):
                left -= size
    finally:
        for fd in pipes:
            os.close(fd)


@contextlib.contextmanager
def ending(wait: Callable[[], object]) -> Iterator[int]:
    """Give a descriptor that turns readable when ``wait`` returns; whatever that raises is left to others who wait."""
    over = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def tell() -> None:
        with contextlib.suppress(Exception):
            wait()
        os.eventfd_write(over, 1)

    waiter = threading.Thread(target=tell, daemon=True)
    waiter.start()
    try:
        yield over
    finally:
        waiter.join()
        os.close(over)


def _readable(fds: set[int], timeout_ms: int | None) -> set[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(timeout_ms)}


def _take_one(fd: int, take: Callable[[int, bytes], None]) -> int:
    data = os.read(fd, CHUNK_BYTES)
    if data:
        take(fd, data)
    return len(data)


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however often that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
