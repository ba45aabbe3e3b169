"""Several tasks as they cross the socket: kinds and parameters in the message, all their input in one descriptor beside it.

A step with an input says how many bytes of the descriptor are its own; they lie there one after the other, and nothing else
does. So the message keeps its bound, and what is long is read by nobody but the step it is for.
"""

from collections.abc import Mapping

from elevate.canonical import Json
from elevate.errors import TaskInvalidError
from elevate.kinds import KINDS, KindSpec
from elevate.tasks import MAX_STEPS, MAX_STEPS_INPUT_BYTES, STEPS, Task

_MEMBERS = frozenset({"kind", "params", "steps", "undo"})
_STEP = frozenset({"kind", "params", "input_bytes"})


def to_json(task: Task) -> dict[str, Json]:
    """Give a task as `parse` reads it; its input travels beside it."""
    if not task.steps:
        return task.to_json()
    steps: list[Json] = [
        step.to_json() | ({"input_bytes": len(step.payload)} if step.payload is not None else {}) for step in task.steps
    ]
    return {**task.to_json(), "steps": steps, "undo": task.undo}


def input_of(task: Task) -> bytes | None:
    """Give what travels beside a task; None where nothing does."""
    if not task.steps:
        return task.payload
    inputs = [step.payload for step in task.steps if step.payload is not None]
    return b"".join(inputs) if inputs else None


def parse(given: Mapping[str, Json], beside: bytes, kinds: Mapping[str, KindSpec] = KINDS) -> Task:
    """Read several tasks that came as JSON.

    Args:
        given: What `to_json` gives.
        beside: What `input_of` gives; empty where nothing came.
        kinds: The machine's own, beside those that every machine has.

    Raises:
        TaskInvalidError: Not several tasks, or the bytes beside are not theirs, to the last.
        TaskKindUnknownError: A step is of no kind.
    """
    steps, undo = given.get("steps"), given.get("undo", 0)
    if given.keys() - _MEMBERS or given.get("kind") != STEPS or given.get("params") != {} or type(undo) is not int:
        raise TaskInvalidError("several tasks are a list of steps, and how many of the last ones undo")
    if not isinstance(steps, list) or len(steps) > MAX_STEPS or len(beside) > MAX_STEPS_INPUT_BYTES:
        raise TaskInvalidError(f"the steps are a list of at most {MAX_STEPS}, with {MAX_STEPS_INPUT_BYTES} bytes of input")
    sizes = [_size(step) for step in steps]
    if sum(size or 0 for size in sizes) != len(beside):
        raise TaskInvalidError("the input of the steps is not as long as they say")
    found, place = [], 0
    for step, size in zip(steps, sizes, strict=True):
        found.append(_step(step, None if size is None else beside[place : place + size], kinds))
        place += size or 0
    return Task(kind=STEPS, params=(), steps=tuple(found), undo=undo)


def _size(step: Json) -> int | None:
    size = step.get("input_bytes") if isinstance(step, dict) else -1
    if size is not None and (type(size) is not int or not 0 <= size <= MAX_STEPS_INPUT_BYTES):
        raise TaskInvalidError("a step is a kind, its parameters, and the size of its input")
    return size


def _step(step: Json, payload: bytes | None, kinds: Mapping[str, KindSpec]) -> Task:
    if not isinstance(step, dict) or step.keys() - _STEP or step.get("kind") == STEPS:
        raise TaskInvalidError("a step is a kind, its parameters, and the size of its input")
    return Task.parse(step.get("kind"), step.get("params"), payload=payload, kinds=kinds)
