"""Rows 13, 41, 47 and 48 on the story: whatever breaks, and whenever, every request ends once and every token ends once."""

import os
import select
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import parse
from elevate.broker import Ask, Broker, Cancellation, Grant, Terms
from elevate.errors import (
    ElevateError,
    HostError,
    NotStartedError,
    PolicyChangedError,
    StartUnknownError,
    StoreUnwritableError,
    TokenSpentError,
)
from elevate.host.processes import read_process
from elevate.lifecycle import APPROVED, ENDS_TOKEN, NOT_APPROVED, State
from elevate.model import Ended
from elevate.ports import Host, Running, Step, Stepped, Store
from elevate.store.reader import LedgerReader
from elevate.tasks import Task
from elevate.testing import ManualClock

TRUE = Task.run(["true"])
SLEEP = Task.run(["sleep", "60"])
NAME = "ab" * 16


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state", clock=clock) as one:
        yield one


def events(broker: Broker, request: str) -> list[str]:
    return [parse(entry).event for entry in broker.parts.store.entries_of(request)]


def ends_once(told: list[str]) -> bool:
    """Check: one authorisation outcome, and one end of the token where there was one."""
    outcomes = sum(event in APPROVED | NOT_APPROVED for event in told)
    return (outcomes, sum(event in ENDS_TOKEN for event in told)) == (1, int(State.ISSUED in told))


def start(grant: Grant) -> Running:
    return grant.start(NAME, grant.agreement.requester.process)


def let_go(running: Running) -> None:
    os.close(running.stdout)
    os.close(running.stderr)


@dataclass
class _Meddled:
    """A part of the broker, with one method changed."""

    inner_part: object
    changed_name: str
    changed: Callable[..., object]

    def __getattr__(self, name: str) -> object:
        return self.changed if name == self.changed_name else getattr(self.inner_part, name)


def with_host(grant: Grant, method: Callable[..., object]) -> Host:
    """Let a grant start its task by ``method``; give the true host."""
    host = grant.parts.host
    grant.parts = replace(grant.parts, host=_Meddled(host, "start", method))  # type: ignore[arg-type]
    return host


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), RuntimeError("can't start new thread"), StartUnknownError("no answer")]
)
def test_47_a_start_that_fails_in_any_way_ends_the_token(broker: Broker, error: Exception) -> None:
    """No error of the machine leaves a token redeemed for ever, nor its descriptors, nor its place among the open ones."""

    def broken(*_: object, **__: object) -> object:
        raise error

    grant = broker.elevate(TRUE)
    with_host(grant, broken)
    with pytest.raises(HostError):
        start(grant)
    assert events(broker, grant.request)[-2:] == ["redeemed", "outcome-unknown"]
    assert grant.inspection.closed  # type: ignore[attr-defined]
    assert broker.status()["open_requests"] == 0
    with pytest.raises(TokenSpentError):
        start(grant)


def test_47_a_task_whose_process_was_killed_before_it_executed_is_known_not_to_have_run(broker: Broker) -> None:
    """Whoever has its user can do that. The token is used up all the same, and the log says why nothing ran."""

    def killed(*_: object, **__: object) -> object:
        raise NotStartedError("its process was ended")

    grant = broker.elevate(TRUE)
    with_host(grant, killed)
    with pytest.raises(NotStartedError):
        start(grant)
    last = parse(broker.parts.store.entries_of(grant.request)[-1])
    assert (last.event, last.body["reason"]) == ("destroyed", {"code": "not-started"})
    with pytest.raises(TokenSpentError):
        start(grant)


@pytest.mark.parametrize("awaited", [True, False])
def test_47_that_it_did_not_run_may_be_seen_at_its_end_only(broker: Broker, *, awaited: bool) -> None:
    """The log says then that nothing ran, and not that nobody knows; asked again it is the same."""
    grant = broker.elevate(TRUE)
    running: Any = grant.start(NAME, grant.agreement.requester.process, awaited=awaited)
    assert select.select([running], [], [], 20)[0]
    running.wait()

    def never() -> Ended:
        raise NotStartedError("its process was ended")

    running.wait = never
    for _ in range(2):
        with pytest.raises(NotStartedError):
            grant.finish(running)
    last = parse(broker.parts.store.entries_of(grant.request)[-1])
    assert (last.event, last.body["reason"]) == ("destroyed", {"code": "not-started"})
    assert ("running" in events(broker, grant.request)) is not awaited
    assert broker.status()["open_requests"] == 0
    let_go(running)


