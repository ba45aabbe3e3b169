"""Authentication keys: make, wrap as bytes, sign, and public keys as COSE. Pure but for the making of a key.

ECDSA is deterministic (RFC 6979), so that a broken source of randomness can't leak the key, and published vectors come out
byte for byte. Source: RFC 9053, RFC 8812 (COSE algorithms), W3C WebAuthn Level 3 section 5.8.5.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from elevate.errors import GestureError
from elevate.hello import cbor

ES256, EDDSA, ED25519, ES384, ES512, ED448, RS256 = -7, -8, -19, -35, -36, -53, -257

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Verifier: TypeAlias = Callable[[bytes, bytes], None]
"""Checks a signature of some data, or raises."""
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_KTY, _ALG, _CRV, _X, _Y, _N, _E = 1, 3, -1, -2, -3, -1, -2
_CURVES: dict[int, tuple[int, ec.EllipticCurve, hashes.HashAlgorithm]] = {
    ES256: (1, ec.SECP256R1(), hashes.SHA256()),
    ES384: (2, ec.SECP384R1(), hashes.SHA384()),
    ES512: (3, ec.SECP521R1(), hashes.SHA512()),
}
_SCALAR_BYTES = 32


def new_key(algorithm: int) -> PrivateKey:
    """Make a key: ES256 or Ed25519."""
    return ec.generate_private_key(ec.SECP256R1()) if algorithm == ES256 else ed25519.Ed25519PrivateKey.generate()


def to_bytes(key: PrivateKey) -> bytearray:
    """Give the key's 32 secret bytes, to be wrapped and wiped."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return bytearray(key.private_bytes_raw())
    return bytearray(key.private_numbers().private_value.to_bytes(_SCALAR_BYTES, "big"))


def from_bytes(algorithm: int, data: bytes | bytearray) -> PrivateKey:
    """Make the key of its 32 secret bytes."""
    if algorithm == ES256:
        return ec.derive_private_key(int.from_bytes(data, "big"), ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes(data))


def sign(key: PrivateKey, data: bytes) -> bytes:
    """Sign as WebAuthn wants it: ECDSA in DER over SHA-256, or Ed25519."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    return key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def cose(key: PrivateKey | PublicKey, algorithm: int) -> bytes:
    """Give the public key as a COSE_Key."""
    public = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) else key
    if isinstance(public, ed25519.Ed25519PublicKey):
        return cbor.encode({_KTY: 1, _ALG: algorithm, _CRV: 6, _X: public.public_bytes_raw()})
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise GestureError("a key of this kind can't be used")
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]
    half = len(point) // 2
    return cbor.encode({_KTY: 2, _ALG: algorithm, _CRV: _CURVES[algorithm][0], _X: point[:half], _Y: point[half:]})


def verify(public: bytes, signature: bytes, data: bytes, *, algorithms: tuple[int, ...]) -> None:
    """Check a signature with a COSE_Key.

    Raises:
        GestureError: Another algorithm, a malformed key, or the signature is wrong.
    """
    try:
        _verifier(public, algorithms)(signature, data)
    except (ValueError, TypeError, InvalidSignature) as exc:
        raise GestureError("the gesture does not verify", detail=f"signature or key: {exc!r}") from exc


@lru_cache(maxsize=256)
def _verifier(public: bytes, algorithms: tuple[int, ...]) -> Verifier:
    """Read a key once: whether its point lies on the curve costs half as much as a signature."""
    members = cbor.decode(public)
    algorithm = members.get(_ALG) if isinstance(members, dict) else None
    if not isinstance(members, dict) or not isinstance(algorithm, int) or algorithm not in algorithms:
        raise GestureError("the gesture does not verify", detail=f"algorithm {algorithm!r} is not allowed")
    if algorithm in _CURVES:
        # kty 2 is EC2, 1 is OKP; the curve must be the one that the algorithm is fixed to
        number, curve, digest = _CURVES[algorithm]
        point = b"\x04" + _bytes(members, _X) + _bytes(members, _Y)
        _expect(members, kty=2, crv=number)
        on_curve = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
        return lambda signature, data: on_curve.verify(signature, data, ec.ECDSA(digest))
    if algorithm in (EDDSA, ED25519):
        _expect(members, kty=1, crv=6)
        return ed25519.Ed25519PublicKey.from_public_bytes(_bytes(members, _X)).verify
    if algorithm == ED448:
        _expect(members, kty=1, crv=7)
        return ed448.Ed448PublicKey.from_public_bytes(_bytes(members, _X)).verify
    modulus, exponent = (int.from_bytes(_bytes(members, name), "big") for name in (_N, _E))
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return lambda signature, data: key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())


def _expect(members: "dict[int | str, cbor.Cbor]", *, kty: int, crv: int) -> None:
    if members.get(_KTY) != kty or members.get(_CRV) != crv:
        raise ValueError("key type and curve do not fit the algorithm")


def _bytes(members: "dict[int | str, cbor.Cbor]", name: int) -> bytes:
    value = members.get(name)
    if not isinstance(value, bytes):
        raise TypeError("a member of the key is missing")
    return value
