"""A broker on a throw-away machine, with a clock that is moved by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state", clock=clock) as one:
        yield one


def events(broker: Broker, request: str) -> list[str]:
    """Give the events of one request in order."""
    return [parse(entry).event for entry in broker.parts.store.entries_of(request)]
