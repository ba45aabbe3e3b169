"""What the broker says in a token, and what it refuses before anything is written."""

import pytest

from elevate.broker import Broker
from elevate.errors import TaskInvalidError
from elevate.tasks import Task
from elevate.token import Claims


def _claims(broker: Broker, *argv: str) -> Claims:
    with broker.elevate(Task.run(argv), reason="why") as grant:
        return grant.claims


def test_token_names_what_runs(broker: Broker) -> None:
    """Not the word that was typed but the real path that it led to."""
    said = _claims(broker, "id", "-u")
    assert said.display.split() == [said.display.split()[0], "-u"]
    assert said.display.startswith("/")
    assert said.steps == (said.display,)


def test_long_command_is_cut_and_says_so(broker: Broker) -> None:
    """The end of a long command is not left out unseen."""
    said = _claims(broker, "/usr/bin/id", *["x\n"] * 900)
    assert said.display.endswith(" more]")
    assert "\n" not in said.display


def test_reason_that_is_not_unicode(broker: Broker) -> None:
    """One clear error, and no entry."""
    before = broker.parts.store.head()
    with pytest.raises(TaskInvalidError, match="the reason is not Unicode text"):
        broker.elevate(Task.run(["id"]), reason="\ud800")
    assert broker.parts.store.head() == before
