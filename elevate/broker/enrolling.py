"""A person's visit to the enrolment desk: what ``elevate hello`` asks of the broker, beside the elevations.

Secrets are typed into the broker's own prompt program on the caller's terminal; the client never has them. The socket hands
every method here::

    answer = enrolling.call(visit, "HelloEnrol", {"gesture": "face"})

Whose gestures: the requester's own, by the kernel's word. Only root, and the user that the broker runs as, may name another.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from elevate.audit import body
from elevate.broker.broker import Broker
from elevate.broker.cancel import Cancellation
from elevate.broker.prompting import TerminalPrompter
from elevate.broker.terminal import OpenPrompt, Starter
from elevate.canonical import Json
from elevate.errors import DeniedError, GestureError, LockedOutError, PinRefusedError, TaskInvalidError
from elevate.hello import Proof, SoftwareHello
from elevate.hello.container import PIN
from elevate.hello.pins import wipe
from elevate.hello.view import check_view
from elevate.model import Requester
from elevate.ports import Cancel, Draft, Entropy

T = TypeVar("T")
Parameters = Mapping[str, Json]
Note = Callable[[str, Mapping[str, Json]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who has come, and with what.

    Attributes:
        requester: By the kernel's word.
        owner_uid: The uid that the broker runs as; it and root may name another user.
        terminal: Descriptor of the caller's terminal; None where there is none.
        note: Writes an audit entry, or raises; nothing is changed that is not written down first.
    """

    hello: SoftwareHello
    launcher: Starter
    entropy: Entropy
    requester: Requester
    owner_uid: int
    terminal: int | None = None
    cancel: Cancel = field(default_factory=Cancellation)
    note: Note

    @property
    def is_root(self) -> bool:
        """Whether root has come; for a user's own broker its owner counts as that."""
        return self.requester.process.uid in {0, self.owner_uid}

    def user(self, parameters: Parameters) -> str:
        """Give whose gestures are meant.

        Raises:
            DeniedError: Somebody else's, and this is not root.
        """
        named = _text(parameters, "user")
        if named and named != self.requester.user and not self.is_root:
            raise DeniedError("only root may manage another user's gestures")
        return named or self.requester.user

    def prompt(self) -> OpenPrompt:
        """Open the prompt program on the caller's terminal."""
        if self.terminal is None:
            raise GestureError("there is no terminal to ask on", hint="run it from a terminal")
        return OpenPrompt(self.launcher, self.terminal, self.cancel)

    def written(self, action: str, user: str, gesture: str) -> None:
        """Write down what is about to be changed."""
        self.note(f"hello-{action}", {"user": user, "gesture": gesture})


def visit(broker: Broker, requester: Requester, *, terminal: int | None, cancel: Cancel | None = None) -> Visit:
    """Let someone in at a broker's desk.

    Args:
        broker: Whose.
        requester: By the kernel's word.
        terminal: Descriptor of the caller's terminal, checked to be one; the caller of this keeps it.
        cancel: Fires when the client leaves.
    """
    uid = requester.process.uid
    broker.patience.check(uid)

    def note(event: str, members: Mapping[str, Json]) -> None:
        # What is refused after it was written down fills the log as a refused request does.
        broker.patience.refused(uid)
        entry = body.actor(requester) | {"gesture": dict(members)}
        broker.parts.store.append(Draft(event=event, request="", at=broker.parts.clock.read(), body=entry))

    return Visit(
        hello=broker.hello,
        launcher=broker.launcher,
        entropy=broker.parts.entropy,
        requester=requester,
        owner_uid=os.getuid(),
        terminal=terminal,
        cancel=cancel or Cancellation(),
        note=note,
    )


def call(who: Visit, method: str, parameters: Parameters) -> dict[str, Json]:
    """Answer one method of the interface, by its name without the interface's.

    Raises:
        TaskInvalidError: No such method, or a parameter that it does not have.
        ElevateError: Whatever the method refuses.
    """
    found = METHODS.get(method)
    if found is None:
        raise TaskInvalidError(f"there is no method {method[:40]!r}")
    unknown = parameters.keys() - {"gesture", "label", "user"}
    if unknown:
        raise TaskInvalidError(f"{method} has no parameter {min(unknown)[:40]!r}")
    return found(who, parameters)


