"""Who is enrolled with what: enrolment, listing and removal of gestures.

On a root broker the first enrolment and a reset need root; any further gesture needs an existing one everywhere, because only
that unlocks the key that the new gesture shall wrap. Source: hello.md rows 20, 21, 31, 40; attacks.md row 45.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from elevate.canonical import Json
from elevate.errors import HelloError, PinRefusedError
from elevate.hello import history
from elevate.hello.container import IV_BYTES, PIN, SENSED, Container
from elevate.hello.pins import check_new_pin, wipe
from elevate.hello.secrets import DeviceSecrets, FileSecrets
from elevate.hello.sensors import Sensor, Sight
from elevate.hello.settings import HelloSettings
from elevate.hello.vault import Proof, Vault
from elevate.hello.webauthn import b64
from elevate.ports import Clock, Entropy

MAX_USERS = 10
MAX_TEXT = 64


class Enrolments:
    """The people of a machine and their gestures.

    Args:
        folder: Private to the broker's user; made where it is not there.
        clock: Of lock-out, challenges and sensors.
        entropy: Of keys and nonces.
        sensors: By gesture.
        settings: The machine's.
        secrets: Where device secrets are kept; files beside the containers where not given.
    """

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
        self.settings = settings or HelloSettings()
        self.vault = Vault(
            folder,
            clock=clock,
            entropy=entropy,
            sensors=sensors or {},
            secrets=secrets or FileSecrets(folder / "device"),
            settings=self.settings,
        )
        self._clock, self._entropy = clock, entropy

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
                "usable": allowed or not sensor.simulated,
                "note": "scripted: no proof of a person" if sensor.simulated else "",
            }
            for gesture, sensor in self.vault.sensors.items()
        ]
        store: dict[str, Json] = {
            "device": "software",
            "kind": "key store",
            "state": "ready",
            "simulated": False,
            "usable": True,
            "note": f"keys in files, device secret in {self.vault.secrets.kind}: swk",
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
                if gesture not in SENSED:
                    raise HelloError(f"{gesture} can't be enrolled here", hint="face and fingerprint can")
                if held.protector(gesture):
                    raise HelloError(f"{gesture} is enrolled already", hint="remove it first")
                self.vault.sensor(gesture)
                with self.vault.unlocked(held, proof) as opened:
                    self.vault.counter(held.owner).succeed(opened.charged)
                    self.vault.save(self.vault.protect_by_sensor(held, opened.key, gesture, label=plain(label)))
        finally:
            wipe(proof.secret)
        return next(found for found in self.list(user) if found["gesture"] == gesture)

    def list(self, user: str) -> list[dict[str, Json]]:
        """Give the person's gestures, as data; empty where there is none."""
        held = self.vault.find(user)
        usable = self._usable(held) if held else ()
        return [
            {
                "gesture": one.gesture,
                "label": one.label,
                "created_at": one.created_at,
                "key_store": "software",
                "device_secret": self.vault.secrets.kind,
                "simulated": one.simulated,
                "usable": one.gesture in usable,
                "used_last": held.last_used == one.gesture,
            }
            for one in (held.protectors if held else ())
            if held
        ]

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
        return tuple(
            one.gesture
            for one in held.protectors
            if one.gesture == PIN or (one.gesture in self.vault.sensors and (allowed or not one.simulated))
        )

    def _need_root(self, what: str, *, root: bool) -> None:
        if self.settings.root_broker and not root:
            raise HelloError(f"{what} on this machine needs root", hint="ask the machine's administrator")


def plain(text: str) -> str:
    """Take a phrase or a label that can be shown as it is."""
    if len(text) > MAX_TEXT or not text.isprintable():
        raise HelloError(f"a phrase or label has at most {MAX_TEXT} printable characters")
    return text
