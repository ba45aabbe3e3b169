"""Whoever acts stands in the entry: who presents a token, who takes one back, who cancels, who leaves."""

import os
from dataclasses import replace

import pytest

from elevate.audit import opened
from elevate.audit.context import Context
from elevate.audit.entry import Entry
from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, TokenError, TokenSpentError
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.model import Requester
from elevate.tasks import Task
from tests.unit.broker.people import answering, raising

TRUE = Task.run(["true"])
SHORT = {"user", "uid", "sid", "audit_uid", "pid", "start_time", "boot", "executable", "executable_sha256"}


def me(broker: Broker) -> Requester:
    return broker.requester(read_process(os.getpid()))


def root(broker: Broker) -> Requester:
    own = me(broker)
    return replace(own, user="somebody", process=replace(own.process, pid=1))


def entries(broker: Broker, request: str) -> list[Entry]:
    store = broker.parts.store
    return [opened(*pair) for pair in zip(store.entries_of(request), store.openings_of(request), strict=True)]


def actor(broker: Broker, request: str, event: str) -> dict[str, Json]:
    """Give who acted in the last entry of an event."""
    found = [entry.body.get("actor") for entry in entries(broker, request) if entry.event == event]
    assert found
    assert isinstance(found[-1], dict)
    return found[-1]


def test_who_uses_a_token_is_written(broker: Broker) -> None:
    """The process that asked, with its program; of a second use, and of a thief's, what the kernel says."""
    own = me(broker)
    grant = broker.elevate(TRUE)
    thief = replace(own.process, pid=1)
    with pytest.raises(TokenError):
        grant.start("ab" * 16, thief)
    grant.run()
    with pytest.raises(TokenSpentError):
        grant.start("cd" * 16, thief)
    with pytest.raises(TokenSpentError):
        grant.run()
    used = actor(broker, grant.request, State.REDEEMED)
    assert used.keys() == SHORT
    assert (used["pid"], used["executable"]) == (own.process.pid, own.executable)
    assert actor(broker, grant.request, "token-refused")["pid"] == 1
    assert actor(broker, grant.request, "second-use")["pid"] == own.process.pid


def test_who_takes_a_token_back_is_written(broker: Broker) -> None:
    """Whoever asks for it, or the requester who left."""
    grant = broker.elevate(TRUE)
    broker.revoke(grant.claims.jti, root(broker))
    assert actor(broker, grant.request, State.REVOKED)["user"] == "somebody"
    left = broker.elevate(TRUE)
    left.release()
    assert actor(broker, left.request, State.REVOKED)["user"] == me(broker).user


def test_who_cancels_is_written(broker: Broker) -> None:
    """While the person is asked, and once there is a grant."""
    cancel = Cancellation()
    asked: list[str] = []
    terms = Terms(
        prompter=answering(broker, lambda: broker.cancel(asked[-1], root(broker))),
        cancel=cancel,
        listener=lambda request, _state: asked.append(request),
    )
    with pytest.raises(CancelledError):
        broker.request(Ask(task=TRUE, requester=me(broker)), terms)
    assert actor(broker, asked[-1], State.CANCELLED)["user"] == "somebody"
    cancel.close()
    grant = broker.elevate(TRUE)
    broker.cancel(grant.request, root(broker))
    assert actor(broker, grant.request, State.REVOKED)["user"] == "somebody"


def test_who_ends_a_running_task_is_written(broker: Broker) -> None:
    """With its end."""
    grant = broker.elevate(Task.run(["sleep", "60"]))
    running = grant.start("ab" * 16, me(broker).process)
    broker.cancel(grant.request, root(broker))
    grant.finish(running)
    assert actor(broker, grant.request, State.DESTROYED)["user"] == "somebody"


@pytest.mark.parametrize(("error", "state"), [(DeclinedError("no"), State.DECLINED), (CancelledError("left"), State.CANCELLED)])
def test_who_says_no_or_leaves_is_written(broker: Broker, error: Exception, state: State) -> None:
    """It is the person who was asked."""
    cancel = Cancellation()
    asked: list[str] = []
    terms = Terms(
        prompter=answering(broker, raising(error)), cancel=cancel, listener=lambda request, _state: asked.append(request)
    )
    with pytest.raises(type(error)):
        broker.request(Ask(task=TRUE, requester=me(broker)), terms)
    assert actor(broker, asked[-1], state)["user"] == me(broker).user
    cancel.close()


def test_who_acts_on_a_request_does_not_become_its_requester(broker: Broker) -> None:
    """In exports an entry shows who acted in it; those after it show again whose request it is."""
    grant = broker.elevate(Task.run(["sleep", "60"]))
    running = grant.start("ab" * 16, me(broker).process)
    with pytest.raises(TokenSpentError):
        grant.start("cd" * 16, replace(me(broker).process, pid=1))
    running.cancel()
    grant.finish(running)
    context = Context(lambda _request: [])
    shown = {entry.event: dict(context.feed(entry)) for entry in entries(broker, grant.request)}
    for event, pid in (("second-use", 1), (State.DESTROYED, os.getpid())):
        found = shown[event]["actor"]
        assert isinstance(found, dict)
        assert (found["pid"], found["user"]) == (pid, me(broker).user)


def test_cancelling_one_request_leaves_the_callers_others_alone(broker: Broker) -> None:
    """All requests of a connection share what tells that the caller has left; who stops one stops no other."""
    cancel = Cancellation()
    asked: list[str] = []
    terms = Terms(
        prompter=answering(broker, lambda: broker.cancel(asked[-1], root(broker))),
        cancel=cancel,
        listener=lambda request, _state: asked.append(request),
    )
    with pytest.raises(CancelledError):
        broker.request(Ask(task=TRUE, requester=me(broker)), terms)
    assert not cancel.cancelled()
    grant = broker.request(Ask(task=TRUE, requester=me(broker)), replace(terms, prompter=lambda: broker.prompter(None)))
    broker.cancel(grant.request, me(broker))
    assert not cancel.cancelled()
    cancel.cancel()
    with pytest.raises(CancelledError):
        broker.request(Ask(task=TRUE, requester=me(broker)), replace(terms, prompter=lambda: broker.prompter(None)))
    cancel.close()
