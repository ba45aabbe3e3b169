"""What a policy demands besides the gesture is kept, or the task is refused."""

from pathlib import Path

import pytest

from elevate.broker import Broker
from elevate.errors import DeniedError
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.policy.build import rule

TASK = Task.run(["/usr/bin/true"])


def broker_with(folder: Path, then: str) -> Broker:
    with Broker.embedded(folder, clock=ManualClock()):
        pass
    for file in (folder / "policy").iterdir():
        file.unlink()
    place = folder / "policy" / "rules.toml"
    place.write_text(rule("all", task='{ kind = "process.run" }', then=then))
    place.chmod(0o600)
    return Broker.embedded(folder, clock=ManualClock())


@pytest.mark.parametrize("reason", ["", "because", "INC-47"])
def test_reason_without_its_ticket_is_refused(tmp_path: Path, reason: str) -> None:
    """Nobody is asked, and the hint says what is missing."""
    with broker_with(tmp_path / "state", '{ ticket = "INC-####" }') as broker, pytest.raises(DeniedError, match="reason"):
        broker.elevate(TASK, reason=reason)


def test_reason_with_its_ticket_passes(tmp_path: Path) -> None:
    """The ticket is a word of the reason."""
    with broker_with(tmp_path / "state", '{ ticket = "INC-####" }') as broker:
        assert broker.elevate(TASK, reason="fix of INC-4711").run().exit_status == 0


@pytest.mark.parametrize(
    "demand", ["network = false", 'read_only = "/etc"', 'writable = "/srv"', 'children = "deny"', "record = true"]
)
def test_demand_that_the_machine_can_not_keep_is_refused(tmp_path: Path, demand: str) -> None:
    """It is never dropped in silence."""
    with broker_with(tmp_path / "state", f"{{ {demand} }}") as broker, pytest.raises(DeniedError, match="can't keep"):
        broker.elevate(TASK)
