"""What is left of a request that nobody goes on with: its token is ended, and it is none of those that are open."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.broker import Ask, AtOnce, Broker, Cancellation, Grant, Terms
from elevate.errors import StoreUnwritableError, TokenSpentError
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.store.sqlite_ledger import Ledger
from elevate.tasks import Task
from tests.unit.broker.conftest import events

TRUE = Task.run(["true"])
UNUSED = {
    False: ["requested", "prompting", "issued", "revoked"],
    True: ["requested", "prompting", "issued", "redeemed", "destroyed"],
}
"""How a request ends whose token nobody uses, by whether it was redeemed as it was issued."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state") as one:
        yield one


def ask(broker: Broker, *, at_once: bool, seen: list[str] | None = None) -> Grant:
    me = broker.requester(read_process(os.getpid()))
    use = AtOnce(redeem_id="ab" * 16, presenter=lambda: me.process) if at_once else None
    terms = Terms(
        prompter=lambda: broker.prompter(None),
        cancel=Cancellation(),
        listener=lambda request, _state: (seen if seen is not None else []).append(request),
    )
    return broker.request(Ask(task=TRUE, requester=me, at_once=use), terms)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_grant_that_nobody_gets_is_taken_back(broker: Broker, monkeypatch: pytest.MonkeyPatch, *, at_once: bool) -> None:
    """Ctrl-C after the token is issued, and before whoever asked has it."""
    seen: list[str] = []
    kept: list[Grant] = []

    def interrupted(_request: str, _uid: int, _cancel: object, grant: Grant) -> None:
        kept.append(grant)
        raise KeyboardInterrupt

    monkeypatch.setattr(broker._opened, "granted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(broker, at_once=at_once, seen=seen)
    assert events(broker, seen[0]) == UNUSED[at_once]
    assert (kept[0].ahead, kept[0].inspection.closed, len(broker._opened)) == (None, True, 0)  # type: ignore[attr-defined]


def test_a_redeemed_token_whose_end_can_not_be_written_is_none_of_the_open(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user can ask again; nothing starts by it, and the broker's next start says how it ended."""
    grant = ask(broker, at_once=True)

    def full(*_: object) -> object:
        raise StoreUnwritableError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "step", full)
        with pytest.raises(StoreUnwritableError):
            grant.release()
    assert len(broker._opened) == 0
    assert grant.inspection.closed  # type: ignore[attr-defined]
    with pytest.raises(TokenSpentError):
        grant.go()
    assert events(broker, grant.request)[-1] == State.REDEEMED
