"""Attacks on what is written after it was looked at: nothing comes of a request before it is in the log."""

import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Queue

import pytest

from elevate.audit import parse
from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.broker.elevation import elevate as tell
from elevate.broker.journal import Journal
from elevate.canonical import Json
from elevate.errors import CancelledError, CommandNotFoundError, ElevateError, StoreUnwritableError
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.ports import Assertion, Cancel, Draft, Prompter, Record, Step, Stepped, Store
from elevate.store import MemoryStore
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.ledgers import row

SECONDS = 20
TRUE, NOWHERE = Task.run(["true"]), Task.run(["/nowhere"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state") as one:
        yield one


@dataclass
class _Slow:
    """A store whose disk takes its time for the request itself, and then writes it, or is full; it notes its commits."""

    inner: Store
    full: bool = False
    awaited: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    commits: list[list[State]] = field(default_factory=list)

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        self.awaited.set()
        assert self.go.wait(SECONDS)
        if self.full:
            raise StoreUnwritableError("the disk is full")
        self.commits.append([State.REQUESTED, *(step.after for step in then)])
        return self.inner.open_request(record, entry, *then)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


@dataclass
class _Watched:
    """A prompter that says when somebody is asked."""

    inner: Prompter
    shown: threading.Event

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        self.shown.set()
        return self.inner.ask(view, user, challenge, cancel=cancel)


@dataclass
class _Scene:
    """One request that is asked in a thread of its own, over a slow store."""

    broker: Broker
    store: _Slow
    shown: threading.Event = field(default_factory=threading.Event)
    heard: list[State] = field(default_factory=list)

    def ask(self, task: Task) -> None:
        parts = replace(self.broker.parts, store=self.store)  # type: ignore[arg-type]
        terms = Terms(
            prompter=lambda: _Watched(self.broker.prompter(None), self.shown),
            cancel=Cancellation(),
            listener=lambda _request, state: self.heard.append(state),
        )
        ask = Ask(task=task, requester=self.broker.requester(read_process(os.getpid())))
        with tell(parts, ask, terms):
            pass


def _mounted(scene: _Scene, task: Task) -> tuple[ElevateError | None, bool]:
    """Ask, and let the disk go on when all else has come as far as it can; give the answer, and if anything came early."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(scene.ask, task)
        assert scene.store.awaited.wait(SECONDS)
        early = asked.done() or scene.shown.is_set() or bool(scene.heard)
        scene.store.go.set()
        error = asked.exception(SECONDS)
    assert error is None or isinstance(error, ElevateError)
    return error, early


def test_41_nobody_is_asked_before_the_request_is_in_the_log(broker: Broker) -> None:
    """A slow disk: no prompt, and no word to the caller, until the row is durable."""
    scene = _Scene(broker, _Slow(broker.parts.store))
    assert _mounted(scene, TRUE) == (None, False)
    assert scene.shown.is_set()
    assert scene.heard[:3] == [State.REQUESTED, State.PROMPTING, State.ISSUED]
    assert scene.store.commits == [[State.REQUESTED, State.PROMPTING]]


def test_41_no_refusal_is_answered_before_the_request_is_in_the_log(broker: Broker) -> None:
    """What the machine has not is found out at once, and answered when it is recorded."""
    scene = _Scene(broker, _Slow(broker.parts.store))
    error, early = _mounted(scene, NOWHERE)
    assert (type(error), early) == (CommandNotFoundError, False)
    assert scene.heard == [State.REQUESTED, State.FAILED]
    assert scene.store.commits == [[State.REQUESTED, State.FAILED]]


@pytest.mark.parametrize("task", [TRUE, NOWHERE], ids=["allowed", "refused"])
def test_41_nothing_comes_of_a_request_that_can_not_be_written(broker: Broker, task: Task) -> None:
    """A full disk: one answer, whatever was asked, no prompt, and nothing that follows in the log."""
    before = broker.parts.store.head()
    scene = _Scene(broker, _Slow(broker.parts.store, full=True))
    error, _ = _mounted(scene, task)
    assert isinstance(error, StoreUnwritableError)
    assert (scene.shown.is_set(), scene.heard, broker.parts.store.head()) == (False, [], before)


class _BrokenOff(MemoryStore):
    """A store whose first writer is broken off by a signal, before anything is written or right after."""

    written = False
    broke = False

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        first, self.broke = not self.broke, True
        if first and not self.written:
            raise KeyboardInterrupt
        stepped = super().open_request(record, entry, *then)
        if first:
            raise KeyboardInterrupt
        return stepped


@pytest.mark.parametrize("written", [False, True])
def test_41_a_request_that_a_signal_breaks_off_while_it_is_written_ends(*, written: bool) -> None:
    """Ctrl-C comes before or after the commit: the end of the request follows on what is there."""
    store = _BrokenOff(entropy=SeededEntropy())
    store.written = written
    journal = Journal(store, ManualClock(), row("r1"), lambda _request, _state: None)
    journal.open({})
    with pytest.raises(KeyboardInterrupt):
        journal.to(State.PROMPTING)
    journal.fail(CancelledError("interrupted"))
    found = store.record("r1")
    assert found is not None
    assert found.state is State.CANCELLED
    events = [parse(data).event for data in store.entries_of("r1")]
    assert events == ["requested", *["prompting"] * written, "cancelled"]


def test_41_what_waits_for_its_turn_is_in_the_log_and_can_be_cancelled(broker: Broker) -> None:
    """Another prompt of the person is open: the request is written and told before its turn comes."""
    requester = broker.requester(read_process(os.getpid()))
    told: Queue[str] = Queue()
    terms = Terms(
        prompter=lambda: broker.prompter(None), cancel=Cancellation(), listener=lambda request, _state: told.put(request)
    )
    with ThreadPoolExecutor(1) as pool, broker.parts.turns.take(requester.user, Cancellation()):
        asked = pool.submit(broker.request, Ask(task=TRUE, requester=requester), terms)
        request = told.get(timeout=SECONDS)
        row = broker.parts.store.record(request)
        broker.cancel(request, requester)
        assert isinstance(asked.exception(SECONDS), CancelledError)
    assert row is not None
    assert row.state is State.REQUESTED
