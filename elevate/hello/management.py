"""What a person changes later: another PIN, a name, one gesture less, or everything anew.

A changed PIN has a new salt and a new device secret, and the old secret is destroyed: an old container put back opens nothing.
Source: hello.md rows 15, 16, 21, 29, 30.
"""

from dataclasses import replace

from elevate.canonical import Json
from elevate.errors import NotEnrolledError, PinExpiredError
from elevate.hello.container import PIN, SECURITY_KEY, Container
from elevate.hello.enrolments import Enrolments, plain
from elevate.hello.pins import check_new_pin, wipe
from elevate.hello.proof import Proof

DAY_SECONDS = 86_400


class Management(Enrolments):
    """Changes to what is enrolled."""

    def change_pin(self, user: str, proof: Proof, new: bytearray) -> dict[str, Json]:
        """Put a new PIN in place of the old; wipes both.

        Args:
            user: Whose.
            proof: The old PIN, or another gesture: then this is the reset that destroys nothing, and the key stays.
            new: As typed.

        Raises:
            PinRefusedError: The new PIN breaks a rule, or is in the history.
            GestureError, LockedOutError: The proof fails.
        """
        try:
            check_new_pin(new, self.settings.pin)
            with self.vault.changing(user):
                held = self.vault.load(user)
                old = held.protector(PIN)
                self._refuse_unusable(held, proof.gesture)
                with self.vault.unlocked(held, proof) as opened:
                    self.vault.counter(held.owner).succeed(opened.charged)
                    self.vault.save(self._with_pin(held, opened.key, new))
                if old:
                    self.vault.forget(old)
            return self._one(user, PIN)
        finally:
            wipe(new)
            wipe(proof.secret)

    def rename(self, user: str, gesture: str, label: str) -> dict[str, Json]:
        """Give a gesture a name of one's own.

        Raises:
            NotEnrolledError: No such gesture.
        """
        with self.vault.changing(user):
            held = self.vault.load(user)
            found = held.protector(gesture)
            if found is None:
                raise NotEnrolledError(f"{user} has not enrolled {gesture}")
            self.vault.save(held.with_protector(replace(found, label=plain(label))))
        return self._one(user, gesture)

    def remove(self, user: str, gesture: str, proof: Proof) -> list[dict[str, Json]]:
        """Take a gesture away; without a PIN there are no others, so all go with it.

        Raises:
            NotEnrolledError: No such gesture.
            GestureError, LockedOutError: The proof fails.
        """
        try:
            with self.vault.changing(user):
                held = self.vault.load(user)
                if not held.of(gesture) and not (gesture == SECURITY_KEY and held.security_keys):
                    raise NotEnrolledError(f"{user} has not enrolled {gesture}")
                self._refuse_unusable(held, proof.gesture)
                with self.vault.unlocked(held, proof) as opened:
                    self.vault.counter(held.owner).succeed(opened.charged)
                self._take_away(held, gesture)
            return self.list(user)
        finally:
            wipe(proof.secret)

    def _take_away(self, held: Container, gesture: str) -> None:
        if gesture == PIN:
            self.vault.destroy_owner(held.owner)
            return
        self.vault.save(held.without(gesture))
        for one in held.of(gesture):
            self.vault.forget(one)

    def reset(self, user: str, *, root: bool = False) -> None:
        """Destroy everything of a person: all keys and gestures; what was signed before verifies no more.

        Root can do this whatever is locked or damaged, so nobody is locked out for good.

        Raises:
            HelloError: This is a root broker, and the peer is not root.
        """
        self._need_root("a reset", root=root)
        with self.vault.changing(user) as owner:
            self.vault.destroy_owner(owner)

    def unlock_tries(self, user: str, *, root: bool = False) -> None:
        """Forget a person's wrong tries, and keep the gestures.

        Raises:
            HelloError: This is a root broker, and the peer is not root.
        """
        self._need_root("forgetting wrong tries", root=root)
        self.vault.counter(self.vault.load(user).owner).reset()

    def _one(self, user: str, gesture: str) -> dict[str, Json]:
        return next(found for found in self.list(user) if found["gesture"] == gesture)

    def _refuse_expired(self, held: Container, gesture: str) -> None:
        days = self.settings.pin.expiration_days
        if gesture == PIN and days and self._clock.read().unix - held.pin_set_at >= days * DAY_SECONDS:
            raise PinExpiredError(f"the PIN is older than {days} days")
