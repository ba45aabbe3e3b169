"""What a call asks for: the task, and the input that came beside it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from elevate import rows
from elevate.errors import TaskInvalidError
from elevate.host.sealed import HUGE_PAGE_BYTES, memory_of
from elevate.server.call import Call
from elevate.server.interface import ServiceError
from elevate.tasks import MAX_PAYLOAD_BYTES, MAX_STEPS_INPUT_BYTES, Task

_F_GET_SEALS = 1034
_SEALED = 0x2 | 0x4 | 0x8
"""Nobody can shrink, grow or write it any more."""
_COPIES = 2
"""Of the input of several steps: the memory file, and what each step has of it."""


@contextmanager
def task_of(call: Call) -> Iterator[tuple[Task, int | None]]:
    """Read the task, and the descriptor of its input; of several, each step holds its own, and none is left.

    SECURITY: what is read so is the broker's memory, and counts as the caller's from before it is read until the call has no
    further use of it (attacks.md row 49).

    Raises:
        BusyError: The caller takes up too much already.
        TaskError: It is not a task.
    """
    given = call.parameters.members("task")
    payload = call.descriptor("payload_fd")
    several = "steps" in given
    kinds = call.broker.kinds()
    if not several and given.keys() != {"kind", "params"}:
        raise ServiceError("InvalidParameter", "parameter", "task")
    if payload is not None:
        _check_payload(payload)
    if not several:
        yield Task.parse(given["kind"], given["params"], kinds=kinds), payload
        return
    size = 0 if payload is None else _size(payload)
    give_back = call.broker.hold(call.connection.peer.uid, _COPIES * size)
    try:
        yield rows.parse(given, b"" if payload is None else os.pread(payload, size, 0), kinds), None
    finally:
        give_back()


def _check_payload(fd: int) -> None:
    """Take nothing that could change while it is looked at."""
    try:
        seals = fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError as exc:
        raise TaskInvalidError("the input is not a sealed memory file") from exc
    if seals & _SEALED != _SEALED:
        raise TaskInvalidError("the input is not a sealed memory file")
    if memory_of(fd) > MAX_PAYLOAD_BYTES + HUGE_PAGE_BYTES:
        raise TaskInvalidError(f"the input is over {MAX_PAYLOAD_BYTES} bytes", hint="put it into a file and name that")


def _size(fd: int) -> int:
    size = os.fstat(fd).st_size
    if size > MAX_STEPS_INPUT_BYTES:
        raise TaskInvalidError(
            f"the steps' input is over {MAX_STEPS_INPUT_BYTES} bytes", hint="put it into files and name them"
        )
    return size
