"""Who asks the person: prompters, each of which shows one view and comes back with a proof over its challenge, or an error.

- `TerminalPrompter`: the prompt program on the caller's terminal, sensors beside it.
- `SensorPrompter`: no terminal; enrolled sensors only.
- `ScriptedPrompter`: a person who does what a test says.

None says yes by itself: every way out with an `Assertion` leads through `Hello.sign`.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from elevate.broker.looking import Looks, StoppableHello
from elevate.broker.terminal import OpenPrompt, Starter
from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, GestureError, LockedOutError, NotEnrolledError, PhraseNeededError
from elevate.hello.container import CONSENT, PIN, SECURITY_KEY, SENSED
from elevate.hello.pins import wipe
from elevate.hello.settings import HelloSettings
from elevate.hello.signals import WhileNear
from elevate.ports import Assertion, Cancel, Hello, Offer

_STRONGER: Mapping[str, frozenset[str]] = {
    "biometric": SENSED | {SECURITY_KEY},
    "hardware": frozenset({SECURITY_KEY}),
}
_YES = (b"y", b"yes")
_WAY_OUT = "type your PIN, or press Ctrl-C to decline"
_BESIDE = SENSED | {SECURITY_KEY}
"""What can be made without typing."""


class TerminalPrompter:
    """Asks on a terminal, by a program of the broker's own; sensors look beside it, and whichever is first counts.

    Args:
        hello: Where gestures are made.
        launcher: Starts the prompt program.
        terminal: Descriptor of the caller's terminal; the caller of this class keeps it.
    """

    def __init__(self, hello: StoppableHello, launcher: Starter, terminal: int) -> None:
        self._hello, self._launcher, self._terminal = hello, launcher, terminal

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Ask once; a wrong PIN is asked for again as long as tries are left. See `elevate.ports.Prompter.ask`."""
        offer = self._hello.offer(user)
        usable = _usable(offer.gestures, view, self._hello.settings)
        with ExitStack() as stack:
            near = stack.enter_context(WhileNear(cancel, self._hello.signal))
            seconds = self._hello.settings.prompt_seconds
            prompt = stack.enter_context(OpenPrompt(self._launcher, self._terminal, near, seconds=seconds))
            prompt.show(view, phrase=offer.phrase)
            looks = Looks(self._hello, user, challenge, [name for name in usable if name in _BESIDE])
            stack.callback(looks.stop)
            prompt.beside = looks
            made = self._converse(prompt, view, user, challenge)
            prompt.done(f"{made.gesture}: done")
            return made

    def _converse(self, prompt: OpenPrompt, view: Mapping[str, Json], user: str, challenge: bytes) -> Assertion:
        message = ""
        while True:
            made, message = self._once(prompt, view, user, challenge, message)
            if made:
                return made

    def _once(
        self, prompt: OpenPrompt, view: Mapping[str, Json], user: str, challenge: bytes, message: str
    ) -> tuple[Assertion | None, str]:
        if view.get("mode") == CONSENT:
            return self._consent(prompt, user, challenge, message)
        offer = self._offer(user, prompt)
        if PIN not in _usable(offer.gestures, view, self._hello.settings):
            answer = prompt.ask("make the gesture, or press Ctrl-C to decline: ", message=message, typing_helps=False)
        elif offer.pin_phrase:
            answer = prompt.ask(f"several PINs were wrong; type {offer.pin_phrase} to go on: ", message=message, echo=True)
            return self._phrase(user, answer)
        else:
            answer = prompt.ask("PIN: ", message=message or _WAY_OUT)
        if isinstance(answer, Assertion):
            return answer, ""
        return self._pin(prompt, user, challenge, answer) if PIN in offer.gestures else (None, "")

    def _offer(self, user: str, prompt: OpenPrompt) -> Offer:
        try:
            return self._hello.offer(user)
        except LockedOutError as exc:
            prompt.done(exc.message)
            raise

    def _pin(self, prompt: OpenPrompt, user: str, challenge: bytes, typed: bytearray) -> tuple[Assertion | None, str]:
        if not typed:  # nothing was typed: that is no try
            return None, ""
        try:
            return self._hello.sign(user, PIN, challenge, secret=typed), ""
        except PhraseNeededError:
            return None, ""
        except LockedOutError as exc:
            # The sensors may go on; without one, the next offer says that it is locked.
            if prompt.beside is None or not prompt.beside.looking():
                prompt.done(exc.message)
                raise
            return None, exc.message
        except GestureError as exc:
            return None, exc.message
        finally:
            wipe(typed)

    def _phrase(self, user: str, answer: bytearray | Assertion) -> tuple[Assertion | None, str]:
        if isinstance(answer, Assertion):
            return answer, ""
        right = self._hello.type_phrase(user, answer.decode("ascii", "replace"))
        return None, "" if right else "that is not the phrase"

    def _consent(self, prompt: OpenPrompt, user: str, challenge: bytes, message: str) -> tuple[Assertion | None, str]:
        answer = prompt.ask("allow this? [y/N] ", message=message, echo=True)
        if isinstance(answer, Assertion):
            return answer, ""
        if bytes(answer).strip().lower() not in _YES:
            prompt.done("declined; nothing was done")
            raise DeclinedError("declined at the prompt")
        return self._hello.sign(user, CONSENT, challenge), ""


class SensorPrompter:
    """For callers without a terminal: the enrolled sensors look in turn, the one used last first.

    A view in mode ``consent`` is answered by a sensor too: that is more than was asked for, and never a silent yes.
    """

    def __init__(self, hello: StoppableHello) -> None:
        self._hello = hello

    def ask(self, view: Mapping[str, Json], user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Look once with each sensor; see `elevate.ports.Prompter.ask`."""
        sensed = [gesture for gesture in _usable(_shown(view), view, self._hello.settings) if gesture in _BESIDE]
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


def _shown(view: Mapping[str, Json]) -> list[str]:
    """Give the gestures that a view offers."""
    shown = view.get("gestures")
    return [str(name) for name in shown] if isinstance(shown, list) else []


def _usable(offered: Sequence[str], view: Mapping[str, Json], settings: HelloSettings) -> list[str]:
    """Give the gestures that satisfy the rule, here; what would be refused afterwards is not asked for.

    A sensor and a security key see who is at this machine, which is nobody of a session that came over a network.
    """
    wanted = _STRONGER.get(str(view.get("min_strength", "any")))
    requester = view.get("requester")
    remote = isinstance(requester, dict) and requester.get("remote") is True and not settings.allow_remote_gestures
    found = [name for name in offered if (wanted is None or name in wanted) and not (remote and name in _BESIDE)]
    if not found and view.get("mode") != CONSENT:
        here = "over a network " * remote
        raise NotEnrolledError(f"no enrolled gesture will do {here}for this task", hint="see: elevate hello list")
    return found


def _refuse_cancelled(cancel: Cancel) -> None:
    if cancel.cancelled():
        raise CancelledError("the caller left while the prompt was open")
