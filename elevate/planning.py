"""What needs admin and why, before anyone is asked: the plan of an installer, step by step.

A step that writes a file where its user may write already needs no admin: the installer does it itself. For every other one the
broker says what its policy makes of it; nobody is prompted and nothing is granted.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from elevate.canonical import Json
from elevate.errors import TaskError
from elevate.tasks import Task


class _Explained(Protocol):
    def json(self) -> dict[str, Json]:
        """Give it as values."""


class Explains(Protocol):
    """A broker, embedded or over the socket."""

    def explain(self, task: Task) -> "_Explained | dict[str, Json]":
        """Say what policy makes of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One step.

    Attributes:
        needs_admin: Whether the broker must be asked for it.
        outcome: ``none`` where it need not; else what would be asked of the person (``consent``, ``credential``, ``approval``),
            or ``denied``, or ``impossible``.
        why: The rules that decided, or what stands in the way.
    """

    task: Task
    needs_admin: bool
    outcome: str
    why: tuple[str, ...]

    @property
    def possible(self) -> bool:
        """Whether the step can be done at all."""
        return self.outcome not in {"denied", "impossible"}


def plan(broker: Explains, tasks: Iterable[Task]) -> tuple[Planned, ...]:
    """Say of each step whether it needs admin, what would be asked, and why; in the order given."""
    planned: list[Planned] = []
    for task in tasks:
        planned.append(_one(broker, task, [one.task for one in planned if one.needs_admin and one.outcome != "impossible"]))
    return tuple(planned)


def _one(broker: Explains, task: Task, before: Sequence[Task]) -> Planned:
    if "scope" in dict(task.params):
        return Planned(task=task, needs_admin=False, outcome="none", why=("it is installed for this user alone",))
    if _is_own(task):
        return Planned(task=task, needs_admin=False, outcome="none", why=("this user may write it already",))
    try:
        values = _explained(broker, task, before)
    except TaskError as error:
        return Planned(task=task, needs_admin=True, outcome="impossible", why=(error.message,))
    rules = values.get("rules")
    why = tuple(str(rule["why"]) for rule in rules if isinstance(rule, dict)) if isinstance(rules, list) else ()
    message = str(values.get("message") or "")
    return Planned(task=task, needs_admin=True, outcome=str(values["outcome"]), why=((message,) if message else ()) + why)


def _explained(broker: Explains, task: Task, before: Sequence[Task]) -> dict[str, Json]:
    """Explain one step alone; a service that is not there as the last of those before it: one of them may bring it."""
    try:
        return _values(broker.explain(task))
    except TaskError:
        if task.kind != "service.control" or not before:
            raise
    steps = _values(broker.explain(Task.in_order([*before, task])))["steps"]
    last = steps[-1] if isinstance(steps, list) else None
    return last if isinstance(last, dict) else {}


def _values(found: "_Explained | dict[str, Json]") -> dict[str, Json]:
    return found if isinstance(found, dict) else found.json()


def _is_own(task: Task) -> bool:
    if task.kind != "file.write":
        return False
    path = Path(str(task["cwd"]), str(task["path"]))
    place = path if path.exists() else path.parent
    # An ordinary user's own answer; root's is always yes, and says nothing of who should own the file.
    return os.geteuid() != 0 and os.access(place, os.W_OK)