def enrol(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Enrol a PIN, or a further gesture on the proof of an existing one."""
    user, gesture, label = who.user(parameters), _text(parameters, "gesture") or PIN, _text(parameters, "label")
    if gesture == PIN:
        return {"enrolled": _first_pin(who, user)}
    who.hello.check_may_add(user, gesture)

    def add(proof: Proof) -> dict[str, Json]:
        who.written("enrolling", user, gesture)
        return who.hello.enrol(user, gesture, proof, label=label)

    with who.prompt() as prompt:
        prompt.say(
            f"elevate: enrol {gesture} for {user}", "  your PIN first; then look at the sensor, or touch the security key", ""
        )
        enrolled = _with_pin(who, prompt, user, add)
        prompt.done(f"{gesture} is enrolled")
    return {"enrolled": enrolled}


def listing(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Say which gestures a person has."""
    return {"gestures": list(who.hello.list(who.user(parameters)))}


def verify(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Ask the person for a gesture and verify it; nothing is elevated."""
    user = who.user({})
    del parameters
    nonce = who.entropy.token_bytes(16)
    challenge = nonce + hashlib.sha256(b"elevate hello verify\0" + nonce).digest()
    if who.terminal is None:
        raise GestureError("there is no terminal to ask on", hint="run it from a terminal")
    prompter = TerminalPrompter(who.hello, who.launcher, who.terminal)
    made = prompter.ask(check_view(who.requester), user, challenge, cancel=who.cancel)
    found = who.hello.verify(user, made, challenge)
    who.note("hello-verified", {"user": user, "gesture": found.method})
    amr: list[Json] = list(found.amr)
    shown: dict[str, Json] = {
        "user": user,
        "method": found.method,
        "amr": amr,
        "acr": found.acr,
        "credential": found.credential,
        "auth_time": found.auth_time,
        "simulated": found.simulated,
    }
    return {"verified": shown}


def test(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Say what each sensor and key store is and can do."""
    del parameters
    return {"devices": list(who.hello.devices())}


def rename(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Give a gesture a name."""
    user, gesture = who.user(parameters), _text(parameters, "gesture")
    who.written("renaming", user, gesture)
    return {"enrolled": who.hello.rename(user, gesture, _text(parameters, "label"))}


def remove(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Take a gesture away, on the proof of the PIN."""
    user, gesture = who.user({}), _text(parameters, "gesture")

    def take(proof: Proof) -> list[dict[str, Json]]:
        who.written("removing", user, gesture)
        return who.hello.remove(user, gesture, proof)

    with who.prompt() as prompt:
        prompt.say(f"elevate: remove {gesture} of {user}", "  without a PIN there is no other gesture" * (gesture == PIN), "")
        left = _with_pin(who, prompt, user, take)
        prompt.done(f"{gesture} is removed")
    return {"gestures": list(left)}


def change_pin(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Put a new PIN in place of the old one, on the proof of the old one or of another gesture."""
    user, gesture = who.user({}), _text(parameters, "gesture") or PIN
    who.hello.vault.load(user)
    if gesture != PIN and who.requester.remote and not who.hello.settings.allow_remote_gestures:
        raise DeniedError("a sensor sees who is at this machine, and this session came over a network")

    def change(proof: Proof) -> dict[str, Json]:
        def put(new: bytearray) -> dict[str, Json]:
            who.written("changing-pin", user, PIN)
            again = Proof(gesture=proof.gesture, secret=bytearray(proof.secret) if proof.secret else None)
            return who.hello.change_pin(user, again, new)

        return _new_pin(who, prompt, put)

    with who.prompt() as prompt:
        prompt.say(f"elevate: change the PIN of {user}", "")
        changed = _with_pin(who, prompt, user, change) if gesture == PIN else change(Proof(gesture=gesture))
        prompt.done("the PIN is changed")
    return {"enrolled": changed}


def reset(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Destroy all gestures and keys of a person; on a root broker for root only."""
    user = who.user(parameters)
    who.written("resetting", user, "")
    who.hello.reset(user, root=who.is_root)
    return {}


METHODS: Mapping[str, Callable[[Visit, Parameters], dict[str, Json]]] = {
    "HelloEnrol": enrol,
    "HelloList": listing,
    "HelloVerify": verify,
    "HelloTest": test,
    "HelloRename": rename,
    "HelloRemove": remove,
    "HelloChangePin": change_pin,
    "HelloReset": reset,
}


def _first_pin(who: Visit, user: str) -> dict[str, Json]:
    who.hello.check_may_enrol(user, root=who.is_root)
    with who.prompt() as prompt:
        prompt.say(f"elevate: enrol a PIN for {user}", "")
        phrase = prompt.text("a phrase that every true prompt will show you (Enter for none): ", echo=True)
        shown = phrase.decode("utf-8", "replace").strip()

        def put(new: bytearray) -> dict[str, Json]:
            who.written("enrolling", user, PIN)
            return who.hello.enrol_pin(user, new, phrase=shown, root=who.is_root)

        made = _new_pin(who, prompt, put)
        prompt.done("the PIN is enrolled")
    return made


def _new_pin(who: Visit, prompt: OpenPrompt, put: Callable[[bytearray], T]) -> T:
    least = who.hello.settings.pin.minimum_length
    message = ""
    while True:
        first = prompt.text(f"new PIN (at least {least} digits): ", message=message)
        second = prompt.text("the same again: ")
        try:
            if first != second:
                message = "the two are not the same"
                continue
            return put(first)
        except PinRefusedError as exc:
            message = exc.message
        finally:
            wipe(first)
            wipe(second)


def _with_pin(who: Visit, prompt: OpenPrompt, user: str, act: Callable[[Proof], T]) -> T:
    message = ""
    while True:
        needed = who.hello.offer(user).pin_phrase
        if needed:
            typed = prompt.text(f"several PINs were wrong; type {needed} to go on: ", message=message, echo=True)
            message = "" if who.hello.type_phrase(user, typed.decode("ascii", "replace")) else "that is not the phrase"
            continue
        secret = prompt.text("PIN: ", message=message)
        try:
            if secret:
                return act(Proof(gesture=PIN, secret=secret))
        except LockedOutError as exc:
            prompt.done(exc.message)
            raise
        except GestureError as exc:
            message = exc.message
        finally:
            wipe(secret)


def _text(parameters: Parameters, name: str) -> str:
    value = parameters.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 256:  # noqa: PLR2004 - a bound on what comes over the socket
        raise TaskInvalidError(f"the parameter {name} is a short text")
    return value
