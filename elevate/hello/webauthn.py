"""An assertion's two parts, built and read: authenticator data and client data. Pure.

Source: W3C WebAuthn Level 3 sections 5.8.1 (client data) and 6.1 (authenticator data).
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from elevate import canonical
from elevate.canonical import Json
from elevate.errors import GestureError
from elevate.hello import cbor

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80
MAX_CLIENT_DATA_BYTES = 4096
MAX_AUTHENTICATOR_DATA_BYTES = 2048
_FIXED_BYTES = 37
_ATTESTED_BYTES = 55


def b64(data: bytes) -> str:
    """Give base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """Read canonical base64url without padding.

    Raises:
        ValueError: Anything else.
    """
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if b64(data) != text:
        raise ValueError("not canonical base64url")
    return data


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorData:
    """What the authenticator says of itself: for whom, with what proof, and how often it has signed."""

    rp_id_hash: bytes
    flags: int
    sign_count: int
    extensions: bytes = b""
    attested: bytes = b""

    def encode(self) -> bytes:
        """Give the bytes that are signed."""
        return self.rp_id_hash + bytes([self.flags]) + self.sign_count.to_bytes(4, "big") + self.attested + self.extensions

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an assertion's authenticator data.

        Raises:
            GestureError: Cut short, with a rest, or with parts that an assertion does not have.
        """
        if not _FIXED_BYTES <= len(data) <= MAX_AUTHENTICATOR_DATA_BYTES or data[32] & AT:
            raise GestureError("the gesture does not verify", detail="authenticator data: length or attested data")
        rest = data[_FIXED_BYTES:]
        _check_extensions(rest, present=bool(data[32] & ED))
        return cls(rp_id_hash=data[:32], flags=data[32], sign_count=int.from_bytes(data[33:37], "big"), extensions=rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attested:
    """A new credential, as an authenticator data with attested credential data names it."""

    data: AuthenticatorData
    aaguid: bytes
    credential: bytes
    public_key: bytes

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read authenticator data of a registration.

        Raises:
            GestureError: Not as WebAuthn writes it.

        Source: W3C WebAuthn Level 3 section 6.5.1.
        """
        if not _ATTESTED_BYTES <= len(data) <= MAX_AUTHENTICATOR_DATA_BYTES or not data[32] & AT:
            raise GestureError("the security key does not verify", detail="attested data: length, or no credential")
        try:
            size = int.from_bytes(data[53:55], "big")
            _, rest = cbor.decode_first(data[_ATTESTED_BYTES + size :])
            end = len(data) - len(rest)
            _check_extensions(rest, present=bool(data[32] & ED))
        except ValueError as exc:
            raise GestureError("the security key does not verify", detail=f"attested data: {exc}") from exc
        head = AuthenticatorData(rp_id_hash=data[:32], flags=data[32], sign_count=int.from_bytes(data[33:37], "big"))
        public_key = data[_ATTESTED_BYTES + size : end]
        credential = data[_ATTESTED_BYTES : _ATTESTED_BYTES + size]
        return cls(data=head, aaguid=data[37:53], credential=credential, public_key=public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientData:
    """What the client says of the ceremony."""

    type: str
    challenge: bytes
    origin: str
    cross_origin: bool
    top_origin: bool

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read client data strictly: no duplicate members, bounded.

        Raises:
            GestureError: Not as WebAuthn writes it.
        """
        try:
            return cls(**_members(canonical.decode(data, max_bytes=MAX_CLIENT_DATA_BYTES)))  # type: ignore[arg-type]
        except ValueError as exc:
            raise GestureError("the gesture does not verify", detail=f"client data: {exc}") from exc


def _members(found: Json) -> dict[str, object]:
    match found:
        case {"type": str(kind), "challenge": str(challenge), "origin": str(origin)} if isinstance(found, dict):
            cross, top = found.get("crossOrigin", False) is not False, "topOrigin" in found
            return {
                "type": kind,
                "challenge": unb64(challenge),
                "origin": origin,
                "cross_origin": cross,
                "top_origin": top,
            }
        case _:
            raise ValueError("a member is missing")


def client_data(challenge: bytes, origin: str, *, kind: str = "webauthn.get") -> bytes:
    """Write client data in the order that the specification gives.

    Source: W3C WebAuthn Level 3 section 5.8.1.1.
    """
    members = {"type": kind, "challenge": b64(challenge), "origin": origin, "crossOrigin": False}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def rp_id_hash(rp_id: str) -> bytes:
    """Give the SHA-256 of the relying party's id."""
    return hashlib.sha256(rp_id.encode()).digest()


def signed_bytes(authenticator_data: bytes, client: bytes) -> bytes:
    """Give what an assertion's signature covers."""
    return authenticator_data + hashlib.sha256(client).digest()


def _check_extensions(rest: bytes, *, present: bool) -> None:
    try:
        if present and _is_map(rest):
            return
    except ValueError as exc:
        raise GestureError("the gesture does not verify", detail=f"authenticator data: {exc}") from exc
    if present or rest:
        raise GestureError("the gesture does not verify", detail="authenticator data: extensions")


@lru_cache(maxsize=64)
def _is_map(data: bytes) -> bool:
    return isinstance(cbor.decode(data), dict)
