"""Rows 13, 41, 47 and 48 on what a host makes ready before a token is used: it is used by the one start, or it is given up."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Ask, AtOnce, Broker, Cancellation, Grant, Terms
from elevate.errors import (
    CancelledError,
    ElevateError,
    HostError,
    PolicyChangedError,
    StoreUnwritableError,
    TokenError,
    TokenExpiredError,
    TokenSpentError,
)
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.model import ProcessIdentity
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
    presenter: ProcessIdentity | None = None

    def grant(self, *, at_once: bool) -> Grant:
        """Ask; ``at_once`` is redeemed as it is issued, by this process or by ``presenter``."""
        terms = Terms(prompter=lambda: self.broker.prompter(None), cancel=Cancellation())
        me = self.broker.requester(read_process(os.getpid()))
        use = AtOnce(redeem_id=NAME, presenter=lambda: self.presenter or me.process) if at_once else None
        return self.broker.request(Ask(task=TRUE, requester=me, at_once=use), terms)

    def change_policy(self) -> None:
        path = self.broker.home.policy / "another.toml"
        path.write_text('format = 1\n[[rule]]\nid = "x"\neffect = "deny"\ntask = { kind = "service.control", service = "x" }\n')
        path.chmod(0o600)
        self.broker.reload_policy()

    def before(self, state: State, act: Callable[[], object]) -> None:
        """Let something happen right before a state is written, of requests that are made from now on."""
        store = self.broker.parts.store

        def step(*steps: Step) -> Stepped:
            if any(one.after is state for one in steps):
                act()
            return store.step(*steps)

        self.broker.parts = replace(self.broker.parts, store=_Stepping(store, step))  # type: ignore[arg-type]

    def given_up(self) -> bool:
        return [one.closed for one in self.host.made] == [True] and not any(
            used is not None for used, *_ in self.host.began if self.host.error is None
        )


@dataclass
class _Stepping:
    store: object
    step: Callable[..., Stepped]

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
    return grant.go() if grant.taken else grant.start(NAME, grant.agreement.requester.process)


def events(scene: Scene) -> list[str]:
    return [parse(data).event for data in scene.broker.parts.store.entries()]


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


def _revoked(scene: Scene, grant: Grant) -> None:
    scene.broker.revoke(grant.claims.jti, grant.agreement.requester)
    with pytest.raises(TokenError):
        start(grant)


def _stolen(_scene: Scene, grant: Grant) -> None:
    with pytest.raises(TokenError):
        grant.start(NAME, replace(grant.agreement.requester.process, pid=1))


def _forged(_scene: Scene, grant: Grant) -> None:
    # Not the last ones: a signature's highest bits are mostly zero, and one in sixteen ends so anyway.
    grant.token = grant.token[:-20] + ("B" if grant.token[-20] == "A" else "A") + grant.token[-19:]
    with pytest.raises(TokenError):
        start(grant)


def _cancelled(scene: Scene, grant: Grant) -> None:
    scene.broker.cancel(grant.request, grant.agreement.requester)


def _cancelled_late(_scene: Scene, grant: Grant) -> None:
    grant.cancel()
    with pytest.raises(CancelledError):
        start(grant)


def _left(_scene: Scene, grant: Grant) -> None:
    grant.release()
    grant.release()


def _closed(scene: Scene, _grant: Grant) -> None:
    scene.broker.close()


def _unstartable(scene: Scene, grant: Grant) -> None:
    scene.host.error = HostError("no")
    with pytest.raises(HostError):
        start(grant)


@pytest.mark.parametrize("end", [_policy_changed, _unstartable, _cancelled_late])
def test_47_what_was_made_while_a_token_was_taken_is_given_up(scene: Scene, end: Callable[[Scene, Grant], None]) -> None:
    """A token whose use comes to nothing leaves nothing waiting."""
    end(scene, scene.grant(at_once=False))
    assert scene.given_up()


@pytest.mark.parametrize("end", [_expired, _policy_changed, _forged, _cancelled, _cancelled_late, _left, _closed, _unstartable])
def test_47_what_is_redeemed_as_it_is_issued_and_then_not_started_ends(
    scene: Scene, end: Callable[[Scene, Grant], None]
) -> None:
    """Every check of a redemption is made before the start; what fails there uses the token up, and nothing ran."""
    store, grant = scene.broker.parts.ledger, scene.grant(at_once=True)
    end(scene, grant)
    assert scene.given_up()
    if end is not _closed:
        row = store.record(grant.request)
        assert row is not None
        assert row.state is State.DESTROYED
        assert [parse(data).event for data in store.entries_of(grant.request)][-3:] == ["issued", "redeemed", "destroyed"]
        with pytest.raises(TokenSpentError):
            grant.go()


def _policy_changed_meanwhile(scene: Scene) -> None:
    scene.before(State.REDEEMED, scene.change_policy)


def _unwritable(scene: Scene) -> None:
    scene.before(State.REDEEMED, _fail)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("arrange", "error"), [(_policy_changed_meanwhile, PolicyChangedError), (_unwritable, StoreUnwritableError)]
)
def test_47_what_happens_while_a_token_is_taken_starts_nothing(
    scene: Scene, arrange: Callable[[Scene], None], error: type[ElevateError], *, at_once: bool
) -> None:
    """The policy is looked at after the redemption, too; what can't be written gives no right."""
    arrange(scene)
    with pytest.raises(error):
        start(scene.grant(at_once=at_once))
    assert scene.given_up()


