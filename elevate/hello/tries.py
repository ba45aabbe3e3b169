"""The lock-out counter as it is kept: one locked, synced record per user.

One short lock for each change; the slow check of a PIN runs outside of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from elevate.errors import GestureError, LockedOutError, PhraseNeededError
from elevate.hello import lockout
from elevate.hello.lockout import Now, Standing, Tries
from elevate.hello.private import Slot, SlotFile
from elevate.hello.settings import LockoutRules
from elevate.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """A try that was counted: how the record was before, and what stands after it if it is wrong."""

    before: Tries
    standing: Standing


class Counter:
    """One user's tries and signature counter."""

    def __init__(self, path: Path, *, clock: Clock, rules: LockoutRules) -> None:
        self._file = SlotFile(path)
        self._clock = clock
        self._rules = rules

    def create(self, *, sign_count: int = 0) -> None:
        """Begin at zero tries; the signature counter never goes back."""
        now = self._now()
        fresh = Tries(boot_id=now.boot_id, since_us=now.mono_us, seen_unix_us=now.at.unix_us, sign_count=sign_count)
        self._file.create(fresh.to_json())

    def standing(self) -> Standing:
        """Say whether a PIN may be tried now."""
        with self._file.open() as slot:
            now = self._now()
            return lockout.standing(self._settled(slot, now), now, self._rules)

    def charge(self) -> Charged:
        """Count a try; it is synced when this returns.

        Raises:
            LockedOutError: No try is left; nothing was counted.
            PhraseNeededError: The phrase must be typed first; nothing was counted.
            StoreUnwritableError: It could not be counted, so nothing may be checked.
        """
        with self._file.open() as slot:
            now = self._now()
            before = self._settled(slot, now)
            self._refuse_locked(lockout.standing(before, now, self._rules))
            after = lockout.charge(before, now, self._rules)
            slot.write(after.to_json())
            return Charged(before=before, standing=lockout.standing(after, now, self._rules))

    def succeed(self, charged: Charged | None) -> int:
        """Give the try back, where one was counted, and give the next signature count, which never comes again.

        Synced where a try is given back, and where a count was not reserved by a sync before.
        """
        with self._file.open() as slot:
            tries = self._settled(slot, self._now())
            if charged:
                tries = lockout.refund(tries, charged.before)
            after = lockout.count(tries)
            slot.write(after.to_json(), sync=charged is not None or after.reserved != tries.reserved)
            return after.sign_count

    def type_phrase(self, text: str) -> bool:
        """Take the phrase, in capitals or not; it is no try."""
        right = text.strip().upper() == self._rules.phrase
        with self._file.open() as slot:
            tries = self._settled(slot, self._now())
            if right:
                slot.write(replace(tries, phrase_typed=True).to_json())
        return right

    def reset(self) -> None:
        """Forget all tries; for root, whom nobody locks out."""
        with self._file.open() as slot:
            kept = Tries.from_json(slot.record)
        self.create(sign_count=max(kept.sign_count, kept.reserved))

    def _settled(self, slot: Slot, now: Now) -> Tries:
        kept = Tries.from_json(slot.record)
        tries = lockout.settle(kept, now, self._rules)
        if kept.boot_id != tries.boot_id:  # a wait that begins with a restart begins once
            slot.write(tries.to_json())
        return tries

    def _now(self) -> Now:
        return Now(at=self._clock.read(), boot_id=self._clock.boot_id)

    def _refuse_locked(self, found: Standing) -> None:
        if found.locked:
            raise locked_out(found)
        if found.phrase_needed:
            raise PhraseNeededError(f"type {self._rules.phrase} first, then the PIN")


def locked_out(found: Standing) -> LockedOutError:
    """Say why a PIN can't be tried, and how long that lasts."""
    if found.locked == "restart":
        return LockedOutError(
            "the PIN is off until the machine restarts, after too many wrong PINs",
            hint="use another gesture, or restart",
        )
    return LockedOutError(f"too many wrong PINs; the next try is possible in {spell(found.wait_seconds)}")


def wrong_gesture(charged: Charged | None) -> GestureError | LockedOutError:
    """Say that a gesture was wrong, and how many tries of a PIN are left."""
    if charged is None:
        return GestureError("the sensor did not recognise you", detail="the protector does not unseal")
    if charged.standing.locked:
        return locked_out(charged.standing)
    left = charged.standing.tries_left
    return GestureError(f"wrong PIN; {left} {'try' if left == 1 else 'tries'} left")


def spell(seconds: int) -> str:
    """Give a time to wait in words."""
    minutes, rest = divmod(seconds, 60)
    parts = [f"{minutes} min"] * bool(minutes) + [f"{rest} s"] * bool(rest or not minutes)
    return " ".join(parts)
