"""A person's visit to the enrolment desk: what ``elevate hello`` asks of the broker, beside the elevations.

Secrets are typed into the broker's own prompt program on the caller's terminal; the client never has them. The socket hands
every method here::

    answer = enrolling.call(visit, "HelloEnrol", {"gesture": "face"})

Whose gestures: the requester's own, by the kernel's word. Only root, and the user that the broker runs as, may name another.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from elevate.broker.prompting import TerminalPrompter
from elevate.broker.terminal import OpenPrompt
from elevate.broker.visiting import Parameters, Visit, text, visit
from elevate.canonical import Json
from elevate.errors import DeniedError, GestureError, LockedOutError, PinRefusedError, TaskInvalidError
from elevate.hello import Proof
from elevate.hello.container import PIN
from elevate.hello.pins import wipe
from elevate.hello.view import check_view

__all__ = ["METHODS", "Visit", "call", "visit"]

T = TypeVar("T")


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
    user, gesture, label = who.user(parameters), text(parameters, "gesture") or PIN, text(parameters, "label")
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
    with who.turn() as terminal:
        prompter = TerminalPrompter(who.hello, who.launcher, terminal)
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
    user, gesture = who.user(parameters), text(parameters, "gesture")
    who.written("renaming", user, gesture)
    return {"enrolled": who.hello.rename(user, gesture, text(parameters, "label"))}


def remove(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Take a gesture away, on the proof of the PIN."""
    user, gesture = who.user({}), text(parameters, "gesture")

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
    user, gesture = who.user({}), text(parameters, "gesture") or PIN
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


def unlock(who: Visit, parameters: Parameters) -> dict[str, Json]:
    """Forget a person's wrong tries and keep the gestures; on a root broker for root only."""
    user = who.user(parameters)
    who.written("unlocking", user, PIN)
    who.hello.unlock_tries(user, root=who.is_root)
    return {"gestures": list(who.hello.list(user))}


METHODS: Mapping[str, Callable[[Visit, Parameters], dict[str, Json]]] = {
    "HelloEnrol": enrol,
    "HelloList": listing,
    "HelloVerify": verify,
    "HelloTest": test,
    "HelloRename": rename,
    "HelloRemove": remove,
    "HelloChangePin": change_pin,
    "HelloReset": reset,
    "HelloUnlock": unlock,
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
