"""Tasks of every kind: what `to_json` gives is read back, and noise raises nothing but task errors."""

import contextlib
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from elevate import canonical
from elevate.errors import TaskError
from elevate.model import InspectedTask
from elevate.tasks import KINDS, MAX_TIME_LIMIT_SECONDS, Task

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = TEXT.filter(bool)
ARGV = st.builds(lambda first, rest: [first, *rest], WORDS, st.lists(TEXT, max_size=4))
ENV = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), TEXT, max_size=4)
PAYLOADS = st.one_of(st.none(), st.binary(max_size=20))
SECONDS = st.integers(1, MAX_TIME_LIMIT_SECONDS)
SERVICES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9@:._-]{0,20}", fullmatch=True)
ACTIONS = st.sampled_from(["start", "stop", "restart", "reload", "enable", "disable"])

RUNS = st.builds(
    lambda argv, cwd, env, stdin, limit: Task.run(argv, cwd=cwd, env=env, stdin=stdin, time_limit_seconds=limit),
    *(ARGV, WORDS, ENV, PAYLOADS, SECONDS),
)
TASKS = st.one_of(
    RUNS,
    st.builds(lambda path, cwd: Task.install(path, cwd=cwd), WORDS, WORDS),
    st.builds(Task.service, SERVICES, ACTIONS),
    st.builds(
        lambda path, content, mode, cwd: Task.write(path, content, mode=mode, cwd=cwd),
        *(WORDS, st.binary(max_size=20), st.integers(0, 0o777), WORDS),
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(categories=None), max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
PARAMETERS = st.sampled_from(sorted({name for kind in KINDS.values() for name in kind.params}))


def _inspected(task: Task) -> InspectedTask:
    return InspectedTask(task=replace(task, payload=None), argv=(), cwd="/")


@given(TASKS)
def test_round_trip(task: Task) -> None:
    """Over canonical bytes, as a message carries it, the task comes back whole."""
    data = canonical.encode(task.to_json())
    members = canonical.decode(data, max_bytes=65_536)
    assert isinstance(members, dict)
    assert Task.parse(members["kind"], members["params"], payload=task.payload) == task


@given(TASKS, TASKS)
def test_two_tasks_two_digests(one: Task, other: Task) -> None:
    """Tasks that differ in more than their bytes beside them have different digests."""
    assume(replace(one, payload=None) != replace(other, payload=None))
    assert _inspected(one).digest != _inspected(other).digest


@given(RUNS, RUNS)
def test_two_commands_two_displays(one: Task, other: Task) -> None:
    """Two commands never look the same."""
    assert (one.display() == other.display()) is (one["argv"] == other["argv"])


@given(TASKS)
def test_display_is_one_line(task: Task) -> None:
    """Whatever it holds, its display has one line and no control character."""
    assert task.display().splitlines() == [task.display()]
    assert "\x1b" not in task.display()


@given(
    st.one_of(st.sampled_from(sorted(KINDS)), JSON), st.one_of(JSON, st.dictionaries(PARAMETERS, JSON, max_size=4)), PAYLOADS
)
def test_noise_raises_nothing_but_task_errors(kind: object, params: object, payload: bytes | None) -> None:
    """Whatever a message brings: a task whose digest can be taken, or one clear error."""
    with contextlib.suppress(TaskError):
        task = Task.parse(kind, params, payload=payload)
        assert canonical.digest(task.to_json())
