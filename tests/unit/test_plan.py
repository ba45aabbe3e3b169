"""What needs admin is told before anyone is asked."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import elevate
from elevate.broker import Broker
from elevate.tasks import Task


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker.embedded(tmp_path_factory.mktemp("plan") / "state") as broker:
        yield broker


def test_each_step_says_what_it_needs(broker: Broker) -> None:
    """In the order given: one that asks, one that is denied, one that can't be; and nobody was asked."""
    before = broker.parts.store.head()

    asks, denied, never = elevate.plan(broker, [Task.run(["true"]), Task.run(["su"]), Task.run(["no-such-program"])])

    assert (asks.needs_admin, asks.outcome, asks.possible) == (True, "credential", True)
    assert asks.why == ("Programs that the system or an earlier installation brought, from folders that only admin can write.",)
    assert (denied.outcome, denied.possible) == ("denied", False)
    assert denied.why[0].startswith("ask for the command itself")
    assert (never.outcome, never.possible, never.why) == ("impossible", False, ("the command was not found",))
    assert broker.parts.store.head() == before


@pytest.mark.parametrize("exists", [True, False])
def test_what_the_user_may_write_needs_no_admin(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exists: bool
) -> None:
    """A file of one's own, or a new one in a folder of one's own."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # an ordinary user; the answer for root is another
    file = tmp_path / "notes.ini"
    if exists:
        file.write_text("x")

    (step,) = elevate.plan(broker, [Task.write(str(file), b"y")])

    assert (step.needs_admin, step.outcome) == (False, "none")


def test_for_root_nothing_is_its_own(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere; that says nothing of the step."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    (step,) = elevate.plan(broker, [Task.write(r"C:\ProgramData\notes.ini", b"y")])

    assert (step.needs_admin, step.outcome) == (True, "credential")


def test_a_service_that_an_earlier_step_brings_can_be_planned(broker: Broker) -> None:
    """As the last of the steps before it; without them there is no such service."""
    entry = Task.setting(r"HKLM\SYSTEM\CurrentControlSet\Services\Contoso", "Start", 3)
    start = Task.service("Contoso", "start")

    never, _, brought = elevate.plan(broker, [start, entry, start])

    assert (never.outcome, never.why) == ("impossible", ("the machine has no such service",))
    assert (brought.needs_admin, brought.outcome) == (True, "denied")
