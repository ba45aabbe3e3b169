"""How wrong PINs are counted. Pure: a record and an instant in, a record out.

Two layers, as on Windows. The *device* layer (TPM anti-hammering): 32 wrong PINs lock, one is forgotten every 600 s, a right
PIN does not reset it. The *sign-in* layer: after 3 wrong PINs in a row a phrase must be typed; the next wrong PIN switches the
PIN off until the machine restarts, and each such restart brings a longer wait.

A try is counted (`charge`) and synced before the PIN is looked at, and only one's own try is given back (`refund`), so that
no crash and no number of processes gets more tries than the limit.

Time is the monotonic clock of one boot. The wall clock is read only where the owner lets time count while the machine is off,
and then only forwards, so a clock that is set back forgets nothing.
"""

from dataclasses import dataclass, fields, replace
from typing import Self

from elevate.canonical import Json
from elevate.errors import HelloDamagedError
from elevate.hello.settings import LockoutRules
from elevate.ports import Instant

_US = 1_000_000
RESERVED = 63
"""So many counts more are given before the record must be synced again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """One reading of the clocks, and of which boot it is."""

    at: Instant
    boot_id: str

    @property
    def mono_us(self) -> int:
        """Monotonic microseconds: what a canonical integer holds for 285 years, where nanoseconds end after 104 days."""
        return self.at.mono_ns // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The record of one user.

    Attributes:
        failed: Tries that were counted and neither forgotten nor given back.
        since_us: From when the next one is being forgotten, monotonic of ``boot_id``.
        in_row: Wrong ones since the last success.
        phrase_typed: The phrase was typed since the last try.
        off_in: Boot in which the PIN is off; empty where it is on.
        restarts: Restarts that a wrong PIN made necessary, since the last success.
        free_at_us: The PIN can't be tried before this.
        sign_count: The authenticator's signature counter.
        reserved: Up to here counts may have been given that were not synced; after a restart it goes on above.
    """

    failed: int = 0
    since_us: int = 0
    seen_unix_us: int = 0
    boot_id: str = ""
    in_row: int = 0
    phrase_typed: bool = False
    off_in: str = ""
    restarts: int = 0
    free_at_us: int = 0
    sign_count: int = 0
    reserved: int = 0

    def to_json(self) -> dict[str, Json]:
        """Give the members as they are kept."""
        return {name: getattr(self, name) for name in _MEMBERS}

    @classmethod
    def from_json(cls, members: dict[str, Json]) -> Self:
        """Read what was kept.

        Raises:
            HelloDamagedError: A member is missing, unknown or of another type.
        """
        members = {"reserved": 0, **members}  # a record from before there was this member
        if {name: type(value) for name, value in members.items()} != _MEMBERS:
            raise HelloDamagedError("the counter's record is not ours")
        return cls(**members)  # type: ignore[arg-type] # checked one line above


_MEMBERS = {field.name: type(field.default) for field in fields(Tries)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether a PIN may be tried now.

    Attributes:
        locked: ``""``, ``"failures"``, ``"restart"`` or ``"wait"``.
        wait_seconds: How long until it may be tried; 0 where only a restart helps.
        tries_left: Until the next lock of either layer.
        phrase_needed: The phrase must be typed first.
    """

    locked: str = ""
    wait_seconds: int = 0
    tries_left: int = 0
    phrase_needed: bool = False


def settle(tries: Tries, now: Now, rules: LockoutRules) -> Tries:
    """Let the time that has passed count."""
    if tries.boot_id != now.boot_id:
        tries = _booted(tries, now, rules)
    passed = max(0, now.mono_us - tries.since_us) // (rules.recovery_seconds * _US)
    forgotten = min(tries.failed, passed)
    since = tries.since_us + passed * rules.recovery_seconds * _US
    seen = max(tries.seen_unix_us, now.at.unix_us)
    return replace(tries, failed=tries.failed - forgotten, since_us=since, seen_unix_us=seen)


def standing(tries: Tries, now: Now, rules: LockoutRules) -> Standing:
    """Say whether a settled record lets a PIN be tried."""
    if tries.failed >= rules.max_failures:
        over = tries.failed - rules.max_failures
        us = tries.since_us + (over + 1) * rules.recovery_seconds * _US - now.mono_us
        return Standing(locked="failures", wait_seconds=_ceil(us))
    if tries.off_in:
        return Standing(locked="restart")
    if tries.free_at_us > now.mono_us:
        return Standing(locked="wait", wait_seconds=_ceil(tries.free_at_us - now.mono_us))
    needed = bool(rules.phrase_after) and tries.in_row >= rules.phrase_after and not tries.phrase_typed
    return Standing(tries_left=_left(tries, rules), phrase_needed=needed)


def charge(tries: Tries, now: Now, rules: LockoutRules) -> Tries:
    """Count a try before it is checked, as if it were wrong."""
    in_row = tries.in_row + 1
    off = now.boot_id if rules.phrase_after and in_row > rules.phrase_after else ""
    return replace(
        tries, failed=tries.failed + 1, since_us=now.mono_us, in_row=in_row, phrase_typed=False, off_in=off, free_at_us=0
    )


def count(tries: Tries) -> Tries:
    """Take the next signature count; where none is left of those that are reserved, reserve more."""
    number = tries.sign_count + 1
    return replace(tries, sign_count=number, reserved=tries.reserved if number <= tries.reserved else number + RESERVED)


def refund(tries: Tries, before: Tries) -> Tries:
    """Give back one's own try after it was right; ``before`` is the record that `charge` was given."""
    since = max(before.since_us, 0) if tries.failed == before.failed + 1 else tries.since_us
    failed = max(0, tries.failed - 1)
    return replace(tries, failed=failed, since_us=since, in_row=0, phrase_typed=False, off_in="", restarts=0, free_at_us=0)


def _booted(tries: Tries, now: Now, rules: LockoutRules) -> Tries:
    off_us = now.at.unix_us - tries.seen_unix_us if rules.forget_while_off and tries.seen_unix_us else 0
    off = tries.failed and max(0, off_us // _US // rules.recovery_seconds)
    restarts, free_at = tries.restarts, 0
    if tries.off_in:
        restarts += 1
        free_at = now.mono_us + rules.restart_waits[min(restarts, len(rules.restart_waits)) - 1] * _US
    return replace(
        tries,
        failed=max(0, tries.failed - off),
        since_us=now.mono_us,
        boot_id=now.boot_id,
        off_in="",
        phrase_typed=False,
        restarts=restarts,
        free_at_us=free_at,
        sign_count=max(tries.sign_count, tries.reserved),
    )


def _left(tries: Tries, rules: LockoutRules) -> int:
    device = rules.max_failures - tries.failed
    return min(device, max(1, rules.phrase_after + 1 - tries.in_row)) if rules.phrase_after else device


def _ceil(us: int) -> int:
    return -(-us // _US)
