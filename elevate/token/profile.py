"""Mint and verify: the strict profile of an admin token.

One algorithm, one type, own keys only, every claim required; anything that is not exactly so means no. A caller learns one
error; which check failed stands in its ``detail`` and goes to the log.

PyJWT mints. It does not verify: with its best options it takes any ``typ`` and ``kid``, duplicate members, and huge or
textual ``exp``.

Source: RFC 7515, RFC 8725, RFC 9864 (the name Ed25519).
"""

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import jwt
import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from elevate import canonical
from elevate.errors import TokenError, TokenExpiredError
from elevate.model import ProcessIdentity
from elevate.token.claims import Claims
from elevate.token.keys import ALGORITHM, TokenKey, base64url

TYPE = "elevate+jwt"
MAX_TOKEN_BYTES = 32_768
SIGNATURE_BYTES = 64
PARTS = 3

_REFUSAL = "the token is not good here"

_JWS = jwt.PyJWS(algorithms=[])
_JWS.register_algorithm(ALGORITHM, OKPAlgorithm())


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a token must say to be good here. None: the caller checks it otherwise, and says where it does.

    Attributes:
        request_digest: 64 hexadecimal characters.
        binding: The process, or the key's thumbprint, that presents the token.
    """

    iss: str
    aud: str
    epoch: str | None
    request_digest: str | None
    binding: ProcessIdentity | str | None


def mint(key: TokenKey, claims: Claims) -> str:
    """Sign ``claims``. The one place that makes a token; called only after the `issued` entry is synced.

    Raises:
        TokenError: A claim is not Unicode text.
    """
    # Claims out of bounds can't exist; what is left to refuse is text that is not Unicode.
    try:
        payload = orjson.dumps(claims.to_json(), option=orjson.OPT_SORT_KEYS)
    except TypeError as exc:
        raise TokenError("the token can't be made", detail=f"claims: {exc}") from exc
    headers = {"typ": TYPE, "kid": key.kid}
    return _JWS.encode(payload, key.private, algorithm=ALGORITHM, headers=headers)


def verify(text: str, keys: Mapping[str, Ed25519PublicKey], expected: Expected, *, now: int) -> Claims:
    """Check a token against everything that is expected of it.

    Args:
        text: JWS compact form, at most 32 KiB.
        keys: The broker's public keys by thumbprint.
        expected: Broker, host, request and presenter.
        now: Unix seconds, read once per request.

    Raises:
        TokenError: Anything is not exactly as it must be; ``detail`` says what, for the log.
        TokenExpiredError: All is well but ``now >= exp``.
    """
    try:
        claims = _authentic(text, keys)
        _meets(claims, expected)
    except TokenError as exc:
        raise TokenError(_REFUSAL, detail=exc.detail) from exc
    except (ValueError, InvalidSignature) as exc:
        raise TokenError(_REFUSAL, detail=f"{type(exc).__name__}: {exc}") from exc
    if now < claims.iat:
        raise TokenError(_REFUSAL, detail="not yet valid")
    if now >= claims.exp:
        raise TokenExpiredError("the token has expired", detail=f"exp {claims.exp}, now {now}")
    return claims


def _authentic(text: str, keys: Mapping[str, Ed25519PublicKey]) -> Claims:
    if len(text) > MAX_TOKEN_BYTES or not text.isascii():
        raise ValueError("form")
    parts = text.encode().split(b".")
    if len(parts) != PARTS:
        raise ValueError("parts")
    key = _key_of(parts[0], keys)
    signature = decode64(parts[2])
    _check_signature(key, signature, parts[0] + b"." + parts[1])
    return Claims.from_json(canonical.decode_exact(decode64(parts[1]), max_bytes=MAX_TOKEN_BYTES))


def _key_of(header: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Ed25519PublicKey:
    # RFC 8725 sections 3.1, 3.2 and 3.11: nothing in a header is read or chosen from. It is, byte for byte, the one header that
    # this broker writes for a key of its own, or it is refused: no other alg, typ or kid, no jku, jwk, x5u, crit or b64.
    for kid, key in keys.items():
        if header == _header(kid):
            return key
    raise ValueError("header: not the one that this broker writes for a key of its own")


@lru_cache(maxsize=8)
def _header(kid: str) -> bytes:
    return base64url(f'{{"alg":"{ALGORITHM}","kid":"{kid}","typ":"{TYPE}"}}'.encode()).encode()


def _check_signature(key: Ed25519PublicKey, signature: bytes, data: bytes) -> None:
    # RFC 8032 section 5.1.7: 64 bytes exactly, S below the order of the group (the library checks that).
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError("signature length")
    key.verify(signature, data)


def _meets(claims: Claims, expected: Expected) -> None:
    if claims.iss != expected.iss:
        raise ValueError("iss: another broker")
    if claims.aud != expected.aud:
        raise ValueError("aud: another host")
    if expected.epoch is not None and claims.epoch != expected.epoch:
        raise ValueError("epoch: issued before the broker's last start")
    if expected.request_digest is not None and claims.request_digest != expected.request_digest:
        raise ValueError("request digest: another request")
    if expected.binding is not None and claims.binding != expected.binding:
        raise ValueError("cnf: another process")


def decode64(part: bytes) -> bytes:
    """Decode base64url, of which there is one text for each byte string.

    Raises:
        ValueError: It is not that text.
    """
    # Only one text stands for each byte string (RFC 7515 section 2): no padding, no other alphabet, and the bits of the last
    # character that stand for nothing are zero (RFC 4648 section 3.5).
    if part and part[-1] not in _LAST[len(part) % 4]:
        raise ValueError("base64url")
    return binascii.a2b_base64(part.translate(_FROM_URL) + b"=" * (-len(part) % 4), strict_mode=True)


_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LAST = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])
