"""Gestures: how a person proves to be there, and who asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from elevate.canonical import Json
from elevate.model import VerifiedGesture


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """A gesture's proof, in the shape of WebAuthn.

    Attributes:
        credential: Id of the credential, base64url.
        gesture: ``pin``, ``face``, and so on: which protector unlocked the key.
        authenticator_data: rpIdHash, flags, sign counter.
        client_data: JSON with type, challenge and origin.
    """

    credential: str
    gesture: str
    authenticator_data: bytes
    client_data: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a person can prove oneself with now.

    Attributes:
        gestures: Names, the one used last first.
        phrase: The person's own secret phrase, which a true prompt shows; empty where none is set.
        tries_left: Wrong PINs that are left before the lock-out.
        wait_seconds: 0, or how long the PIN is locked.
        pin_phrase: What must be typed before the next PIN, after several wrong ones; empty where nothing must.
    """

    gestures: tuple[str, ...]
    phrase: str = field(default="", repr=False)
    tries_left: int = 0
    wait_seconds: int = 0
    pin_phrase: str = ""


class Hello(Protocol):
    """Proof that the person is there and agrees. ``challenge`` is ``nonce16 || request_digest``, 48 bytes."""

    def offer(self, user: str) -> Offer:
        """Say which gestures the person has.

        Raises:
            NotEnrolledError: None that can be used here.
        """

    def sign(self, user: str, gesture: str, challenge: bytes, *, secret: bytearray | None = None) -> Assertion:
        """Make the gesture: unlock the key with it and sign. A PIN's try is counted and synced before it is checked.

        Args:
            user: Whose key.
            gesture: One of the offered.
            challenge: What is agreed to.
            secret: The PIN; wiped before return. None for a sensor.

        Raises:
            GestureError: Wrong PIN, or the sensor found no match; the message says how many tries are left.
            LockedOutError: The PIN is locked; nothing was checked.
            NotEnrolledError: No such gesture.
        """

    def verify(self, user: str, assertion: Assertion, challenge: bytes) -> VerifiedGesture:
        """Check an assertion as a relying party; a challenge verifies once.

        Raises:
            GestureError: Anything is not as it must be.
        """


class Cancel(Protocol):
    """Tells a waiting step that the client has left."""

    def cancelled(self) -> bool:
        """Say whether to stop."""

    def fileno(self) -> int:
        """Give a descriptor that turns readable when to stop."""


class Prompter(Protocol):
    """Shows what is asked and comes back with a proof."""

    def ask(self, view: "Mapping[str, Json]", user: str, challenge: bytes, *, cancel: Cancel) -> Assertion:
        """Ask the person once.

        Raises:
            DeclinedError: The person said no.
            PromptTimedOutError: Nobody answered.
            LockedOutError: Too many wrong tries.
            CancelledError: ``cancel`` fired.
            GestureError: No gesture succeeded.
        """
