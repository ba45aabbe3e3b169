"""Gestures in a whole broker: what fails is refused and stands in the log."""

from pathlib import Path

import pytest

from elevate.broker import Broker
from elevate.errors import ElevateError
from elevate.hello import ScriptedSensor
from elevate.tasks import Task

PIN = b"274913"


def test_22_swapped_templates_are_refused_and_in_the_log(tmp_path: Path) -> None:
    """The face of another person's container opens nothing, and the log says that a gesture failed."""
    with Broker.embedded(tmp_path / "state", pin=PIN) as broker:
        sensor = broker.hello.vault.sensors["face"]
        assert isinstance(sensor, ScriptedSensor)
        swapped = {name: ("another", *rest) for name, (_owner, *rest) in sensor._templates.items()}
        sensor._templates = swapped  # type: ignore[assignment]
        with pytest.raises(ElevateError, match="did not recognise"):
            broker.elevate(Task.run(["/bin/true"]))
        last = list(broker.parts.store.entries())[-1]
    assert b'"event":"failed"' in last
    assert b"gesture-refused" in last
