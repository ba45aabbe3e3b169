"""`SoftwareHello`: gestures, enrolment and verification in one place, on keys that are kept in files.

It says `swk` (software key) of itself, never `hwk`. Which gesture was made is in what is signed (the extension `uvm`), so that
a face can't be passed off as a PIN.
"""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from elevate.errors import GestureError, NotEnrolledError
from elevate.hello import keys, party, uvm, webauthn
from elevate.hello.container import CONSENT, PIN, SECURITY_KEY, SENSED, Container
from elevate.hello.enrolments import Parts
from elevate.hello.management import Management
from elevate.hello.party import Challenges, Credential
from elevate.hello.pins import wipe
from elevate.hello.proof import Proof, Stop
from elevate.hello.settings import TRUSTED_SIGNAL
from elevate.hello.tries import locked_out
from elevate.hello.webauthn import AuthenticatorData, b64
from elevate.model import VerifiedGesture
from elevate.ports import Assertion, Offer

CHALLENGE_BYTES = 48


class SoftwareHello(Management):
    """Implements `elevate.ports.Hello` with a software container per person; arguments as of `Enrolments`."""

    def __init__(self, folder: Path, **parts: Unpack[Parts]) -> None:
        super().__init__(folder, **parts)
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
            self._refuse_unusable(held, gesture)
            client = webauthn.client_data(challenge, self.settings.party.origins[0])
            return self._assert(held, Proof(gesture=gesture, secret=secret, stop=stop), client)
        finally:
            wipe(secret)

    def assert_hash(self, user: str, proof: Proof, client_data_hash: bytes) -> tuple[str, bytes, bytes]:
        """Sign as an authenticator does, over a hash that the caller made; for `elevate.hello.ctap`.

        Returns:
            The credential's id, the authenticator data and the signature.
        """
        held = self.vault.load(user)
        return held.credential, *self._signed(held, proof, client_data_hash)

    def _signed(self, held: Container, proof: Proof, client_data_hash: bytes) -> tuple[bytes, bytes]:
        with self.vault.unlocked(held, proof) as opened:
            count = self.vault.counter(held.owner).succeed(opened.charged)
            self._refuse_expired(held, proof.gesture)
            made = (proof.gesture, *self._second_factor(held, proof))
            store = self.vault.store_of(held)
            data = self._data(made, count=count, hardware=store.hardware)
            signature = store.sign(held.algorithm, held.key_blob, opened.key, data + client_data_hash)
        return data, signature

    def attest(self, user: str, proof: Proof, data: bytes) -> bytes:
        """Let a person's key sign for itself, as a new credential does; the gesture is needed as for any signature."""
        held = self.vault.load(user)
        with self.vault.unlocked(held, proof) as opened:
            self.vault.counter(held.owner).succeed(opened.charged)
            return self.vault.store_of(held).sign(held.algorithm, held.key_blob, opened.key, data)

    def verify(self, user: str, assertion: Assertion, challenge: bytes) -> VerifiedGesture:
        """Check an assertion as a relying party; a challenge verifies once, right or wrong."""
        now = self._clock.read()
        with self._guard:
            self._challenges.spend(challenge, now)
        held = None if assertion.gesture == CONSENT else self.vault.load(user)
        data, public_key = self._check(held, assertion, challenge)
        gesture = assertion.gesture
        made = (gesture,) if gesture == SECURITY_KEY else uvm.decode(data.extensions)
        simulated = self._check_gestures(held, made, assertion)
        hardware = held is not None and (not simulated if gesture == SECURITY_KEY else self.vault.store_of(held).hardware)
        if held and held.last_used != gesture:
            self._remember(user, gesture)
        return VerifiedGesture(
            method=uvm.strongest(made),
            amr=uvm.amr(made, simulated=simulated, hardware=hardware),
            acr=uvm.acr(uvm.strongest(made), hardware=hardware),
            credential=assertion.credential,
            auth_time=now.unix,
            simulated=simulated,
            assertion={
                "authenticator_data": b64(assertion.authenticator_data),
                "client_data": b64(assertion.client_data),
                "signature": b64(assertion.signature),
                "public_key": b64(public_key),
            },
        )

    def type_phrase(self, user: str, text: str) -> bool:
        """Take the phrase that is asked for after wrong PINs; it is no try."""
        return self.vault.counter(self.vault.load(user).owner).type_phrase(text)

    def _assert(self, held: Container, proof: Proof, client: bytes) -> Assertion:
        if proof.gesture == SECURITY_KEY:
            return self._by_security_key(held, client, proof.stop)
        data, signature = self._signed(held, proof, hashlib.sha256(client).digest())
        return Assertion(
            credential=held.credential, gesture=proof.gesture, authenticator_data=data, client_data=client, signature=signature
        )

    def _by_security_key(self, held: Container, client: bytes, stop: Stop) -> Assertion:
        if self._security_key is None:
            raise NotEnrolledError("this broker takes no security keys")
        made = self._security_key.assertion(self.settings.party, known=held.security_keys, client_data=client, stop=stop)
        return Assertion(
            credential=made.credential,
            gesture=SECURITY_KEY,
            authenticator_data=made.authenticator_data,
            client_data=client,
            signature=made.signature,
        )

    def _consent(self, challenge: bytes) -> Assertion:
        with self._guard:
            self._presence_count += 1
            data = self._data((CONSENT,), count=self._presence_count, hardware=False)
        client = webauthn.client_data(challenge, self.settings.party.origins[0])
        signature = keys.sign(self._presence, webauthn.signed_bytes(data, client))
        return Assertion(credential=CONSENT, gesture=CONSENT, authenticator_data=data, client_data=client, signature=signature)

    def _data(self, gestures: tuple[str, ...], *, count: int, hardware: bool) -> bytes:
        return AuthenticatorData(
            rp_id_hash=webauthn.rp_id_hash(self.settings.party.rp_id),
            flags=webauthn.UP | webauthn.ED | (0 if gestures == (CONSENT,) else webauthn.UV),
            sign_count=count,
            extensions=uvm.encode(gestures, hardware=hardware),
        ).encode()

    def _check(self, held: Container | None, assertion: Assertion, challenge: bytes) -> tuple[AuthenticatorData, bytes]:
        rules = self.settings.party
        if held is None:
            with self._guard:
                known = Credential(id=CONSENT, public_key=keys.cose(self._presence, keys.ES256), sign_count=self._presence_seen)
                data = party.check_assertion(assertion, known, challenge, rules, verification=False)
                self._presence_seen = data.sign_count
            return data, known.public_key
        name, public_key = _expected(held, assertion)
        with self.vault.seen(held.owner).open() as slot:
            last = slot.record.get(name, 0)
            known = Credential(id=name, public_key=public_key, sign_count=last if isinstance(last, int) else 0)
            data = party.check_assertion(assertion, known, challenge, rules)
            # Not synced: a count that is lost in a crash makes a copied key harder to see once, and locks nobody out.
            slot.write({**slot.record, name: data.sign_count}, sync=False)
        return data, public_key

    def _check_gestures(self, held: Container | None, made: tuple[str, ...], assertion: Assertion) -> bool:
        """Refuse gestures that are not as signed, not enrolled, not allowed or too few; say whether one is simulated."""
        if made[0] != assertion.gesture:
            raise GestureError("the gesture does not verify", detail=f"not signed as {assertion.gesture}")
        if held is None:
            return False
        usable = {*self._usable(held), TRUSTED_SIGNAL}
        rules = self.settings.multi_factor
        if not usable.issuperset(made) or (rules and not rules.satisfied_by(made)):
            raise GestureError("the gesture does not verify", detail=f"{made}: not enrolled, not allowed or too few")
        if SECURITY_KEY in made:
            return any(one.simulated for one in held.security_keys if one.credential == assertion.credential)
        return any(one.simulated for one in held.protectors if one.gesture in made)

    def _second_factor(self, held: Container, proof: Proof) -> tuple[str, ...]:
        """Make the other gesture that two factors need: a sensor that looks now, or the trusted signal."""
        rules = self.settings.multi_factor
        if rules is None:
            return ()
        if rules.satisfied_by((proof.gesture, TRUSTED_SIGNAL)) and self.signal is not None and self.signal.present():
            return (TRUSTED_SIGNAL,)
        for other in self._usable(held):
            if other in SENSED and rules.satisfied_by((proof.gesture, other)):
                with self.vault.unlocked(held, Proof(gesture=other, stop=proof.stop)):
                    return (other,)
        raise GestureError("two gestures are needed here, and the other one was not made")

    def _remember(self, user: str, gesture: str) -> None:
        with self.vault.changing(user):
            self.vault.save(replace(self.vault.load(user), last_used=gesture))


def _expected(held: Container, assertion: Assertion) -> tuple[str, bytes]:
    if assertion.gesture != SECURITY_KEY:
        return held.credential, held.public_key
    for one in held.security_keys:
        if one.credential == assertion.credential:
            return one.credential, one.public_key
    raise GestureError("the gesture does not verify", detail="a security key that is not enrolled")
