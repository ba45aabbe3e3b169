"""A broker on a throw-away machine, with a clock that is moved by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.broker.prompting import ScriptedPrompter
from elevate.testing import ManualClock

PIN = b"274913"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state", clock=clock) as one:
        yield one


@pytest.fixture
def prompts() -> list[ScriptedPrompter]:
    """Everybody who was asked by the broker `prompted`."""
    return []


@pytest.fixture
def prompted(tmp_path: Path, prompts: list[ScriptedPrompter]) -> Iterator[Broker]:
    """Give a broker whose prompts a person answers with a PIN."""

    def person(broker: Broker) -> ScriptedPrompter:
        prompts.append(ScriptedPrompter(broker.hello, PIN))
        return prompts[-1]

    with Broker.embedded(tmp_path / "state", pin=PIN, prompter=person) as one:
        yield one


def events(broker: Broker, request: str) -> list[str]:
    """Give the events of one request in order."""
    return [parse(entry).event for entry in broker.parts.store.entries_of(request)]
