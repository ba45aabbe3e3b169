"""A pytest plugin for the tests of programs that ask elevate: a machine of the test's own, and a person who does what it says.

Loaded by itself where elevate is installed, and loads nothing until a test asks for a fixture.

- ``elevate_machine``: an embedded `elevate.Broker` on an emulated machine that goes with the test. Nobody answers its prompts
  until ``approve``, ``deny`` or ``sensor`` says so: then the request times out, as on a machine where nobody is there.
- ``approve``, ``deny``: the person agrees, or declines; both give a list of every prompt that is shown from then on.
- ``sensor``: a function that says what the face sensor sees: ``sensor("match")``, ``"no-match"``, ``"time-out"``, ``"spoof"``.

Example::

    def test_setup_asks_once(elevate_machine, approve):
        Setup(elevate_machine).install()
        assert len(approve) == 1
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from elevate.broker import Broker
    from elevate.canonical import Json
    from elevate.ports import Assertion, Cancel

_PIN = b"274913"


@dataclass
class _Person:
    """Whoever sits before the machine; ``answer`` is what makes the gesture."""

    broker: "Broker | None" = None
    answer: str = "nobody"
    shown: "list[Mapping[str, Json]]" = field(default_factory=list)

    def ask(self, view: "Mapping[str, Json]", user: str, challenge: bytes, *, cancel: "Cancel") -> "Assertion":
        from elevate.broker.prompting import ScriptedPrompter
        from elevate.errors import PromptTimedOutError

        self.shown.append(view)
        if self.broker is None or self.answer == "nobody":
            raise PromptTimedOutError("nobody answered", hint="ask for the fixture approve, deny or sensor")
        if self.answer == "sensor":
            return self.broker.prompter(None).ask(view, user, challenge, cancel=cancel)
        person = ScriptedPrompter(self.broker.hello, _PIN, decline=self.answer == "deny")
        return person.ask(view, user, challenge, cancel=cancel)


@pytest.fixture
def _elevate_person() -> _Person:
    return _Person()


@pytest.fixture
def elevate_machine(tmp_path: Path, _elevate_person: _Person) -> "Iterator[Broker]":
    """Give an embedded broker on an emulated machine of the test's own."""
    from elevate.broker import Broker

    with Broker.embedded(tmp_path / "elevate", pin=_PIN, prompter=lambda _: _elevate_person) as broker:
        _elevate_person.broker = broker
        yield broker


@pytest.fixture
def approve(_elevate_person: _Person) -> "list[Mapping[str, Json]]":
    """Let the person agree to everything; give the prompts that are shown."""
    _elevate_person.answer = "approve"
    return _elevate_person.shown


@pytest.fixture
def deny(_elevate_person: _Person) -> "list[Mapping[str, Json]]":
    """Let the person decline everything; give the prompts that are shown."""
    _elevate_person.answer = "deny"
    return _elevate_person.shown


@pytest.fixture
def sensor(elevate_machine: "Broker", _elevate_person: _Person) -> Callable[[str], None]:
    """Give a function that says what the face sensor sees from now on."""
    from dataclasses import replace

    from elevate.hello.sensors import Sight

    def sees(what: str) -> None:
        face: Any = elevate_machine.hello.vault.sensors["face"]
        face.script = replace(face.script, sights=(Sight(what),))

    _elevate_person.answer = "sensor"
    return sees
