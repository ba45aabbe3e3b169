"""What the clients of the library share: a request as the broker reads it, and its answer as values."""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from typing import cast

from elevate.canonical import Json
from elevate.outcome import Outcome
from elevate.tasks import Task

_SEALS = 0xF
_F_ADD_SEALS = 1033
HELPER = "helper:"


def question(
    task: Task, reason: str, stack: contextlib.ExitStack, *, interactive: bool, helper: str = ""
) -> tuple[dict[str, object], tuple[int, ...]]:
    """Give the parameters of a request, and the descriptors that travel beside it; ``stack`` closes them.

    Args:
        task: What is asked.
        reason: Why.
        stack: Closes this process's descriptors.
        interactive: Pass this process's terminal, where it has one, for the broker's prompt.
        helper: Name of the helper that the token is for; empty where the host runs the task.
    """
    fds: list[int] = []
    parameters: dict[str, object] = {"task": task.to_json(), "reason": reason}
    if helper:
        parameters["audience"] = HELPER + helper
    if interactive:
        with contextlib.suppress(OSError):
            fds.append(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            parameters["terminal_fd"] = 0
    if task.payload is not None:
        parameters["payload_fd"] = len(fds)
        fds.append(_sealed(task.payload))
    for fd in fds:
        stack.callback(os.close, fd)
    return parameters, tuple(fds)


def outcome_of(told: Mapping[str, object], captured: tuple[bytes, bytes] = (b"", b"")) -> Outcome:
    """Read how a task ended from the broker's last reply."""
    outcome = cast("dict[str, Json]", told["outcome"])
    return Outcome(
        exit_status=cast("int | None", outcome.get("exit_status")),
        signal=cast("int | None", outcome.get("signal")),
        timed_out=outcome.get("timed_out") is True,
        receipt=cast("Mapping[str, Json]", outcome.get("receipt") or {}),
        stdout=captured[0],
        stderr=captured[1],
    )


def _sealed(data: bytes) -> int:
    """Give a memory file with ``data`` that nobody can change any more."""
    fd = os.memfd_create("elevate-payload", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS)
    return fd
