"""What the clients of the library share: a request as the broker reads it, and its answer as values."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Mapping
from typing import cast

from elevate import rows
from elevate.canonical import Json
from elevate.errors import ElevateError
from elevate.kinds import KindSpec
from elevate.outcome import Outcome, Progress
from elevate.tasks import Task
from elevate.wire import Wire

_SEALS = 0xF
_F_ADD_SEALS = 1033
HELPER = "helper:"


def question(
    task: Task, reason: str, stack: contextlib.ExitStack, *, interactive: bool, helper: str = ""
) -> tuple[dict[str, object], tuple[int, ...]]:
    """Give the parameters of a request, and the descriptors that travel beside it; ``stack`` closes them.

    Args:
        task: What is asked, in one or in several steps.
        reason: Why.
        stack: Closes this process's descriptors.
        interactive: Pass this process's terminal, where it has one, for the broker's prompt.
        helper: Name of the helper that the token is for; empty where the host runs the task.
    """
    fds: list[int] = []
    parameters: dict[str, object] = {"task": rows.to_json(task), "reason": reason}
    if helper:
        parameters["audience"] = HELPER + helper
    if interactive:
        with contextlib.suppress(OSError):
            fds.append(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            parameters["terminal_fd"] = 0
    _add_input(task, parameters, fds)
    for fd in fds:
        stack.callback(os.close, fd)
    return parameters, tuple(fds)


def looked_at(task: Task, stack: contextlib.ExitStack) -> tuple[dict[str, object], tuple[int, ...]]:
    """Give the same for a task about which nobody is asked."""
    parameters: dict[str, object] = {"task": rows.to_json(task)}
    fds: list[int] = []
    _add_input(task, parameters, fds)
    for fd in fds:
        stack.callback(os.close, fd)
    return parameters, tuple(fds)


def _add_input(task: Task, parameters: dict[str, object], fds: list[int]) -> None:
    given = rows.input_of(task)
    if given is not None:
        parameters["payload_fd"] = len(fds)
        fds.append(_sealed(given))


def step_of(told: Mapping[str, object]) -> Progress | None:
    """Read a step's progress from a reply; None where it tells something else."""
    step = told.get("step")
    return Progress.from_json(step) if isinstance(step, dict) else None


class Replies:
    """What the broker tells while a task runs: its steps, and then how it ended.

    Args:
        wire: Where they come.
        on_progress: Called with each step, in the thread that reads.
    """

    def __init__(self, wire: Wire, on_progress: Callable[[Progress], object]) -> None:
        self._wire = wire
        self._on_progress = on_progress
        self._last: Mapping[str, object] | None = None
        self._error: ElevateError | None = None

    def here(self) -> bool:
        """Take what has come already; say whether the end was among it."""
        return self._wire.buffered and self.heard()

    def heard(self) -> bool:
        """Wait for a reply and take all that are here; say whether the end was among them."""
        while self._last is None and self._error is None:
            try:
                told, continues = self._wire.receive()
            except ElevateError as error:  # what the task wrote is still read to its end
                self._error = error
                break
            self._take(told, continues=continues)
            if not self._wire.buffered:
                break
        return self._last is not None or self._error is not None

    def last(self) -> Mapping[str, object]:
        """Wait for the last reply and give it.

        Raises:
            ElevateError: It is an error.
        """
        while not self.heard():
            pass
        if self._error is not None:
            raise self._error
        return self._last or {}

    def _take(self, told: Mapping[str, object], *, continues: bool) -> None:
        if not continues:
            self._last = told
        elif (progress := step_of(told)) is not None:
            self._on_progress(progress)


def kinds_of(told: Mapping[str, Json]) -> dict[str, KindSpec]:
    """Read the kinds that the broker named."""
    specs = (KindSpec.from_json(one) for one in cast("list[dict[str, Json]]", told["kinds"]))
    return {spec.name: spec for spec in specs}


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
