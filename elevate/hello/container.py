"""A person's container: one authentication key, and for each gesture a protector that wraps it.

The key itself is nowhere: each protector holds it sealed with AES-256-GCM under a key made from what the gesture gives
(Argon2id of the PIN, or the key that the sensor releases) and from this device's secret. The sealed form is bound to owner,
credential and gesture, so that a protector can't be moved into another container.
"""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from elevate import canonical
from elevate.canonical import Json
from elevate.errors import HelloDamagedError
from elevate.hello import private
from elevate.hello.webauthn import b64, unb64

PIN, FACE, FINGERPRINT, SECURITY_KEY, CONSENT = "pin", "face", "fingerprint", "security-key", "consent"
SENSED = frozenset({FACE, FINGERPRINT})
KEY_BYTES = 32
IV_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Protector:
    """One gesture's way to the key.

    Attributes:
        secret: Name of the device secret that belongs to it.
        sealed: The authentication key, sealed.
        salt: Of Argon2id; PIN only.
        template: Inside the sensor; sensors only.
        channel: The channel's key, sealed with the device secret; sensors only.
        created_at: Unix seconds.
    """

    gesture: str
    secret: str
    sealed: bytes = field(repr=False)
    created_at: int
    salt: bytes = b""
    template: str = ""
    channel: bytes = field(default=b"", repr=False)
    label: str = ""
    simulated: bool = False

    def to_json(self) -> dict[str, Json]:
        """Give the members as they are kept."""
        return {
            "gesture": self.gesture,
            "secret": self.secret,
            "sealed": b64(self.sealed),
            "created_at": self.created_at,
            "salt": b64(self.salt),
            "template": self.template,
            "channel": b64(self.channel),
            "label": self.label,
            "simulated": self.simulated,
        }

    @classmethod
    def from_json(cls, members: Json) -> Self:
        """Read what was kept."""
        if not isinstance(members, dict):
            raise TypeError("a protector is an object")
        binary = {name: unb64(str(members[name])) for name in ("sealed", "salt", "channel")}
        return cls(**{**members, **binary})  # type: ignore[arg-type] # a TypeError says which


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityKeyCredential:
    """A credential that lives on a security key of the person's; here is what verifies it.

    Attributes:
        credential: Its id, base64url.
        public_key: COSE_Key.
        model: The authenticator's AAGUID, in hexadecimal.
        simulated: It is a program.
    """

    credential: str
    public_key: bytes
    model: str
    created_at: int
    label: str = ""
    simulated: bool = False

    def to_json(self) -> dict[str, Json]:
        """Give the members as they are kept."""
        return {**asdict(self), "public_key": b64(self.public_key)}

    @classmethod
    def from_json(cls, members: Json) -> Self:
        """Read what was kept."""
        if not isinstance(members, dict):
            raise TypeError("a credential is an object")
        return cls(**{**members, "public_key": unb64(str(members["public_key"]))})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What is kept of a person's gestures; nothing in it signs by itself.

    Attributes:
        owner: Name of the container, from the user's; no path is ever made from the user's name.
        credential: Id of the key, base64url.
        public_key: COSE_Key.
        phrase: The person's own secret phrase, which a true prompt shows.
        last_used: Gesture that was used last.
        pin_set_at: Unix seconds.
        history: Stretched earlier PINs, sealed with the authentication key: nobody tries them out without a gesture.
        store: Which key store made the key.
        key_blob: What that store needs to find it.
    """

    user: str
    owner: str
    credential: str
    algorithm: int
    public_key: bytes
    protectors: tuple[Protector, ...]
    phrase: str = field(default="", repr=False)
    last_used: str = PIN
    created_at: int = 0
    pin_set_at: int = 0
    history: bytes = field(default=b"", repr=False)
    store: str = "software"
    key_blob: bytes = field(default=b"", repr=False)
    security_keys: tuple[SecurityKeyCredential, ...] = ()

    def protector(self, gesture: str) -> Protector | None:
        """Give a gesture's protector; None where the person has not enrolled it."""
        return next((held for held in self.protectors if held.gesture == gesture), None)

    def of(self, gesture: str) -> tuple[Protector, ...]:
        """Give all protectors of a gesture: several for the fingers of a hand, else one or none."""
        return tuple(held for held in self.protectors if held.gesture == gesture)

    def with_protector(self, new: Protector) -> Self:
        """Give the container with ``new`` in place of that gesture's old one, or beside the other fingers."""
        kept = tuple(held for held in self.protectors if held.gesture != new.gesture or _other_finger(held, new))
        return replace(self, protectors=(*kept, new))

    def without(self, gesture: str) -> Self:
        """Give the container without a gesture."""
        left = tuple(held for held in self.protectors if held.gesture != gesture)
        return replace(self, protectors=left, security_keys=() if gesture == SECURITY_KEY else self.security_keys)

    def encode(self) -> bytes:
        """Give the bytes of the file; members are only ever appended."""
        members: dict[str, Json] = {
            "v": 1,
            "user": self.user,
            "owner": self.owner,
            "credential": self.credential,
            "algorithm": self.algorithm,
            "public_key": b64(self.public_key),
            "protectors": [held.to_json() for held in self.protectors],
            "phrase": self.phrase,
            "last_used": self.last_used,
            "created_at": self.created_at,
            "pin_set_at": self.pin_set_at,
            "history": b64(self.history),
            "store": self.store,
            "key_blob": b64(self.key_blob),
            "security_keys": [held.to_json() for held in self.security_keys],
        }
        return canonical.encode(members)

    @staticmethod
    def decode(data: bytes, *, owner: str) -> "Container":
        """Read the file of ``owner``.

        Raises:
            HelloDamagedError: Not a container, a newer one, or another person's.
        """
        try:
            return _decode(data, owner)
        except (ValueError, TypeError, KeyError) as exc:
            raise HelloDamagedError("the container can't be read", detail=f"{owner}: {exc!r}") from exc


