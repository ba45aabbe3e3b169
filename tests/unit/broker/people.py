"""People in front of a prompt, for tests: each does one thing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from elevate.broker import Broker
from elevate.canonical import Json
from elevate.ports import Assertion, Cancel, Prompter


@dataclass
class Person:
    """Does something while the prompt is open, and then lets the sensor answer.

    Attributes:
        act: Called with the prompt open; what it raises is what the prompt ends with.
    """

    broker: Broker
    act: Callable[[], object]

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        self.act()
        return self.broker.prompter(None).ask(view, user, challenge, cancel=cancel)


def answering(broker: Broker, act: Callable[[], object]) -> Callable[[], Prompter]:
    """Make a prompter of such a person."""
    return lambda: Person(broker, act)


def raising(error: Exception) -> Callable[[], object]:
    """Do nothing but fail."""

    def act() -> object:
        raise error

    return act
