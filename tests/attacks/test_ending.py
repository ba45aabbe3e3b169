"""Row 41 on a task's last entries: that it runs stands in the log within a moment, or with its end; else it does not go on."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import parse
from elevate.broker import Ask, AtOnce, Broker, Cancellation, Grant, Terms
from elevate.errors import HostError, StoreUnwritableError
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.model import Ended
from elevate.ports import Running, Step, Stepped, Store
from elevate.tasks import Task

SECONDS = 20
_TRUE = Task.run(["true"])


@dataclass
class _Watched:
    """A store that notes which steps were one commit, and says when a task is in it as running; full for some states."""

    inner: Store
    full: State | None = None
    commits: list[tuple[State, ...]] = field(default_factory=list)
    runs: threading.Event = field(default_factory=threading.Event)

    def step(self, *steps: Step) -> Stepped:
        after = tuple(one.after for one in steps)
        if self.full in after:
            raise StoreUnwritableError("the disk is full")
        stepped = self.inner.step(*steps)
        self.commits.append(after)
        if State.RUNNING in after:
            self.runs.set()
        return stepped

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@dataclass
class _Scene:
    broker: Broker
    store: _Watched

    def grant(self, task: Task) -> Grant:
        me = self.broker.requester(read_process(os.getpid()))
        use = AtOnce(redeem_id="ab" * 16, presenter=lambda: me.process)
        terms = Terms(prompter=lambda: self.broker.prompter(None), cancel=Cancellation())
        return self.broker.request(Ask(task=task, requester=me, at_once=use), terms)

    def events(self, grant: Grant) -> list[str]:
        return [parse(data).event for data in self.store.inner.entries_of(grant.request)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[_Scene]:
    with Broker.embedded(tmp_path / "state") as broker:
        store = _Watched(broker.parts.store)
        broker.parts = replace(broker.parts, store=store)  # type: ignore[arg-type]
        yield _Scene(broker, store)


@contextmanager
def piped(running: Running) -> Iterator[Running]:
    try:
        yield running
    finally:
        os.close(running.stdout)
        os.close(running.stderr)


def over(running: Any) -> None:  # noqa: ANN401 - a running task of this host can be looked out for
    assert select.select([running.fileno()], [], [], SECONDS)[0]


def test_41_what_has_ended_at_once_is_written_in_one_commit(scene: _Scene) -> None:
    """That it ran comes before how it ended, and both are there before anybody is answered."""
    grant = scene.grant(_TRUE)
    with piped(grant.go()) as running:
        over(running)
        assert grant.finish(running).exit_status == 0
    assert scene.store.commits[-1] == (State.RUNNING, State.DESTROYED)
    assert scene.events(grant)[-3:] == ["redeemed", "running", "destroyed"]


def test_41_what_goes_on_is_in_the_log_while_it_runs(scene: _Scene, tmp_path: Path) -> None:
    """It is written a moment after the start, whatever the task does."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    grant = scene.grant(Task.run(["/bin/sh", "-c", f"read line < {gate}"]))
    with piped(grant.go()) as running, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(grant.finish, running)
        assert scene.store.runs.wait(SECONDS)
        assert scene.events(grant)[-1] == "running"
        gate.write_text("go\n")
        assert ended.result(SECONDS).exit_status == 0
    assert scene.store.commits[-2:] == [(State.RUNNING,), (State.DESTROYED,)]


def test_41_what_can_not_be_recorded_as_running_does_not_go_on(scene: _Scene, tmp_path: Path) -> None:
    """The task is killed, its end is unknown, and whoever asks again hears the same."""
    marker = tmp_path / "marker"
    scene.store.full = State.RUNNING
    grant = scene.grant(Task.run(["/bin/sh", "-c", f"sleep 60; touch {marker}"]))
    with piped(grant.go()) as running:
        for _ in range(2):
            with pytest.raises(StoreUnwritableError):
                grant.finish(running)
    assert not marker.exists()
    assert scene.events(grant)[-2:] == ["redeemed", "outcome-unknown"]


def test_41_what_can_be_written_neither_then_nor_afterwards_is_said_by_the_next_start(scene: _Scene) -> None:
    """A task that has ended before: its end can't be written, which is what its caller hears."""
    scene.store.full = State.RUNNING
    grant = scene.grant(_TRUE)
    with piped(grant.go()) as running:
        over(running)
        with pytest.raises(StoreUnwritableError):
            grant.finish(running)
    (row,) = scene.store.inner.unfinished()
    assert row.state is State.REDEEMED


@dataclass
class _Lost:
    """A running task of which nobody can say how it ended."""

    inner: Any

    def wait(self) -> Ended:
        self.inner.wait()
        raise HostError("nobody knows")

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@dataclass
class _Losing:
    """A host that starts such tasks."""

    inner: Any

    def start(self, *args: object, **keywords: object) -> _Lost:
        return _Lost(self.inner.start(*args, **keywords))

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@pytest.mark.parametrize("ready", [over, lambda _running: None], ids=["ended", "running"])
def test_41_an_end_that_is_unknown_comes_after_the_start(scene: _Scene, ready: Callable[[Running], None]) -> None:
    """Whether the task was in the log as running by then or not."""
    scene.broker.parts = replace(scene.broker.parts, host=_Losing(scene.broker.parts.host))  # type: ignore[arg-type]
    grant = scene.grant(_TRUE)
    with piped(grant.go()) as running:
        ready(running)
        with pytest.raises(HostError):
            grant.finish(running)
    assert scene.events(grant)[-3:] == ["redeemed", "running", "outcome-unknown"]