@lru_cache(maxsize=64)
def _decode(data: bytes, owner: str) -> Container:
    """Read the same bytes once; what comes out can't be changed."""
    members = _members(canonical.decode(data, max_bytes=private.MAX_FILE_BYTES), owner)
    return Container(**members)  # type: ignore[arg-type] # a TypeError says which


def _members(found: Json, owner: str) -> dict[str, object]:
    if not isinstance(found, dict) or found.pop("v") != 1 or found["owner"] != owner:
        raise ValueError("another version, or another person's")
    held = found["protectors"]
    protectors = tuple(map(Protector.from_json, held if isinstance(held, list) else ()))
    binary = {name: unb64(str(found.get(name, ""))) for name in ("public_key", "history", "key_blob")}
    devices = found.get("security_keys", [])
    credentials = tuple(map(SecurityKeyCredential.from_json, devices if isinstance(devices, list) else ()))
    return {**found, **binary, "protectors": protectors, "security_keys": credentials}


def _other_finger(held: Protector, new: Protector) -> bool:
    return new.gesture == FINGERPRINT and held.template != new.template


def owner_of(user: str) -> str:
    """Give the container's name for a user."""
    return hashlib.sha256(b"elevate hello\0" + user.encode()).hexdigest()[:KEY_BYTES]


def wrap_key(released: bytes, device: bytes, gesture: str) -> bytes:
    """Make the wrapping key from what a gesture released and from the device's secret."""
    info = b"elevate hello 1 " + gesture.encode()
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=device, info=info).derive(released)


def seal(key: bytes, plain: bytes | bytearray, iv: bytes, context: bytes) -> bytes:
    """Seal; ``context`` must be the same to unseal."""
    return iv + AESGCM(key).encrypt(iv, plain, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytearray | None:
    """Unseal; None where the key or the context is another."""
    try:
        return bytearray(AESGCM(key).decrypt(sealed[:IV_BYTES], sealed[IV_BYTES:], context))
    except (InvalidTag, ValueError):
        return None


def context(owner: str, credential: str, gesture: str) -> bytes:
    """Give what a sealed key is bound to."""
    return canonical.encode({"owner": owner, "credential": credential, "gesture": gesture})
