"""The broker's signing key: Ed25519, made at each start, never written anywhere."""

import base64
import hashlib
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from elevate.canonical import Json, encode

ALGORITHM = "Ed25519"


class TokenKey:
    """A private key and its name; shows nothing of itself but the name.

    Attributes:
        kid: RFC 7638 thumbprint of the public key.
        public: The public key.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.public = private.public_key()
        self.kid = thumbprint(self.public)

    @classmethod
    def from_seed(cls, seed: bytes) -> "TokenKey":
        """Make the key of 32 random bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    def __repr__(self) -> str:
        return f"TokenKey(kid={self.kid!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a token key stays in its process")


def jwk(public: Ed25519PublicKey) -> dict[str, Json]:
    """Give the required members of the public key as a JSON Web Key.

    Source: RFC 8037 section 2.
    """
    return {"crv": "Ed25519", "kty": "OKP", "x": base64url(public.public_bytes_raw())}


def jwks(key: TokenKey) -> dict[str, Json]:
    """Give the key set that a third party verifies with."""
    return {"keys": [{**jwk(key.public), "kid": key.kid, "alg": ALGORITHM, "use": "sig"}]}


def thumbprint(public: Ed25519PublicKey) -> str:
    """Name a public key.

    Source: RFC 7638; for these members its form is the canonical one.
    """
    return base64url(hashlib.sha256(encode(jwk(public))).digest())


def base64url(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
