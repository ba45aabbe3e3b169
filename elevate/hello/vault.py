"""The containers of a machine, and the only way to a person's key: the gesture that unlocks it, for one signature.

INVARIANT: a PIN is looked at only after its try was counted and synced.
INVARIANT: a key that was unlocked is wiped when the ``with`` block ends.
"""

import hmac
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from elevate.errors import GestureError, HelloDamagedError, NotEnrolledError
from elevate.hello import container as box
from elevate.hello import private
from elevate.hello.container import PIN, Container, Protector
from elevate.hello.keystore import KeyStore, SoftwareStore
from elevate.hello.lockout import Standing
from elevate.hello.pace import Pace
from elevate.hello.pins import wipe
from elevate.hello.proof import Proof, Stop
from elevate.hello.secrets import DeviceSecrets
from elevate.hello.sensors import Sensor, open_reply
from elevate.hello.settings import HelloSettings
from elevate.hello.tries import Charged, Counter, wrong_gesture
from elevate.hello.webauthn import b64
from elevate.ports import Clock, Entropy

Protect: TypeAlias = Callable[[Container, bytearray], Container]
"""Puts a new container's key behind a first gesture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """The key, for as long as the ``with`` block lasts."""

    key: bytearray = field(repr=False)
    charged: Charged | None


class Vault:
    """The containers under one folder.

    Args:
        folder: Private to the broker's user.
        clock: Of the lock-out and of the sensors' answers.
        entropy: Of keys, salts and nonces.
        sensors: By gesture.
        secrets: Where device secrets are kept.
        settings: The machine's.
        store: Where keys are made and used; in software where not given.
        on_lock: An attribute; told of the wrong PIN that locks it: whose it is, and how it stands.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        folder: Path,
        *,
        clock: Clock,
        entropy: Entropy,
        sensors: Mapping[str, Sensor],
        secrets: DeviceSecrets,
        settings: HelloSettings,
        store: KeyStore | None = None,
    ) -> None:
        private.make_folder(folder)
        private.make_folder(folder / "users")
        self.sensors, self.secrets = sensors, secrets
        self.store = store or SoftwareStore(entropy)
        self._stores: dict[str, KeyStore] = {"software": SoftwareStore(entropy), self.store.name: self.store}
        self._folder, self._clock, self._entropy, self._settings = folder / "users", clock, entropy, settings
        self._one_kdf = threading.Lock()
        self._pace = Pace(clock, settings.lockout.wrong_per_minute)
        self.on_lock: Callable[[str, Standing], object] = lambda _user, _standing: None

    def counter(self, owner: str) -> Counter:
        """Give a container's counter."""
        return Counter(private.place(self._folder, owner, "tries"), clock=self._clock, rules=self._settings.lockout)

    def seen(self, owner: str) -> private.SlotFile:
        """Give the record of the highest signature counters that the relying party saw."""
        return private.SlotFile(private.place(self._folder, owner, "seen"))

    @contextmanager
    def changing(self, user: str) -> Iterator[str]:
        """Hold the lock under which a container is changed; give its name."""
        owner = box.owner_of(user)
        private.make_folder(self._folder / owner)
        with private.locked(self._folder / owner / "lock"):
            yield owner

    def find(self, user: str) -> Container | None:
        """Give a person's container; None where there is none."""
        owner = box.owner_of(user)
        data = private.read(private.place(self._folder, owner, "container.json"))
        return Container.decode(data, owner=owner) if data is not None else None

    def load(self, user: str) -> Container:
        """Give a person's container.

        Raises:
            NotEnrolledError: There is none.
        """
        found = self.find(user)
        if found is None:
            raise NotEnrolledError(f"{user} has no PIN yet")
        return found

    def save(self, changed: Container) -> None:
        """Put a container in place; device secrets that it no longer names must be destroyed after, not before."""
        private.replace(self._folder / changed.owner / "container.json", changed.encode())

    def destroy_owner(self, owner: str) -> None:
        """Remove a container by its name, damaged or whole."""
        with suppress(HelloDamagedError):
            data = private.read(private.place(self._folder, owner, "container.json"))
            for one in Container.decode(data, owner=owner).protectors if data is not None else ():
                self.forget(one)
        for name in ("container.json", "tries", "seen"):
            private.remove(self._folder / owner / name)

    def forget(self, one: Protector) -> None:
        """Destroy a protector's device secret, and its template where there is one."""
        self.secrets.destroy(one.secret)
        if one.template and one.gesture in self.sensors:
            self.sensors[one.gesture].forget(one.template)

    def store_of(self, held: Container) -> KeyStore:
        """Give the store that made a container's key.

        Raises:
            HelloDamagedError: This broker does not use it.
        """
        found = self._stores.get(held.store)
        if found is None:
            raise HelloDamagedError(f"this key is in a {held.store} that the broker does not use", hint="see docs/hello.md")
        return found

    def users(self) -> int:
        """Count the containers."""
        return sum(1 for path in self._folder.iterdir() if (path / "container.json").exists())

    def create(self, user: str, owner: str, *, phrase: str, protect: Protect) -> Container:
        """Make a container with a new key, which ``protect`` puts behind a PIN; the lock is held by the caller."""
        key = self.store.make(self._settings.algorithm)
        now = self._clock.read().unix
        fresh = Container(
            user=user,
            owner=owner,
            credential=b64(self._entropy.token_bytes(box.KEY_BYTES)),
            algorithm=self._settings.algorithm,
            public_key=key.public_key,
            store=self.store.name,
            key_blob=key.blob,
            protectors=(),
            phrase=phrase,
            created_at=now,
        )
        try:
            made = protect(fresh, key.secret)
        finally:
            wipe(key.secret)
        self.counter(owner).create()
        self.seen(owner).create({})
        self.save(made)
        return made

    def protect_by_pin(self, held: Container, key: bytearray, pin: bytearray) -> Container:
        """Wrap the key under a PIN, with a new device secret and salt."""
        name, device = self._new_secret(held.owner)
        salt = self._entropy.token_bytes(box.KEY_BYTES)
        sealed = self._seal(held, PIN, key, self._release(held, pin, salt), device)
        now = self._clock.read().unix
        new = Protector(gesture=PIN, secret=name, sealed=sealed, created_at=now, salt=salt)
        return replace(held.with_protector(new), pin_set_at=now)

    def protect_by_sensor(self, held: Container, key: bytearray, gesture: str, *, label: str) -> Container:
        """Wrap the key under what a sensor releases on a match."""
        sensor = self.sensor(gesture)
        name, device = self._new_secret(held.owner)
        taken = sensor.enrol(held.owner)
        iv = self._entropy.token_bytes(box.IV_BYTES)
        channel = box.seal(box.wrap_key(b"", device, "channel"), taken.channel, iv, taken.template.encode())
        new = Protector(
            gesture=gesture,
            secret=name,
            sealed=self._seal(held, gesture, key, taken.protector, device),
            created_at=self._clock.read().unix,
            template=taken.template,
            channel=channel,
            label=label,
            simulated=sensor.simulated,
        )
        return held.with_protector(new)

    def sensor(self, gesture: str) -> Sensor:
        """Give the sensor of a gesture.

        Raises:
            NotEnrolledError: This machine has none.
        """
        found = self.sensors.get(gesture)
        if found is None:
            raise NotEnrolledError(f"this machine has no {gesture} sensor", hint="use the PIN")
        return found

    @contextmanager
    def unlocked(self, held: Container, proof: Proof) -> Iterator[Unlocked]:
        """Unlock the key with a gesture; wipes the proof's secret and, at the end, the key.

        Raises:
            GestureError: Wrong PIN, or no match.
            LockedOutError: The PIN is locked.
            NotEnrolledError: No such gesture.
        """
        key: bytearray | None = None
        try:
            if not held.of(proof.gesture):
                raise NotEnrolledError(f"{held.user} has not enrolled {proof.gesture}")
            charged = self._charge(held.owner) if proof.gesture == PIN else None
            key = self._open_any(held, proof)
            if key is None:
                self._pace.wrong(held.owner)
                if charged is not None and charged.standing.locked:
                    self.on_lock(held.user, charged.standing)
                raise wrong_gesture(charged)
            yield Unlocked(key=key, charged=charged)
        finally:
            wipe(proof.secret)
            wipe(key)

    def _charge(self, owner: str) -> Charged:
        self._pace.check(owner)
        return self.counter(owner).charge()

    def _open_any(self, held: Container, proof: Proof) -> bytearray | None:
        """Open the one protector of a gesture, or that of whichever finger is on the sensor."""
        *others, last = held.of(proof.gesture)
        for finger in others:
            with suppress(GestureError):
                key = self._open(held, finger, proof)
                if key is not None:
                    return key
        return self._open(held, last, proof)

    def _open(self, held: Container, found: Protector, proof: Proof) -> bytearray | None:
        device = self.secrets.get(found.secret)
        if device is None:
            return None
        if found.gesture == PIN:
            released = self._release(held, proof.secret or bytearray(), found.salt)
        else:
            released = self._look(held, found, device, proof.stop)
        wrap = box.wrap_key(released, device, found.gesture)
        context = box.context(held.owner, held.credential, found.gesture)
        return (self.store_of(held).unseal_pin if found.gesture == PIN else box.unseal)(wrap, found.sealed, context)

    def _look(self, held: Container, found: Protector, device: bytes, stop: Stop) -> bytes:
        channel = box.unseal(box.wrap_key(b"", device, "channel"), found.channel, found.template.encode())
        if channel is None:
            raise GestureError("the sensor did not recognise you", detail="channel key does not unseal")
        nonce = self._entropy.token_bytes(box.KEY_BYTES)
        reply = self.sensor(found.gesture).match(found.template, held.owner, nonce, stop=stop)
        return open_reply(reply, bytes(channel), owner=held.owner, nonce=nonce, now=self._clock.read())

    def _seal(self, held: Container, gesture: str, key: bytearray, released: bytes, device: bytes) -> bytes:
        wrap, context = box.wrap_key(released, device, gesture), box.context(held.owner, held.credential, gesture)
        if gesture == PIN:
            return self.store_of(held).seal_pin(wrap, key, context)
        return box.seal(wrap, key, self._entropy.token_bytes(box.IV_BYTES), context)

    def _new_secret(self, owner: str) -> tuple[str, bytes]:
        name = f"{owner}-{self._entropy.token_bytes(8).hex()}"
        device = self._entropy.token_bytes(box.KEY_BYTES)
        self.secrets.put(name, device)
        return name, device

    def _release(self, held: Container, pin: bytearray, salt: bytes) -> bytes:
        """Turn a PIN into what unlocks: quick where the device itself counts tries."""
        if self.store_of(held).counts_tries:
            return hmac.digest(salt, pin, "sha256")
        return self.stretch(pin, salt)

    def stretch(self, pin: bytearray, salt: bytes) -> bytes:
        """Turn a PIN into a key: slow on purpose, one at a time."""
        rules = self._settings.kdf
        with self._one_kdf:
            kdf = Argon2id(salt=salt, length=box.KEY_BYTES, iterations=rules.passes, lanes=1, memory_cost=rules.memory_kib)
            return kdf.derive(pin)  # type: ignore[arg-type] # any buffer will do; a copy could not be wiped
