"""Copying a task's output while it runs; the pipes' own bounds slow a fast task down."""

import os
import select
from dataclasses import dataclass, field

from elevate.ports import Running

CHUNK_BYTES = 65_536
MAX_CAPTURED_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Captured:
    """What a task wrote, as far as it was collected."""

    stdout: bytes = field(default=b"", repr=False)
    stderr: bytes = field(default=b"", repr=False)


def drain(running: Running, *, capture: bool) -> Captured:
    """Read both pipes to their end.

    Args:
        running: The task; its two pipes are closed at the end.
        capture: Collect at most 64 MiB of each, and let the rest go; else write to descriptors 1 and 2.
    """
    collected: dict[int, bytearray] = {running.stdout: bytearray(), running.stderr: bytearray()}
    targets = {running.stdout: 1, running.stderr: 2}
    poll = select.poll()
    for fd in collected:
        poll.register(fd, select.POLLIN)
    try:
        while targets:
            for fd, _event in poll.poll():
                data = os.read(fd, CHUNK_BYTES)
                if not data:
                    poll.unregister(fd)
                    del targets[fd]
                elif not capture:
                    _write_all(targets[fd], data)
                elif len(collected[fd]) < MAX_CAPTURED_BYTES:
                    collected[fd] += data
    finally:
        for fd in collected:
            os.close(fd)
    return Captured(stdout=bytes(collected[running.stdout]), stderr=bytes(collected[running.stderr]))


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