def test_47_a_second_start_leaves_the_first_alone(broker: Broker) -> None:
    """The same name asked again while the task runs starts nothing and ends nothing."""
    grant = broker.elevate(Task.run(["/bin/sh", "-c", "sleep 0.3; exit 5"]))
    running = start(grant)
    with pytest.raises(TokenSpentError):
        start(grant)
    assert grant.finish(running).exit_status == 5
    let_go(running)


def test_a_task_is_finished_once(broker: Broker) -> None:
    """Two threads that wait for one task get the same outcome, and the log has one end."""
    grant = broker.elevate(TRUE)
    running = start(grant)
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(grant.finish(running).receipt)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 4
    assert ends_once(events(broker, grant.request))
    let_go(running)


def test_a_task_that_runs_when_the_broker_closes_is_ended_and_said_to_be(tmp_path: Path) -> None:
    """Nothing goes on, and the log has the end, not the next start."""
    broker = Broker.embedded(tmp_path / "state")
    grant = broker.elevate(SLEEP)
    running = start(grant)
    unused = broker.elevate(TRUE)
    broker.close()
    let_go(running)
    with LedgerReader(tmp_path / "state" / "ledger.sqlite") as log:
        for request, end in ((grant.request, "destroyed"), (unused.request, "revoked")):
            told = [entry.event for entry in map(parse, log.entries()) if entry.request == request]
            assert told[-1] == end
            assert ends_once(told)
        assert parse(list(log.entries())[-1]).event == "broker-stopped"


def test_a_task_cancelled_while_it_is_being_started_ends(broker: Broker) -> None:
    """The moment between redemption and start is none in which a cancellation is lost."""
    grant = broker.elevate(SLEEP)

    def cancelled_before(*args: object, **keywords: object) -> object:
        grant.cancel()
        return host.start(*args, **keywords)  # type: ignore[arg-type]

    host = with_host(grant, cancelled_before)
    running = start(grant)
    assert grant.finish(running).signal == 15
    let_go(running)


def _add_rule(broker: Broker, name: str = "another") -> None:
    text = f'format = 1\n[[rule]]\nid = "{name}"\neffect = "deny"\ntask = {{ kind = "service.control", service = "{name}" }}\n'
    path = broker.home.policy / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o600)


def test_48_a_policy_that_comes_between_check_and_redemption_stops_the_start(broker: Broker) -> None:
    """The token is spent by then: it is burnt, and nothing runs."""
    grant = broker.elevate(TRUE)
    store = broker.parts.store

    def reload_first(step: Step) -> Stepped:
        if step.after is State.REDEEMED:
            _add_rule(broker)
            broker.reload_policy()
        return store.step(step)

    grant.journal._store = _Meddled(store, "step", reload_first)  # type: ignore[assignment]
    with pytest.raises(PolicyChangedError):
        start(grant)
    told = events(broker, grant.request)
    assert told[-2:] == ["redeemed", "destroyed"]


