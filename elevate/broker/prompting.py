"""Who asks the person: prompters, each of which shows one view and comes back with a proof over its challenge, or an error.

- `TerminalPrompter`: the prompt program on the caller's terminal, sensors beside it.
- `SensorPrompter`: no terminal; enrolled sensors only.
- `ScriptedPrompter`: a person who does what a test says.

None says yes by itself: every way out with an `Assertion` leads through `Hello.sign`.
"""

from collections.abc import Mapping
from typing import Protocol

from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, GestureError, NotEnrolledError
from elevate.hello.container import CONSENT, PIN, SENSED
from elevate.hello.vault import Stop
from elevate.ports import Assertion, Cancel, Hello


class StoppableHello(Hello, Protocol):
    """A `Hello` whose sensors can be told to stop looking."""

    def sign(
        self, user: str, gesture: str, challenge: bytes, *, secret: bytearray | None = None, stop: Stop = bool
    ) -> Assertion:
        """Make the gesture."""


class ScriptedPrompter:
    """A person for tests: types one PIN, makes one gesture, or declines.

    Args:
        hello: Where the gesture is made.
        pin: What is typed when the gesture is ``pin``.
        gesture: Which one is made.
        decline: The person says no.
    """

    def __init__(self, hello: Hello, pin: bytes = b"", *, gesture: str = PIN, decline: bool = False) -> None:
        self.hello, self.pin, self.gesture, self.decline = hello, pin, gesture, decline
        self.views: list[Mapping[str, Json]] = []

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Answer as told; the view is kept in ``views``."""
        self.views.append(view)
        _refuse_cancelled(cancel)
        if self.decline:
            raise DeclinedError("declined at the prompt")
        if view.get("mode") == CONSENT:
            return self.hello.sign(user, CONSENT, challenge)
        secret = bytearray(self.pin) if self.gesture == PIN else None
        return self.hello.sign(user, self.gesture, challenge, secret=secret)


class SensorPrompter:
    """For callers without a terminal: the enrolled sensors look in turn, the one used last first.

    A view in mode ``consent`` is answered by a sensor too: that is more than was asked for, and never a silent yes.
    """

    def __init__(self, hello: StoppableHello) -> None:
        self._hello = hello

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Look once with each sensor; see `elevate.ports.Prompter.ask`."""
        del view
        sensed = [gesture for gesture in self._hello.offer(user).gestures if gesture in SENSED]
        if not sensed:
            raise NotEnrolledError(
                "there is no terminal for a PIN, and no sensor is enrolled", hint="run it from a terminal, or enrol a sensor"
            )
        failed: GestureError | None = None
        for gesture in sensed:
            _refuse_cancelled(cancel)
            try:
                return self._hello.sign(user, gesture, challenge, stop=cancel.cancelled)
            except GestureError as exc:
                failed = exc
        _refuse_cancelled(cancel)
        raise failed or GestureError("no gesture succeeded")


def _refuse_cancelled(cancel: Cancel) -> None:
    if cancel.cancelled():
        raise CancelledError("the caller left while the prompt was open")