def test_41_no_issue_without_its_redemption_where_both_are_one(scene: Scene) -> None:
    """A disk that is full for the second of two entries: neither is there, and nothing was signed."""
    scene.before(State.REDEEMED, _fail)
    with pytest.raises(StoreUnwritableError):
        scene.grant(at_once=True)
    assert events(scene)[-2:] == ["prompting", "failed"]


def test_22_another_process_uses_nothing_that_is_issued_at_once(scene: Scene) -> None:
    """Who uses it is read again right before the commit; where it is not who asked, no token comes to be."""
    me = read_process(os.getpid()).process
    scene.presenter = replace(me, pid=1)
    with pytest.raises(TokenError):
        scene.grant(at_once=True)
    assert scene.given_up()
    assert events(scene)[-2:] == ["prompting", "failed"]


def test_13_a_token_that_was_redeemed_as_it_was_issued_is_not_used_again(scene: Scene) -> None:
    """Neither by its own call nor by another one; a second use is an alarm."""
    grant = scene.grant(at_once=True)
    for name in (NAME, "cd" * 16):
        with pytest.raises(TokenSpentError):
            grant.start(name, grant.agreement.requester.process)
    assert (scene.host.began, events(scene)[-1]) == ([], "second-use")


@pytest.mark.parametrize("end", [_expired, _stolen])
def test_36_a_token_that_is_not_good_makes_nothing_ahead(scene: Scene, end: Callable[[Scene, Grant], None]) -> None:
    """Whoever presents in vain costs the machine nothing."""
    end(scene, scene.grant(at_once=False))
    assert scene.host.made == []


def test_13_a_token_that_was_taken_back_makes_nothing_ahead(scene: Scene) -> None:
    """It can't be used any more."""
    _revoked(scene, scene.grant(at_once=False))
    assert scene.host.began == []


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

    def step(*steps: Step) -> Stepped:
        stepped = store.step(*steps)
        return outcome(stepped) if steps[0].after is State.ISSUED else stepped

    scene.broker.parts = replace(scene.broker.parts, store=_Stepping(store, step))  # type: ignore[arg-type]
    with pytest.raises(error):
        scene.grant(at_once=True)
    scene.broker.parts = replace(scene.broker.parts, store=store)
    assert scene.given_up()
    assert list(store.unfinished()) == []


def test_47_a_request_that_is_cancelled_while_its_token_is_issued_starts_nothing(scene: Scene) -> None:
    """Whoever cancelled was told that it is done; the caller gets no grant that would run all the same."""
    me = scene.broker.requester(read_process(os.getpid()))

    def cancel() -> None:
        (asked,) = scene.broker.parts.store.unfinished()
        scene.broker.cancel(asked.request, me)

    scene.host.meanwhile = cancel
    with pytest.raises(CancelledError):
        scene.grant(at_once=True)
    assert (scene.given_up(), list(scene.broker.parts.store.unfinished())) == (True, [])
    assert scene.host.began == []


def test_47_a_grant_that_is_cancelled_while_it_is_redeemed_starts_nothing(scene: Scene) -> None:
    """The token is used up; not one instruction of the task runs."""
    held: list[Grant] = []

    def cancel() -> None:
        held[0].cancel()

    scene.before(State.REDEEMED, cancel)
    grant = scene.grant(at_once=False)
    held.append(grant)
    with pytest.raises(CancelledError):
        start(grant)
    assert (scene.given_up(), scene.host.began, grant.journal.record.state) == (True, [], State.DESTROYED)


def test_48_what_can_not_be_made_ahead_is_told_by_the_start(scene: Scene) -> None:
    """An error before the issue changes nothing: the host is asked again, after the redemption."""

    def fail() -> None:
        raise HostError("no")

    scene.host.meanwhile = fail
    running = start(scene.grant(at_once=True))
    assert [used for used, *_ in scene.host.began] == [None]
    running.wait()
    os.close(running.stdout)
    os.close(running.stderr)
