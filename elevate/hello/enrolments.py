"""Who is enrolled with what: enrolment, listing and removal of gestures.

On a root broker the first enrolment and a reset need root; any further gesture needs an existing one everywhere, because only
that unlocks the key that the new gesture shall wrap. Source: hello.md rows 20, 21, 31, 40; attacks.md row 45.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Required, TypedDict, Unpack

from elevate.canonical import Json
from elevate.errors import GestureDisabledError, HelloError, NotEnrolledError, PinRefusedError
from elevate.hello import history
from elevate.hello.container import FINGERPRINT, IV_BYTES, KEY_BYTES, PIN, SECURITY_KEY, SENSED, Container
from elevate.hello.keystore import KeyStore
from elevate.hello.pins import check_new_pin, wipe
from elevate.hello.proof import Proof
from elevate.hello.secrets import DeviceSecrets, FileSecrets
from elevate.hello.security_key import SecurityKey
from elevate.hello.sensors import Sensor, Sight
from elevate.hello.settings import AntiSpoofing, HelloSettings
from elevate.hello.signals import TrustedSignal
from elevate.hello.vault import Vault
from elevate.hello.webauthn import b64
from elevate.ports import Clock, Entropy

MAX_USERS = 10
MAX_FINGERS = 10
MAX_TEXT = 64


class Parts(TypedDict, total=False):
    """What enrolments are put together from; ``clock`` and ``entropy`` are required."""

    clock: Required[Clock]
    entropy: Required[Entropy]
    sensors: Mapping[str, Sensor]
    settings: HelloSettings | None
    secrets: DeviceSecrets | None
    store: KeyStore | None
    security_key: SecurityKey | None
    signal: TrustedSignal | None


class Enrolments:
    """The people of a machine and their gestures.

    Args:
        folder: Private to the broker's user; made where it is not there.
        clock: Of lock-out, challenges and sensors.
        entropy: Of keys and nonces.
        sensors: By gesture.
        settings: The machine's.
        secrets: Where device secrets are kept; files beside the containers where not given.
        store: Where keys are made and used; in software where not given.
        security_key: Talks to security keys that are plugged in; None where this broker takes none.
        signal: Something near that the machine trusts; for two factors, and for prompts that end when it is lost.
    """

    def __init__(self, folder: Path, **parts: Unpack[Parts]) -> None:
        self.settings = parts.get("settings") or HelloSettings()
        self._clock, self._entropy = parts["clock"], parts["entropy"]
        self._security_key = parts.get("security_key")
        self.signal = parts.get("signal")
        self.vault = Vault(
            folder,
            clock=self._clock,
            entropy=self._entropy,
            sensors=parts.get("sensors", {}),
            secrets=parts.get("secrets") or FileSecrets(folder / "device"),
            settings=self.settings,
            store=parts.get("store"),
        )

    def enrol_pin(self, user: str, pin: bytearray, *, phrase: str = "", root: bool = False) -> dict[str, Json]:
        """Make a person's container behind a first PIN; wipes ``pin``.

        Args:
            user: Whose.
            pin: As typed.
            phrase: What a true prompt will show to this person.
            root: The peer is root, by the kernel's word; a root broker makes a first enrolment for nobody else.

        Raises:
            PinRefusedError: The PIN breaks a rule.
            HelloError: There is a container already, this needs root, or ten people are enrolled.
        """
        try:
            check_new_pin(pin, self.settings.pin)
            with self.vault.changing(user) as owner:
                self.check_may_enrol(user, root=root)
                self.vault.create(user, owner, phrase=plain(phrase), protect=lambda new, key: self._with_pin(new, key, pin))
            return self.list(user)[0]
        finally:
            wipe(pin)

    def check_may_enrol(self, user: str, *, root: bool) -> None:
        """Refuse what `enrol_pin` would refuse, before a PIN is asked for."""
        self._need_root("the first enrolment", root=root)
        if self.settings.require_security_device and not self.vault.store.hardware:
            raise NotEnrolledError("keys must be in hardware here, and there is none", hint="use a machine with a TPM")
        if self.vault.find(user):
            raise HelloError(f"{user} has a PIN already", hint="elevate hello change-pin changes it")
        if self.vault.users() >= MAX_USERS:
            raise HelloError(f"{MAX_USERS} people are enrolled already", hint="reset one of them first")

    def devices(self) -> list[dict[str, Json]]:
        """Say what each sensor and key store is, and what it can do."""
        allowed = self.settings.allow_simulated_gestures
        found: list[dict[str, Json]] = [
            {
                "device": gesture,
                "kind": "sensor",
                "state": "ready" if sensor.state() is Sight.MATCH else sensor.state().value,
                "simulated": sensor.simulated,
                "usable": self._allows(sensor) and (allowed or not sensor.simulated),
                "note": "scripted: no proof of a person" if sensor.simulated else "",
            }
            for gesture, sensor in self.vault.sensors.items()
        ]
        if self._security_key:
            keyed: dict[str, Json] = {
                "device": SECURITY_KEY,
                "kind": "key store",
                "state": "on USB",
                "simulated": False,
                "usable": True,
            }
            found.append({**keyed, "note": "a key of your own that verifies you itself: hwk"})
        kept = self.vault.store
        store: dict[str, Json] = {
            "device": kept.name,
            "kind": "key store",
            "state": "ready",
            "simulated": False,
            "usable": True,
            "note": f"device secret in {self.vault.secrets.kind}: {'hwk' if kept.hardware else 'swk'}",
        }
        return [store, *found]

    def enrol(self, user: str, gesture: str, proof: Proof, *, label: str = "") -> dict[str, Json]:
        """Add a gesture; an existing one must prove the person, for only it unlocks the key.

        Raises:
            NotEnrolledError: There is no PIN yet, or no such sensor.
            HelloError: It is enrolled already.
            GestureError, LockedOutError: The proof fails.
        """
        try:
            with self.vault.changing(user):
                held = self.vault.load(user)
                self._check_gesture_is_new(held, gesture)
                self._refuse_unusable(held, proof.gesture)
                with self.vault.unlocked(held, proof) as opened:
                    self.vault.counter(held.owner).succeed(opened.charged)
                    if gesture == SECURITY_KEY:
                        changed = self._with_security_key(held, plain(label))
                    else:
                        changed = self.vault.protect_by_sensor(held, opened.key, gesture, label=plain(label))
                self.vault.save(changed)
        finally:
            wipe(proof.secret)
        return [found for found in self.list(user) if found["gesture"] == gesture][-1]

    def list(self, user: str) -> list[dict[str, Json]]:
        """Give the person's gestures, as data; empty where there is none."""
        held = self.vault.find(user)
        if held is None:
            return []
        usable = self._usable(held)
        found = [(one.gesture, held.store, one) for one in held.protectors]
        found += [(SECURITY_KEY, SECURITY_KEY, one) for one in held.security_keys]  # type: ignore[misc]
        return [
            {
                "gesture": gesture,
                "label": one.label,
                "created_at": one.created_at,
                "key_store": store,
                "device_secret": self.vault.secrets.kind,
                "simulated": one.simulated,
                "usable": gesture in usable,
                "used_last": held.last_used == gesture,
            }
            for gesture, store, one in found
        ]

    def check_may_add(self, user: str, gesture: str) -> None:
        """Refuse what `enrol` would refuse, before anything is asked for."""
        self._check_gesture_is_new(self.vault.load(user), gesture)

    def _check_gesture_is_new(self, held: Container, gesture: str) -> None:
        if gesture == SECURITY_KEY and self._security_key:
            return
        if gesture not in SENSED:
            raise HelloError(f"{gesture[:40]!r} can't be enrolled here", hint="see: elevate hello test")
        most = MAX_FINGERS if gesture == FINGERPRINT else 1
        if len(held.of(gesture)) >= most:
            raise HelloError(f"{gesture} is enrolled already{' ten times' * (most > 1)}", hint="remove it first")
        if not self._allows(self.vault.sensor(gesture)):
            raise GestureDisabledError(f"{gesture} is ruled out on this machine")

    def _with_security_key(self, held: Container, label: str) -> Container:
        if self._security_key is None:
            raise HelloError("this broker takes no security keys")
        new = self._security_key.make(
            self.settings.party, owner=held.owner, known=held.security_keys, challenge=self._entropy.token_bytes(KEY_BYTES)
        )
        enrolled = replace(new, created_at=self._clock.read().unix, label=label)
        return replace(held, security_keys=(*held.security_keys, enrolled))

    def _with_pin(self, held: Container, key: bytearray, pin: bytearray) -> Container:
        """Put the key behind a PIN, unless the history has that one; the history then begins with it."""
        size = self.settings.pin.history
        if not size:
            return self.vault.protect_by_pin(replace(held, history=b""), key, pin)
        stretched = b64(self.vault.stretch(pin, history.salt(held, key)))
        known = history.unsealed(held, key)
        if stretched in known[:size]:
            raise PinRefusedError("this PIN was used before", hint="choose one that you did not have lately")
        sealed = history.sealed(held, key, [stretched, *known][:size], self._entropy.token_bytes(IV_BYTES))
        return self.vault.protect_by_pin(replace(held, history=sealed), key, pin)

    def _usable(self, held: Container) -> tuple[str, ...]:
        allowed = self.settings.allow_simulated_gestures
        sensed = tuple(
            one.gesture
            for one in held.protectors
            if one.gesture == PIN or (self._allows(self.vault.sensors.get(one.gesture)) and (allowed or not one.simulated))
        )
        keyed = self._security_key is not None and any(allowed or not one.simulated for one in held.security_keys)
        return (*sensed, SECURITY_KEY) if keyed else sensed

    def _refuse_unusable(self, held: Container, gesture: str) -> None:
        """Refuse a gesture that proves nothing here: not enrolled, ruled out, or simulated where that does not count.

        SECURITY: asked of every proof, not of elevations only; else a simulated face puts a real PIN in place.
        """
        if gesture in self._usable(held):
            return
        if gesture in SENSED and held.protector(gesture) and not self._allows(self.vault.sensors.get(gesture)):
            raise GestureDisabledError(f"{gesture} is ruled out on this machine")
        raise NotEnrolledError(f"{held.user} can't use {gesture} here")

    def _allows(self, sensor: Sensor | None) -> bool:
        """Say whether the machine's settings let a sensor be used."""
        if sensor is None or not self.settings.use_biometrics:
            return False
        return sensor.anti_spoofing or self.settings.anti_spoofing is not AntiSpoofing.REQUIRED

    def _need_root(self, what: str, *, root: bool) -> None:
        if self.settings.root_broker and not root:
            raise HelloError(f"{what} on this machine needs root", hint="ask the machine's administrator")


def plain(text: str) -> str:
    """Take a phrase or a label that can be shown as it is."""
    if len(text) > MAX_TEXT or not text.isprintable():
        raise HelloError(f"a phrase or label has at most {MAX_TEXT} printable characters")
    return text
