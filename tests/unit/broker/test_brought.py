"""A service that an earlier step brings: agreed to with the rest, allowed expressly, started when it is there."""

import json
from pathlib import Path

import pytest

from elevate.audit import opened
from elevate.broker import Broker
from elevate.broker.prompting import ScriptedPrompter
from elevate.errors import DeniedError, TaskInvalidError
from elevate.host.registry import MACHINE, SERVICES
from elevate.policy.replay import recorded, replay
from elevate.receipt import Receipt
from elevate.tasks import Task

KEY = rf"HKLM\{SERVICES}\ContosoNotes"
ENTRY = Task.setting(KEY, "Start", 3)
START = Task.service("ContosoNotes", "start")
STOP = Task.service("contosonotes", "stop")
RULE = """
[[rule]]
id = "contoso-service"
effect = "allow"
task = { kind = "service.control", service = ["ContosoNotes", "contosonotes"], brought = true }
"""


@pytest.fixture
def broker(prompted: Broker) -> Broker:
    return prompted


@pytest.fixture
def allowed(broker: Broker, tmp_path: Path) -> Broker:
    own = tmp_path / "state" / "policy" / "contoso.toml"
    own.write_text(RULE)
    own.chmod(0o600)
    broker.reload_policy()
    return broker


def test_without_a_rule_for_it_nobody_is_asked(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    """A rule for any service is for those that the machine has; the one that would do is offered."""
    with pytest.raises(DeniedError, match=r"step 2 \(start ContosoNotes\)") as caught:
        broker.elevate([ENTRY, START])
    assert "brought = true" in caught.value.hint
    assert prompts == []


def test_an_entry_is_made_and_the_service_started_under_one_token(allowed: Broker, prompts: list[ScriptedPrompter]) -> None:
    """The prompt and the log say which step brings it; the receipt how to stop it; later it is there like any other."""
    grant = allowed.elevate([ENTRY, START])
    receipt = Receipt.read(grant.run(capture=True).receipt)

    steps = prompts[0].views[0]["steps"]
    assert isinstance(steps, list)
    assert [isinstance(step, dict) and step["brought"] for step in steps] == ["", "step 1"]
    assert [step.exit_status for step in receipt.steps] == [0, 0]
    assert receipt.undo_tasks()[0] == Task.service("ContosoNotes", "stop")
    assert allowed.elevate(Task.service("ContosoNotes", "restart")).run(capture=True).exit_status == 0
    store = allowed.parts.store
    entries = [opened(*pair) for pair in zip(store.entries_of(grant.request), store.openings_of(grant.request), strict=True)]
    record = next(found for entry in entries if (found := recorded(grant.request, entry.body)))
    assert list(replay(allowed.parts.policy.current, [record])) == []
    assert any('"brought": "step 1"' in json.dumps(dict(entry.body)) for entry in entries)


def test_a_service_that_no_step_brings_is_none(allowed: Broker) -> None:
    """Neither one that a later step brings, nor one that only looks like it."""
    for steps in (
        [START, ENTRY],
        [Task.setting(f"{KEY}2", "Start", 3), START],
        [Task.setting(rf"{KEY}\Sub", "Start", 3), START],
    ):
        with pytest.raises(TaskInvalidError, match="no such service"):
            allowed.elevate(steps)


def test_one_that_did_not_come_is_not_started(allowed: Broker) -> None:
    """Another step took it away again; what undoes it finds nothing, says so, and the rest of the undoing goes on."""
    remove = Task.run(["reg", "delete", KEY, "/f"])
    undo = [STOP, Task.run(["/bin/sh", "-c", "echo back"])]
    outcome = allowed.elevate(Task.in_order([ENTRY, remove, START], undo=undo)).run(capture=True)

    steps = Receipt.read(outcome.receipt).steps
    assert [(step.step, step.problem) for step in steps if step.problem] == [
        (3, "the service that an earlier step brings is not there"),
        (4, "the service that an earlier step brings is not there"),
    ]
    assert outcome.stdout.endswith(b"back\n")
    assert allowed.parts.host.machine.registry.read(MACHINE, KEY) is None  # type: ignore[attr-defined]  # the emulated one
