"""A key set is read strictly: nothing but the Ed25519 keys of a broker, under their own thumbprints."""

import pytest

from elevate.errors import TokenError
from elevate.token import TokenKey, jwks
from elevate.token.keyset import MAX_KEYS, read_jwks

X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
"""RFC 8037 appendix A.2 and A.3."""
GOOD: dict[str, object] = {"kty": "OKP", "crv": "Ed25519", "x": X, "kid": KID}


def test_the_rfcs_key_is_read() -> None:
    """By the thumbprint that RFC 8037 gives; alg, use and members of the set itself may be there."""
    for key in (GOOD, GOOD | {"alg": "Ed25519", "use": "sig"}):
        assert list(read_jwks({"keys": [key], "more": 1})) == [KID]


def test_the_brokers_own_set_is_read() -> None:
    """What the broker gives is what this takes."""
    key = TokenKey.from_seed(b"k" * 32)
    assert read_jwks(jwks(key)) == {key.kid: key.public}


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct"},
        {"kty": "EC"},
        {"crv": "X25519"},
        {"crv": "Ed448"},
        {"alg": "EdDSA"},
        {"alg": "HS256"},
        {"alg": None},
        {"use": "enc"},
        {"kid": "other"},
        {"kid": None},
        {"x": X + "="},
        {"x": X[:-1] + "p"},
        {"x": X[:-2]},
        {"x": ""},
        {"x": "é"},
        {"x": None},
        {"d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
        {"k": "c2VjcmV0"},
        {"x5u": "http://127.0.0.1/"},
        {"key_ops": ["verify"]},
    ],
)
def test_any_other_key_is_refused(change: dict[str, object]) -> None:
    """Another kind, another use, a private or symmetric part, a name that is not the thumbprint."""
    with pytest.raises(TokenError, match="key set"):
        read_jwks({"keys": [GOOD | change]})


@pytest.mark.parametrize("value", [None, [], {}, {"keys": None}, {"keys": []}, {"keys": {}}, {"keys": [None]}, {"keys": [{}]}])
def test_what_is_no_set_is_refused(value: object) -> None:
    """Empty or of another form."""
    with pytest.raises(TokenError):
        read_jwks(value)


def test_a_set_is_bounded_and_has_no_key_twice() -> None:
    """A hostile set costs little, and two keys never share a name."""
    with pytest.raises(TokenError, match="key set") as twice:
        read_jwks({"keys": [GOOD, GOOD]})
    assert "twice" in twice.value.detail
    with pytest.raises(TokenError):
        read_jwks({"keys": [GOOD] * (MAX_KEYS + 1)})
