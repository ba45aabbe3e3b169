"""How a task ended, for whoever asked for it, and the copying of what it writes while it runs."""

import os
import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from elevate.canonical import Json

CHUNK_BYTES = 65_536
MAX_CAPTURED_BYTES = 64 * 2**20


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


def drain(pipes: Sequence[int], *, capture: bool) -> tuple[bytes, bytes]:
    """Read a task's standard output and error to their end, and close them; the pipes' own bounds slow a fast task down.

    Args:
        pipes: Two descriptors to read from.
        capture: Collect at most 64 MiB of each, and let the rest go; else write to descriptors 1 and 2 as it comes.
    """
    held = {fd: bytearray() for fd in pipes}
    targets = dict(zip(pipes, (1, 2), strict=True))
    poll = select.poll()
    for fd in pipes:
        poll.register(fd, select.POLLIN)
    try:
        while targets:
            for fd, _event in poll.poll():
                data = os.read(fd, CHUNK_BYTES)
                if not data:
                    poll.unregister(fd)
                    del targets[fd]
                elif not capture:
                    write_all(targets[fd], data)
                elif len(held[fd]) < MAX_CAPTURED_BYTES:
                    held[fd] += data
    finally:
        for fd in pipes:
            os.close(fd)
    return bytes(held[pipes[0]]), bytes(held[pipes[1]])


def write_all(fd: int, data: bytes) -> None:
    """Write all of ``data``, however often that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