def test_43_an_older_policy_never_replaces_a_newer_one(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two reloads at once: whoever has read first also takes first."""
    read, reading, go = broker.parts.policy.read, threading.Event(), threading.Event()

    def slow() -> object:
        policy = read()
        if not reading.is_set():
            reading.set()
            go.wait(20)
        return policy

    monkeypatch.setattr(broker.parts.policy, "read", slow)  # the first of two reads takes long
    first = threading.Thread(target=broker.reload_policy)
    first.start()
    assert reading.wait(20)
    _add_rule(broker)
    second = threading.Thread(target=broker.reload_policy)
    second.start()
    second.join(0.3)
    go.set()
    first.join()
    second.join()
    assert broker.parts.policy.current.digest == read().digest


@dataclass
class _Breaking:
    broker: Broker
    error: BaseException

    def ask(self, *_: object, **__: object) -> object:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupted_prompt_ends_its_request(broker: Broker, error: BaseException) -> None:
    """Ctrl-C in a program that has the broker in itself."""
    seen: list[str] = []
    terms = Terms(
        prompter=lambda: _Breaking(broker, error),  # type: ignore[arg-type, return-value]
        cancel=Cancellation(),
        listener=lambda request, _state: seen.append(request),
    )
    with pytest.raises(type(error)):
        broker.request(Ask(task=TRUE, requester=broker.requester(read_process(os.getpid()))), terms)
    assert events(broker, seen[0]) == ["requested", "prompting", "cancelled"]


def test_who_listens_can_not_change_the_story(broker: Broker) -> None:
    """A listener that fails at every step is no reason to grant less, more, or to leave anything open."""

    def failing(_request: str, state: State) -> None:
        raise RuntimeError(state)

    terms = Terms(prompter=lambda: broker.prompter(None), cancel=Cancellation(), listener=failing)
    grant = broker.request(Ask(task=TRUE, requester=broker.requester(read_process(os.getpid()))), terms)
    assert grant.run(capture=True).exit_status == 0
    assert ends_once(events(broker, grant.request))


def test_49_tokens_that_nobody_used_make_room(broker: Broker, clock: ManualClock) -> None:
    """Sixteen that lie about keep their user from asking until they expire, and then each is ended."""
    lying = [broker.elevate(TRUE) for _ in range(16)]
    with pytest.raises(ElevateError, match="open already"):
        broker.elevate(TRUE)
    clock.advance(121)
    broker.elevate(TRUE).release()
    assert {events(broker, grant.request)[-1] for grant in lying} == {"expired"}
    assert all(grant.inspection.closed for grant in lying)  # type: ignore[attr-defined]


def test_an_elevation_leaves_nothing_open(broker: Broker) -> None:
    """No descriptor in the process that has the broker in itself, and no request among the open ones."""

    def once() -> int:
        broker.elevate(TRUE).run(capture=True)
        assert broker.status()["open_requests"] == 0
        return len(list(Path("/proc/self/fd").iterdir()))

    once()
    before = once()
    assert [once() for _ in range(5)][-1] <= before


def test_41_a_task_can_not_keep_its_end_out_of_the_log_by_what_it_writes(broker: Broker) -> None:
    """Names of control characters take six times their length in an entry."""
    script = "n=$(printf '\\001%.0s' $(seq 200)); for i in $(seq 90); do : > \"$HOME/$n$i\"; done"
    grant = broker.elevate(Task.run(["/bin/sh", "-c", script]))
    outcome = grant.run(capture=True)
    assert outcome.exit_status == 0
    assert outcome.receipt["written_count"] == 90
    assert ends_once(events(broker, grant.request))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a file system with files beyond 2^53 bytes")
def test_41_a_task_can_not_keep_its_end_out_of_the_log_by_a_sparse_file() -> None:
    """2^60 bytes are no number of canonical JSON."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, Broker.embedded(Path(folder) / "state") as broker:
        grant = broker.elevate(Task.run(["truncate", "-s", str(2**60), "large"], cwd=str(_admin_home(broker))))
        grant.run(capture=True)
        assert ends_once(events(broker, grant.request))


def _admin_home(broker: Broker) -> Path:
    return Path(broker.parts.host.provision(broker.requester(read_process(os.getpid()))).home)


def test_41_on_a_full_disk_the_end_is_written_with_a_short_receipt(broker: Broker) -> None:
    """The room that is kept for ends does not hold a list of everything."""
    grant = broker.elevate(Task.run(["/bin/sh", "-c", 'for i in $(seq 300); do : > "$HOME/$i"; done']))
    store: Store = broker.parts.store

    def nearly_full(step: Step) -> Stepped:
        if len(str(step.fields)) > 10_000:
            raise StoreUnwritableError("the disk is full")
        return store.step(step)

    grant.journal._store = _Meddled(store, "step", nearly_full)  # type: ignore[assignment]
    receipt = grant.run(capture=True).receipt
    assert receipt["written_count"] == 300
    assert ends_once(events(broker, grant.request))
