"""Reading a key set: the broker's public token keys, as a third party gets them. Strict, like the rest of this room.

Source: RFC 7517; RFC 8037 section 2 (OKP); RFC 7638 (thumbprint); RFC 9864 (the name Ed25519).
"""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from elevate.errors import TokenError
from elevate.token.keys import ALGORITHM, base64url, thumbprint
from elevate.token.profile import decode64

MAX_KEYS = 16
KEY_BYTES = 32
_MEMBERS = frozenset({"kty", "crv", "x", "kid", "alg", "use"})


def read_jwks(value: object) -> dict[str, Ed25519PublicKey]:
    """Give the keys of a set by their names.

    Raises:
        TokenError: It is no set, is empty, or a key is not exactly an Ed25519 signing key under its own thumbprint.
    """
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise _refuse("not a set of 1 to 16 keys")
    found = [_read(key) for key in keys]
    if len(dict(found)) < len(found):
        raise _refuse("a key is in it twice")
    return dict(found)


def _read(key: object) -> tuple[str, Ed25519PublicKey]:
    # SECURITY: a private or symmetric key, or one for something else, is no key of a broker's (RFC 8725 section 3.1).
    if not isinstance(key, Mapping) or not {"kty", "crv", "x", "kid"} <= key.keys() <= _MEMBERS:
        raise _refuse("the members of a key")
    if (key["kty"], key["crv"], key.get("alg", ALGORITHM), key.get("use", "sig")) != ("OKP", "Ed25519", ALGORITHM, "sig"):
        raise _refuse("the kind of a key")
    public = _public(key["x"])
    if key["kid"] != thumbprint(public):
        raise _refuse("a kid is not the key's thumbprint")
    return str(key["kid"]), public


def _public(text: object) -> Ed25519PublicKey:
    try:
        data = decode64(text.encode()) if isinstance(text, str) else b""
    except ValueError as exc:
        raise _refuse("a key's x") from exc
    if len(data) != KEY_BYTES or base64url(data) != text:
        raise _refuse("a key's x")
    return Ed25519PublicKey.from_public_bytes(data)


def _refuse(detail: str) -> TokenError:
    return TokenError("the key set is not a broker's", hint="get it from the broker again", detail=detail)
