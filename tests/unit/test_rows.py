"""Several tasks as they cross the socket: whole, or refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate import rows
from elevate.errors import TaskError, TaskInvalidError
from elevate.tasks import MAX_STEPS_INPUT_BYTES, Task

INPUTS = st.none() | st.binary(max_size=5)
ROWS = st.lists(INPUTS, min_size=1, max_size=5)


def row(inputs: list[bytes | None], undo: int) -> Task:
    steps = [Task.run(["cat", str(number)], stdin=one, env={"A": "b"}) for number, one in enumerate(inputs)]
    return Task.in_order(steps[: len(steps) - undo], undo=steps[len(steps) - undo :])


@given(inputs=ROWS, undo=st.integers(0, 4))
def test_what_goes_over_comes_back(inputs: list[bytes | None], undo: int) -> None:
    """Every step with its own input, an empty one too, and none with another's."""
    task = row(inputs, min(undo, len(inputs) - 1))
    assert rows.parse(rows.to_json(task), rows.input_of(task) or b"") == task


@given(inputs=ROWS, more=st.binary(min_size=1, max_size=3))
def test_input_that_is_no_steps_own_is_refused(inputs: list[bytes | None], more: bytes) -> None:
    """Too long or too short by a byte: nothing is left over that nobody was shown."""
    task = row(inputs, 0)
    beside = rows.input_of(task) or b""
    with pytest.raises(TaskInvalidError, match="not as long as they say"):
        rows.parse(rows.to_json(task), beside + more)
    if beside:
        with pytest.raises(TaskInvalidError, match="not as long as they say"):
            rows.parse(rows.to_json(task), beside[:-1])


@pytest.mark.parametrize("size", [-1, True, "1", 1.5, MAX_STEPS_INPUT_BYTES + 1])
def test_a_size_that_is_none(size: object) -> None:
    task: Any = rows.to_json(row([b"a"], 0))
    task["steps"][0]["input_bytes"] = size
    with pytest.raises(TaskInvalidError):
        rows.parse(task, b"a")


@pytest.mark.parametrize(
    "change",
    [
        {"undo": True},
        {"undo": "1"},
        {"undo": 1},
        {"undo": -1},
        {"steps": {}},
        {"steps": [{"kind": "process.run", "params": {"argv": ["id"], "cwd": "/"}, "x": 1}]},
        {"steps": None},
        {"params": None},
        {"kind": "x"},
        {"y": 1},
    ],
)
def test_what_is_no_row(change: dict[str, Any]) -> None:
    with pytest.raises(TaskError):
        rows.parse(rows.to_json(row([None], 0)) | change, b"")


def test_a_task_that_is_one_is_as_before() -> None:
    task = Task.run(["cat"], stdin=b"x")
    assert rows.to_json(task) == task.to_json()
    assert rows.input_of(task) == b"x"
    assert rows.input_of(Task.run(["id"])) is None
