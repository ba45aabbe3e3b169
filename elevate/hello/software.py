"""`SoftwareHello`: gestures, enrolment and verification in one place, on keys that are kept in files.

It says `swk` (software key) of itself, never `hwk`. Which gesture was made is in what is signed (the extension `uvm`), so that
a face can't be passed off as a PIN.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from elevate.errors import GestureError, NotEnrolledError
from elevate.hello import keys, party, uvm, webauthn
from elevate.hello.container import CONSENT, PIN, Container
from elevate.hello.management import Management
from elevate.hello.party import Challenges, Credential
from elevate.hello.pins import wipe
from elevate.hello.secrets import DeviceSecrets
from elevate.hello.sensors import Sensor
from elevate.hello.settings import HelloSettings
from elevate.hello.tries import locked_out
from elevate.hello.vault import Proof, Stop
from elevate.hello.webauthn import AuthenticatorData, b64
from elevate.model import VerifiedGesture
from elevate.ports import Assertion, Clock, Entropy, Offer

CHALLENGE_BYTES = 48


class SoftwareHello(Management):
    """Implements `elevate.ports.Hello` with a software container per person; arguments as of `Enrolments`."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        entropy: Entropy,
        sensors: Mapping[str, Sensor] | None = None,
        settings: HelloSettings | None = None,
        secrets: DeviceSecrets | None = None,
    ) -> None:
        super().__init__(folder, clock=clock, entropy=entropy, sensors=sensors, settings=settings, secrets=secrets)
        self._challenges = Challenges(self.settings.party.challenge_seconds)
        self._guard = threading.Lock()
        self._presence = keys.new_key(keys.ES256)
        self._presence_count = 0
        self._presence_seen = 0

    def offer(self, user: str) -> Offer:
        """Say which gestures the person has: the one used last first, the PIN always where it is not locked.

        Raises:
            NotEnrolledError: None.
            LockedOutError: The PIN is locked, and there is no other.
        """
        held = self.vault.load(user)
        found = self.vault.counter(held.owner).standing()
        usable = [name for name in self._usable(held) if name != PIN or not found.locked]
        if not usable:
            raise locked_out(found)
        usable.sort(key=lambda name: (name != held.last_used, name == PIN, name))
        return Offer(
            gestures=tuple(usable),
            phrase=held.phrase,
            tries_left=found.tries_left,
            wait_seconds=found.wait_seconds,
            pin_phrase=self.settings.lockout.phrase if found.phrase_needed else "",
        )

    def expect(self, challenge: bytes) -> None:
        """Note that a challenge is out; its age counts from here. `sign` does it too.

        Raises:
            GestureError: It was used already, or is no nonce and digest.
        """
        if len(challenge) != CHALLENGE_BYTES:
            raise GestureError("the gesture does not verify", detail="a challenge is nonce16 || request_digest")
        with self._guard:
            self._challenges.expect(challenge, self._clock.read())

    def sign(
        self,
        user: str,
        gesture: str,
        challenge: bytes,
        *,
        secret: bytearray | None = None,
        stop: Stop = bool,
    ) -> Assertion:
        """Make the gesture: unlock the key with it and sign; see `elevate.ports.Hello.sign`.

        Args:
            user: Whose key.
            gesture: One of the offered, or ``consent``: the person is there and agrees, without proof of who it is.
            challenge: What is agreed to.
            secret: The PIN; wiped before return.
            stop: Ends a sensor's look early.
        """
        try:
            self.expect(challenge)
            if gesture == CONSENT:
                return self._consent(challenge)
            held = self.vault.load(user)
            if gesture not in self._usable(held):
                raise NotEnrolledError(f"{user} can't use {gesture} here")
            with self.vault.unlocked(held, Proof(gesture=gesture, secret=secret, stop=stop)) as opened:
                key = keys.from_bytes(held.algorithm, opened.key)
                count = self.vault.counter(held.owner).succeed(opened.charged)
                self._refuse_expired(held, gesture)
                return self._sign(key, held.credential, gesture, challenge, count=count)
        finally:
            wipe(secret)

    def verify(self, user: str, assertion: Assertion, challenge: bytes) -> VerifiedGesture:
        """Check an assertion as a relying party; a challenge verifies once, right or wrong."""
        now = self._clock.read()
        with self._guard:
            self._challenges.spend(challenge, now)
        held = None if assertion.gesture == CONSENT else self.vault.load(user)
        data = self._check(held, assertion, challenge)
        gesture = assertion.gesture
        simulated = self._check_gesture(held, gesture, data)
        if held and held.last_used != gesture:
            self._remember(user, gesture)
        return VerifiedGesture(
            method=gesture,
            amr=uvm.amr(gesture, simulated=simulated),
            acr=uvm.acr(gesture),
            credential=assertion.credential,
            auth_time=now.unix,
            simulated=simulated,
            assertion={
                "authenticator_data": b64(assertion.authenticator_data),
                "client_data": b64(assertion.client_data),
                "signature": b64(assertion.signature),
                "public_key": b64(self._public_key(held)),
            },
        )

    def type_phrase(self, user: str, text: str) -> bool:
        """Take the phrase that is asked for after wrong PINs; it is no try."""
        return self.vault.counter(self.vault.load(user).owner).type_phrase(text)

    def _consent(self, challenge: bytes) -> Assertion:
        with self._guard:
            self._presence_count += 1
            count = self._presence_count
        return self._sign(self._presence, CONSENT, CONSENT, challenge, count=count)

    def _sign(self, key: keys.PrivateKey, credential: str, gesture: str, challenge: bytes, *, count: int) -> Assertion:
        rules = self.settings.party
        proof = 0 if gesture == CONSENT else webauthn.UV
        data = AuthenticatorData(
            rp_id_hash=webauthn.rp_id_hash(rules.rp_id),
            flags=webauthn.UP | webauthn.ED | proof,
            sign_count=count,
            extensions=uvm.encode(gesture),
        ).encode()
        client = webauthn.client_data(challenge, rules.origins[0])
        signature = keys.sign(key, webauthn.signed_bytes(data, client))
        return Assertion(
            credential=credential, gesture=gesture, authenticator_data=data, client_data=client, signature=signature
        )

    def _check(self, held: Container | None, assertion: Assertion, challenge: bytes) -> AuthenticatorData:
        rules = self.settings.party
        if held is None:
            with self._guard:
                known = Credential(id=CONSENT, public_key=keys.cose(self._presence, keys.ES256), sign_count=self._presence_seen)
                data = party.check_assertion(assertion, known, challenge, rules, verification=False)
                self._presence_seen = data.sign_count
            return data
        with self.vault.seen(held.owner).open() as slot:
            last = slot.record.get(held.credential, 0)
            known = Credential(id=held.credential, public_key=held.public_key, sign_count=last if isinstance(last, int) else 0)
            data = party.check_assertion(assertion, known, challenge, rules)
            # Not synced: a count that is lost in a crash makes a copied key harder to see once, and locks nobody out.
            slot.write({**slot.record, held.credential: data.sign_count}, sync=False)
        return data

    def _check_gesture(self, held: Container | None, gesture: str, data: AuthenticatorData) -> bool:
        if uvm.decode(data.extensions) != gesture:
            raise GestureError("the gesture does not verify", detail=f"not signed as {gesture}")
        if held is None:
            return False
        if gesture not in self._usable(held):
            raise GestureError("the gesture does not verify", detail=f"{gesture} is not enrolled, or not allowed here")
        return any(one.simulated for one in held.protectors if one.gesture == gesture)

    def _remember(self, user: str, gesture: str) -> None:
        with self.vault.changing(user):
            self.vault.save(replace(self.vault.load(user), last_used=gesture))

    def _public_key(self, held: Container | None) -> bytes:
        return held.public_key if held else keys.cose(self._presence, keys.ES256)
