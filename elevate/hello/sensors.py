"""Sensors: what looks at a face or a finger. Templates and the sensor's key stay inside; what comes out is sealed to one nonce.

A sensor and a container agree on a channel key when a person is enrolled. On a match the sensor gives back, sealed with that
key and bound to the caller's nonce and the time, the protector key that it drew at enrolment; without a match it has nothing
to give. So a replayed, late, forged or swapped answer opens nothing.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from elevate import canonical
from elevate.errors import DeviceAbsentError, DeviceBusyError, GestureError
from elevate.ports import Instant

REPLY_SECONDS = 5
_NS = 1_000_000_000
_IV_BYTES = 12


class Sight(StrEnum):
    """What a sensor saw."""

    MATCH = "match"
    NO_MATCH = "no-match"
    SPOOF = "spoof"
    TIME_OUT = "time-out"
    BUSY = "busy"
    ABSENT = "absent"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What a sensor gives once, when a person is enrolled.

    Attributes:
        template: Name of the template inside the sensor; says nothing of the person.
        channel: Key of the channel between this container and the sensor.
        protector: The key that the sensor will give back on a match.
    """

    template: str
    channel: bytes = field(repr=False)
    protector: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A sensor's answer; ``sealed`` is empty unless it saw a match."""

    sight: Sight
    nonce: bytes
    at_ns: int
    sealed: bytes = field(default=b"", repr=False)


class Sensor(Protocol):
    """A device that knows people by their body.

    Attributes:
        gesture: ``face`` or ``fingerprint``.
        simulated: It is driven by a script.
        anti_spoofing: It can tell a picture from a person.
    """

    gesture: str
    simulated: bool
    anti_spoofing: bool

    def enrol(self, owner: str) -> Enrolment:
        """Take a template of the person who is there, for the container ``owner``."""

    def match(self, template: str, owner: str, nonce: bytes, *, stop: Callable[[], bool]) -> Reply:
        """Look once, for two seconds at most; ``stop`` ends it early."""

    def forget(self, template: str) -> None:
        """Destroy a template."""

    def state(self) -> Sight:
        """Say whether it could look now: `Sight.MATCH` where ready, else busy, absent or error."""


def seal_reply(channel: bytes, protector: bytes, *, owner: str, nonce: bytes, at_ns: int) -> Reply:
    """Make the answer to a match; for sensors."""
    iv = secrets.token_bytes(_IV_BYTES)
    sealed = iv + AESGCM(channel).encrypt(iv, protector, _context(owner, nonce, at_ns))
    return Reply(sight=Sight.MATCH, nonce=nonce, at_ns=at_ns, sealed=sealed)


def open_reply(reply: Reply, channel: bytes, *, owner: str, nonce: bytes, now: Instant) -> bytes:
    """Take the protector key out of an answer.

    Raises:
        GestureError: No match, another nonce, older than 5 s or from the future, or not sealed for this container.
    """
    if reply.sight is not Sight.MATCH:
        raise _ERRORS.get(reply.sight, GestureError)(_SEEN[reply.sight], detail=f"sensor: {reply.sight}")
    age = now.mono_ns - reply.at_ns
    if reply.nonce != nonce or not 0 <= age <= REPLY_SECONDS * _NS:
        raise GestureError(_SEEN[Sight.NO_MATCH], detail="sensor: an answer to another question, or too old")
    try:
        iv, sealed = reply.sealed[:_IV_BYTES], reply.sealed[_IV_BYTES:]
        return AESGCM(channel).decrypt(iv, sealed, _context(owner, nonce, reply.at_ns))
    except (InvalidTag, ValueError) as exc:
        raise GestureError(_SEEN[Sight.NO_MATCH], detail="sensor: an answer that it did not seal for this person") from exc


_SEEN: Mapping[Sight, str] = {
    Sight.NO_MATCH: "the sensor did not recognise you",
    Sight.SPOOF: "the sensor did not recognise you",
    Sight.TIME_OUT: "the sensor saw nobody in time",
    Sight.BUSY: "the sensor is busy",
    Sight.ABSENT: "the sensor is not connected",
    Sight.ERROR: "the sensor failed",
}

_ERRORS: Mapping[Sight, type[GestureError]] = {Sight.ABSENT: DeviceAbsentError, Sight.BUSY: DeviceBusyError}


def _context(owner: str, nonce: bytes, at_ns: int) -> bytes:
    return canonical.encode({"owner": owner, "nonce": nonce.hex(), "at": str(at_ns)})
