"""The signing key: named after its public half, shown to nobody."""

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from elevate.token import TokenKey, base64url, jwks, thumbprint
from tests.tokens import KEY

RFC8037_X = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def test_thumbprint_of_the_standard() -> None:
    """RFC 8037 appendix A.3 gives the thumbprint of its example key."""
    assert thumbprint(Ed25519PublicKey.from_public_bytes(RFC8037_X)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_key_set() -> None:
    """What a third party verifies with: public members only."""
    assert jwks(KEY) == {
        "keys": [
            {
                "alg": "Ed25519",
                "crv": "Ed25519",
                "kid": KEY.kid,
                "kty": "OKP",
                "use": "sig",
                "x": base64url(KEY.public.public_bytes_raw()),
            }
        ]
    }


def test_same_seed_same_key() -> None:
    """A key is its seed; another seed is another key."""
    assert TokenKey.from_seed(bytes(32)).kid == TokenKey.from_seed(bytes(32)).kid != KEY.kid


@pytest.mark.parametrize("size", [0, 31, 33])
def test_seed_is_32_bytes(size: int) -> None:
    """A shorter seed makes no key."""
    with pytest.raises(ValueError, match="32 bytes"):
        TokenKey.from_seed(bytes(size))


def test_key_shows_and_gives_nothing_of_itself() -> None:
    """Its repr is its name; it can't be pickled or copied out of its process."""
    assert repr(KEY) == f"TokenKey(kid={KEY.kid!r})"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a token key stays in its process"):
            leave(KEY)


@pytest.mark.parametrize(("data", "text"), [(b"", ""), (b"\xfb\xff", "-_8"), (b"a", "YQ"), (b"abc", "YWJj")])
def test_base64url(data: bytes, text: str) -> None:
    """The URL alphabet, no padding."""
    assert base64url(data) == text
