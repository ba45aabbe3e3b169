"""What an elevation left behind, as values: who it was, what was written, and what would take it back.

`elevate.Outcome.receipt`, `elevate.Connection.receipt` and what an installer kept of them as JSON: `Receipt.read` reads them
all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from elevate.canonical import Json
from elevate.errors import TaskInvalidError
from elevate.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenThing:
    """One thing that was written.

    Attributes:
        path: As the machine names it.
        change: ``created``, ``changed`` or ``removed``.
        sha256: Of a file that is there, in hexadecimal; else empty.
        size: In bytes.
        step: Number of the step that did it; 1 where the task was one.
        mode: Permission bits in octal, of a file that was written as a task of its own; else empty.
    """

    path: str
    change: str
    sha256: str
    size: int
    step: int
    mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReceipt:
    """How one step of several ended.

    Attributes:
        step: Its number, from 1, in the order in which it was shown.
        task: Its display form.
        identity: ``account`` for the hidden account, ``root`` for uid 0 in its name, or the user that a rule let it run as.
        undo: It is one of those that undo.
        problem: Why it could not be started; empty where it was.
        exit_status: 0 to 255; None where a signal ended it.
    """

    step: int
    task: str
    kind: str
    identity: str
    undo: bool
    problem: str
    exit_status: int | None
    signal: int | None
    timed_out: bool
    duration_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What would take one change back; elevate does none of it by itself.

    Attributes:
        step: Of which step the change was.
        do: ``remove`` what is there now, ``restore`` what was there, ``install`` a package again, or ask for ``task``.
        what: The file, setting or package, or the task's display form.
        sha256: Of the file as it was, in hexadecimal; empty where that is not known.
        task: To be asked for, where elevate has a task for it.
        mode: Permission bits of the file as it was, in octal; empty where they are not known.
    """

    step: int
    do: str
    what: str
    sha256: str
    task: Task | None
    mode: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One elevation, after its end.

    Attributes:
        user: Who asked.
        identity: Name of the hidden account in whose name it ran; its profile is where an installer's traces are.
        identity_sid: Of that account.
        steps: In the order in which they ran; empty where the task was one.
        written: In the order in which it was written.
        undo: Newest first; nothing where the agreed steps that undo have done so.
        whole: Both lists are; else they were too long to be kept.
        problem: What stood in the way of a task that is one, as a cancellation that its helper was told of; empty otherwise.
    """

    request: str
    session: str
    user: str
    identity: str
    identity_sid: str
    host: str
    task: str
    exit_status: int | None
    signal: int | None
    timed_out: bool
    duration_ms: int
    steps: tuple[StepReceipt, ...]
    written: tuple[WrittenThing, ...]
    undo: tuple[Undo, ...]
    whole: bool
    problem: str = ""

    @classmethod
    def read(cls, values: Mapping[str, Json]) -> Self:
        """Read a receipt; what a newer broker adds is left out.

        Raises:
            TaskInvalidError: It is none.
        """
        told: Mapping[str, Any] = values
        try:
            return cls._of(told)
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise TaskInvalidError("that is no receipt", hint="give what a run, or elevate receipt show --json, gave") from exc

    @classmethod
    def _of(cls, told: Mapping[str, Any]) -> Self:
        written = tuple(_written(one) for one in told["written"])
        undo = tuple(_undo(one) for one in told.get("undo", ()))
        whole = (len(written), len(undo)) == (int(told["written_count"]), int(told.get("undo_count", 0)))
        names = ("request", "session", "user", "host", "task", "exit_status", "signal", "timed_out", "duration_ms")
        return cls(
            **{name: told[name] for name in names},
            identity=told["identity"]["name"],
            identity_sid=told["identity"]["sid"],
            steps=tuple(_step(one) for one in told.get("steps", ())),
            written=written,
            undo=undo,
            whole=whole,
            problem=str(told.get("problem", "")),
        )

    def undo_tasks(self) -> tuple[Task, ...]:
        """Give the tasks that take back what elevate has a task for, newest first: to be asked for under one token."""
        return tuple(one.task for one in self.undo if one.task is not None)

    def left_in_profile(self) -> tuple[str, ...]:
        """Give the paths that were made in the hidden account's own profile, where the user never looks."""
        marks = (f"/{self.identity}/", f"\\{self.identity}\\")
        return tuple(one.path for one in self.written if one.change == "created" and any(mark in one.path for mark in marks))


def _written(one: Mapping[str, Any]) -> WrittenThing:
    return WrittenThing(
        path=one["path"],
        change=one["change"],
        sha256=one["sha256"],
        size=int(one["size"]),
        step=int(one.get("step", 1)),
        mode=str(one.get("mode", "")),
    )


def _step(one: Mapping[str, Any]) -> StepReceipt:
    names = ("step", "task", "kind", "undo", "problem", "exit_status", "signal", "timed_out", "duration_ms")
    return StepReceipt(identity=one["as"], **{name: one[name] for name in names})


def _undo(one: Mapping[str, Any]) -> Undo:
    asked = one.get("task")
    task = Task.parse(asked["kind"], asked["params"]) if asked else None
    what = next(str(one[name]) for name in ("display", "path", "setting", "package") if name in one)
    kept = {"sha256": str(one.get("sha256", "")), "mode": str(one.get("mode", ""))}
    return Undo(step=int(one["step"]), do=one["do"], what=what, task=task, **kept)
