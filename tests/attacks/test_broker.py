"""Attacks on the broker's story: no second path to admin, nothing granted that can't be recorded."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import elevate
from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.broker.elevation import elevate as tell
from elevate.errors import ElevateError, GestureError, StoreUnwritableError
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.ports import Draft, Record, Step, Stepped, Store
from elevate.tasks import Task

PACKAGE = Path(elevate.__file__).parent
TRUE = Task.run(["true"])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state") as one:
        yield one


def _callers(name: str, *, method: bool) -> set[str]:
    """Name the modules of elevate that call a function, or a method of this name on a host."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if method and isinstance(called, ast.Attribute) and called.attr == name and "host" in ast.unparse(called.value):
                found.add(str(path.relative_to(PACKAGE)))
            if not method and ast.unparse(called).split(".")[-1] == name:
                found.add(str(path.relative_to(PACKAGE)))
    return found


def test_40_one_function_mints_and_one_starts() -> None:
    """One module mints, one starts, steps included; the list of callers is this."""
    assert _callers("mint", method=False) == {"broker/issuing.py"}
    assert _callers("start", method=True) == {"broker/starting.py"}


def test_40_consent_does_not_pass_for_a_credential(broker: Broker) -> None:
    """A gesture without proof of the person opens nothing where a credential is asked for."""

    @dataclass
    class Consenting:
        def ask(self, _view: object, user: str, challenge: bytes, *, cancel: object) -> object:  # noqa: ARG002 - the port's
            return broker.hello.sign(user, "consent", challenge)

    requester = broker.requester(read_process(os.getpid()))
    terms = Terms(prompter=Consenting, cancel=Cancellation())  # type: ignore[arg-type]
    with pytest.raises(GestureError):
        broker.request(Ask(task=TRUE, requester=requester), terms)


@dataclass
class _Failing:
    """A store whose disk is full for one kind of step."""

    inner: Store
    state: State

    def step(self, *steps: Step) -> Stepped:
        if any(step.after is self.state for step in steps):
            raise StoreUnwritableError("the disk is full")
        return self.inner.step(*steps)

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        if any(step.after is self.state for step in then):
            raise StoreUnwritableError("the disk is full")
        return self.inner.open_request(record, entry, *then)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def _ask_with_failing_store(broker: Broker, state: State) -> list[str]:
    parts = replace(broker.parts, store=_Failing(broker.parts.store, state))  # type: ignore[arg-type]
    requester = broker.requester(read_process(os.getpid()))
    heard: list[str] = []
    terms = Terms(
        prompter=lambda: broker.prompter(None),
        cancel=Cancellation(),
        listener=lambda _request, state: heard.append(state),
    )
    with pytest.raises(StoreUnwritableError), tell(parts, Ask(task=TRUE, requester=requester), terms) as grant:
        grant.run(capture=True)
    return heard


def test_41_no_token_where_its_entry_can_not_be_written(broker: Broker) -> None:
    """The disk is full at issue: no token."""
    assert _ask_with_failing_store(broker, State.ISSUED) == ["requested", "prompting", "failed"]


def test_41_no_token_where_the_prompt_can_not_be_written(broker: Broker) -> None:
    """The disk is full at the prompt, which is written before anybody is asked: no token."""
    assert _ask_with_failing_store(broker, State.PROMPTING) == ["requested", "failed"]


def test_41_no_start_where_the_redemption_can_not_be_written(broker: Broker) -> None:
    """The disk is full at redemption: nothing is started, the token is taken back."""
    assert _ask_with_failing_store(broker, State.REDEEMED) == ["requested", "prompting", "issued", "revoked"]


def test_41_a_task_that_can_not_be_recorded_does_not_go_on(broker: Broker, tmp_path: Path) -> None:
    """The disk is full after the start: the task is ended, the token is burnt."""
    marker = tmp_path / "marker"
    parts = replace(broker.parts, store=_Failing(broker.parts.store, State.RUNNING))  # type: ignore[arg-type]
    requester = broker.requester(read_process(os.getpid()))
    task = Task.run(["/bin/sh", "-c", f"sleep 5; touch {marker}"])
    terms = Terms(prompter=lambda: broker.prompter(None), cancel=Cancellation())
    with tell(parts, Ask(task=task, requester=requester), terms) as grant, pytest.raises(ElevateError):
        grant.run(capture=True)
    assert not marker.exists()
    row = broker.parts.store.record(grant.request)
    assert row is not None
    assert row.state is State.OUTCOME_UNKNOWN


def test_46_a_simulated_gesture_opens_nothing_where_it_is_not_allowed(tmp_path: Path) -> None:
    """The setting is off: the scripted face is not even offered, and its assertion would not count."""
    with Broker.embedded(tmp_path / "state") as one:
        folder = one.home.folder
        text = one.home.settings.read_text()
    (folder / "settings.toml").write_text(text.replace("allow_simulated_gestures = true", "allow_simulated_gestures = false"))
    with Broker.open(folder) as real, pytest.raises(ElevateError):
        real.elevate(TRUE)
