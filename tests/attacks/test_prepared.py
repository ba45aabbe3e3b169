"""Rows 13, 41, 47 and 48 on what a host makes ready before a token is used: it is used by the one start, or it is given up."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from elevate.broker import Ask, Broker, Cancellation, Grant, Terms
from elevate.errors import (
    CancelledError,
    ElevateError,
    HostError,
    PolicyChangedError,
    StoreUnwritableError,
    TokenError,
    TokenExpiredError,
)
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.ports import Host, Running, Step, Stepped
from elevate.tasks import Task
from elevate.testing import ManualClock

TRUE = Task.run(["true"])
NAME = "ab" * 16


@dataclass
class Ready:
    """What was made ahead."""

    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Preparing:
    """The broker's host, which here makes something ahead, and says when it starts a task."""

    host: Host
    broker: Broker
    made: list[Ready] = field(default_factory=list)
    began: list[tuple[object, bool, State]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    error: Exception | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self.host, name)

    def prepare(self, *_: object, **__: object) -> Ready:
        self.made.append(Ready())
        self.meanwhile()
        return self.made[-1]

    def start(self, *args: object, ahead: Ready | None = None, **keywords: object) -> Running:
        states = {record.state for record in self.broker.parts.store.unfinished()}
        self.began.append((ahead, ahead is not None and ahead.closed, states.pop()))
        if self.error is not None:
            raise self.error
        return self.host.start(*args, **keywords)  # type: ignore[arg-type]


@dataclass
class Scene:
    """A broker with such a host, and one grant of its own."""

    broker: Broker
    clock: ManualClock
    host: Preparing

    def grant(self, *, at_once: bool = True) -> Grant:
        terms = Terms(prompter=lambda: self.broker.prompter(None), cancel=Cancellation())
        me = self.broker.requester(read_process(os.getpid()))
        return self.broker.request(Ask(task=TRUE, requester=me, at_once=at_once), terms)

    def change_policy(self) -> None:
        path = self.broker.home.policy / "another.toml"
        path.write_text('format = 1\n[[rule]]\nid = "x"\neffect = "deny"\ntask = { kind = "service.control", service = "x" }\n')
        path.chmod(0o600)
        self.broker.reload_policy()

    def before(self, grant: Grant, state: State, act: Callable[[], object]) -> None:
        """Let something happen right before a state is written."""
        store = self.broker.parts.store

        def step(one: Step) -> Stepped:
            if one.after is state:
                act()
            return store.step(one)

        grant.journal._store = _Stepping(store, step)  # type: ignore[assignment]

    def given_up(self) -> bool:
        return [one.closed for one in self.host.made] == [True] and not any(
            used is not None for used, *_ in self.host.began if self.host.error is None
        )


@dataclass
class _Stepping:
    store: object
    step: Callable[[Step], Stepped]

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = ManualClock()
    with Broker.embedded(tmp_path / "state", clock=clock) as broker:
        host = Preparing(broker.parts.host, broker)
        broker.parts = replace(broker.parts, host=host)  # type: ignore[arg-type]
        yield Scene(broker, clock, host)


def start(grant: Grant) -> Running:
    return grant.start(NAME, grant.agreement.requester.process)


@pytest.mark.parametrize("at_once", [True, False])
def test_47_what_was_made_ahead_is_used_once_the_redemption_is_written(scene: Scene, *, at_once: bool) -> None:
    """Made at the issue for whoever starts at once, else while the token is taken; used by the one start, and by no other."""
    grant = scene.grant(at_once=at_once)
    assert len(scene.host.made) == at_once
    running = start(grant)
    (made,) = scene.host.made
    assert scene.host.began == [(made, False, State.REDEEMED)]
    grant.finish(running)
    os.close(running.stdout)
    os.close(running.stderr)
    with pytest.raises(TokenError):
        start(grant)
    assert (len(scene.host.made), len(scene.host.began)) == (1, 1)


def _fail() -> None:
    raise StoreUnwritableError("the disk is full")


def _expired(scene: Scene, grant: Grant) -> None:
    scene.clock.advance(121)
    with pytest.raises(TokenExpiredError):
        start(grant)


def _policy_changed(scene: Scene, grant: Grant) -> None:
    scene.change_policy()
    with pytest.raises(PolicyChangedError):
        start(grant)


def _policy_changed_late(scene: Scene, grant: Grant) -> None:
    scene.before(grant, State.REDEEMED, scene.change_policy)
    with pytest.raises(PolicyChangedError):
        start(grant)


