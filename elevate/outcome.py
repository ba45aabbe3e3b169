"""How a task ended, for whoever asked for it, and the copying of what it writes while it runs."""

import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A step of several that begins, or has ended.

    Attributes:
        step: Its number, from 1.
        steps: How many there are where none fails.
        undo: It undoes, after another one failed; its number is above ``steps``.
        task: Its display form, escaped.
        ended: It has ended; else it begins.
        exit_status: 0 to 255; None where it begins, or a signal ended it.
        problem: Why it could not be started; empty where it was.
    """

    step: int
    steps: int
    undo: bool
    task: str
    ended: bool
    exit_status: int | None = None
    signal: int | None = None
    timed_out: bool = False
    problem: str = ""

    def to_json(self) -> dict[str, Json]:
        """Give it as it crosses the socket."""
        return dict(asdict(self))

    @classmethod
    def from_json(cls, told: Mapping[str, Json]) -> Self:
        """Read what the broker told; what a newer one adds is left out."""
        known: dict[str, Any] = {name.name: told[name.name] for name in fields(cls) if name.name in told}
        return cls(**known)


class Events:
    """Progress from another thread, handed to whoever drains a task's output, in its own thread.

    Args:
        listener: Called with each, by `heard`.
    """

    def __init__(self, listener: Callable[[Progress], object]) -> None:
        self._listener = listener
        self._queue: queue.SimpleQueue[Progress | None] = queue.SimpleQueue()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._bell)  # whoever put has been waited for

    def fileno(self) -> int:
        """Give a descriptor that is readable when there is something to hear."""
        return self._bell

    def put(self, progress: Progress | None) -> None:
        """Hand one over; None says that the task has ended. For any thread."""
        self._queue.put(progress)
        os.eventfd_write(self._bell, 1)

    def heard(self) -> bool:
        """Wait for one and tell it; say whether the task has ended."""
        os.eventfd_read(self._bell)
        progress = self._queue.get()
        self._over = progress is None
        if progress is not None:
            self._listener(progress)
        return self._over

    def rest(self) -> None:
        """Hear all until the task has ended."""
        while not self._over:
            self.heard()


def drain(
    pipes: Sequence[int], over: int | None, *, capture: bool, heard: Callable[[], bool] = lambda: True
) -> tuple[bytes, bytes]:
    """Read a task's standard output and error, and close them; the pipes' own bounds slow a fast task down.

    Args:
        pipes: Two descriptors to read from.
        over: Turns readable when the task has ended, or when there is something to hear; None where it has ended.
        heard: Called when ``over`` is readable; says whether the task has ended.
        capture: Collect at most 64 MiB of each, and let the rest go; else write to descriptors 1 and 2 as it comes.
    """
    held = {fd: bytearray() for fd in pipes}
    targets = dict(zip(pipes, (1, 2), strict=True))

    def take(fd: int, data: bytes) -> None:
        if not capture:
            write_all(targets[fd], data)
        elif len(held[fd]) < MAX_CAPTURED_BYTES:
            held[fd] += data

    copy(pipes, take, over, heard)
    return bytes(held[pipes[0]]), bytes(held[pipes[1]])


def copy(
    pipes: Sequence[int],
    take: Callable[[int, bytes], None],
    over: int | None,
    heard: Callable[[], bool] = lambda: True,
) -> None:
    """Read pipes to their ends, or, once ``over`` is readable and ``heard`` says so, what is left in them; close them.

    SECURITY: whoever was handed the other end of a pipe can hold it open after the task; nobody waits for that.
    """
    reading = set(pipes)
    try:
        while reading and over is not None:
            ready = _readable({*reading, over}, None)
            reading -= {fd for fd in ready & reading if not _take_one(fd, take)}
            if over in ready and heard():
                break
        for fd in reading:
            left = MAX_LEFT_BYTES
            while left > 0 and _readable({fd}, 0) and (size := _take_one(fd, take)):
                left -= size
    finally:
        for fd in pipes:
            os.close(fd)


@contextlib.contextmanager
def ending(wait: Callable[[], object], events: Events) -> Iterator[None]:
    """Say to ``events`` when ``wait`` returns; whatever that raises is left to others who wait."""

    def tell() -> None:
        with contextlib.suppress(Exception):
            wait()
        events.put(None)

    waiter = threading.Thread(target=tell, daemon=True)
    waiter.start()
    try:
        yield
    finally:
        waiter.join()


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