def _unwritable(scene: Scene, grant: Grant) -> None:
    scene.before(grant, State.REDEEMED, _fail)
    with pytest.raises(StoreUnwritableError):
        start(grant)


def _revoked(scene: Scene, grant: Grant) -> None:
    scene.broker.revoke(grant.claims.jti, grant.agreement.requester)
    with pytest.raises(TokenError):
        start(grant)


def _stolen(_scene: Scene, grant: Grant) -> None:
    with pytest.raises(TokenError):
        grant.start(NAME, replace(grant.agreement.requester.process, pid=1))


def _cancelled(scene: Scene, grant: Grant) -> None:
    scene.broker.cancel(grant.request, grant.agreement.requester)


def _left(_scene: Scene, grant: Grant) -> None:
    grant.release()


def _closed(scene: Scene, _grant: Grant) -> None:
    scene.broker.close()


def _unstartable(scene: Scene, grant: Grant) -> None:
    scene.host.error = HostError("no")
    with pytest.raises(HostError):
        start(grant)


@pytest.mark.parametrize(
    "end",
    [
        *(_expired, _policy_changed, _policy_changed_late, _unwritable, _revoked, _stolen),
        *(_cancelled, _left, _closed, _unstartable),
    ],
)
def test_47_what_was_made_ahead_is_given_up_however_a_grant_ends(scene: Scene, end: Callable[[Scene, Grant], None]) -> None:
    """A token that is refused, too old, taken back, or whose start fails leaves nothing waiting."""
    end(scene, scene.grant())
    assert scene.given_up()


@pytest.mark.parametrize("end", [_expired, _stolen])
def test_36_a_token_that_is_not_good_makes_nothing_ahead(scene: Scene, end: Callable[[Scene, Grant], None]) -> None:
    """Whoever presents in vain costs the machine nothing."""
    end(scene, scene.grant(at_once=False))
    assert scene.host.made == []


def _not_won(stepped: Stepped) -> Stepped:
    return replace(stepped, won=False)


def _unwritten(_stepped: Stepped) -> Stepped:
    raise StoreUnwritableError("the disk is full")


@pytest.mark.parametrize(("outcome", "error"), [(_not_won, CancelledError), (_unwritten, StoreUnwritableError)])
def test_41_what_was_made_ahead_is_given_up_where_the_issue_fails(
    scene: Scene, outcome: Callable[[Stepped], Stepped], error: type[ElevateError]
) -> None:
    """No log, no right: nothing is issued, so nothing waits."""
    store = scene.broker.parts.store

    def step(one: Step) -> Stepped:
        stepped = store.step(one)
        return outcome(stepped) if one.after is State.ISSUED else stepped

    scene.broker.parts = replace(scene.broker.parts, store=_Stepping(store, step))  # type: ignore[arg-type]
    with pytest.raises(error):
        scene.grant()
    scene.broker.parts = replace(scene.broker.parts, store=store)
    assert scene.given_up()


def test_47_a_request_that_is_cancelled_while_its_token_is_issued_starts_nothing(scene: Scene) -> None:
    """Whoever cancelled was told that it is done; the caller gets no grant that would run all the same."""
    me = scene.broker.requester(read_process(os.getpid()))

    def cancel() -> None:
        (asked,) = scene.broker.parts.store.unfinished()
        scene.broker.cancel(asked.request, me)

    scene.host.meanwhile = cancel
    with pytest.raises(CancelledError):
        scene.grant()
    assert (scene.given_up(), list(scene.broker.parts.store.unfinished())) == (True, [])


def test_47_a_grant_that_is_cancelled_while_it_is_redeemed_starts_nothing(scene: Scene) -> None:
    """The token is used up; not one instruction of the task runs."""
    grant = scene.grant()
    scene.before(grant, State.REDEEMED, grant.cancel)
    with pytest.raises(CancelledError):
        start(grant)
    assert (scene.given_up(), scene.host.began, grant.journal.record.state) == (True, [], State.DESTROYED)


def test_48_what_can_not_be_made_ahead_is_told_by_the_start(scene: Scene) -> None:
    """An error before the issue changes nothing: the host is asked again, after the redemption."""

    def fail() -> None:
        raise HostError("no")

    scene.host.meanwhile = fail
    running = start(scene.grant())
    assert [used for used, *_ in scene.host.began] == [None]
    running.wait()
    os.close(running.stdout)
    os.close(running.stderr)
