"""Mint and verify: what is expected is checked, to the second, and the caller learns one error."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import pytest

from elevate.errors import TokenError, TokenExpiredError
from elevate.token import Expected, mint, verify
from elevate.token.profile import MAX_TOKEN_BYTES
from tests.tokens import CLAIMS, EXPECTED, HEADER, KEY, KEYS, NOW, OTHER_KEY, PROCESS, b64, claims, forge

GOOD = mint(KEY, CLAIMS)
ANYWHERE = Expected(iss=CLAIMS.iss, aud=CLAIMS.aud, epoch=None, request_digest=None, binding=None)


def _expected(**changes: Any) -> Expected:  # noqa: ANN401 - as replace has it
    return replace(EXPECTED, **changes)


def _refused(token: str, expected: Expected = EXPECTED, *, now: int = NOW) -> TokenError:
    with pytest.raises(TokenError) as caught:
        verify(token, KEYS, expected, now=now)
    return caught.value


def _part(token: str, number: int) -> Any:  # noqa: ANN401 - JSON
    part = token.split(".")[number]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_mint() -> None:
    """Three parts: the one header, the claims in canonical form, 64 bytes of signature."""
    assert _part(GOOD, 0) == HEADER
    assert _part(GOOD, 1) == CLAIMS.to_json()
    assert len(GOOD.split(".")[2]) == 86
    assert mint(KEY, CLAIMS) == GOOD


def test_forged_good_token_is_the_good_token() -> None:
    """From the good parts, the means with which tests forge make the very good token: what is refused is the change."""
    assert forge(HEADER, CLAIMS.to_json()) == GOOD


def test_verify() -> None:
    """The claims come back."""
    assert verify(GOOD, KEYS, EXPECTED, now=NOW) == CLAIMS


@pytest.mark.parametrize("now", [NOW, NOW + 1, NOW + 29])
def test_within_its_life(now: int) -> None:
    """From iat on, until the second before exp."""
    assert verify(GOOD, KEYS, EXPECTED, now=now) == CLAIMS


@pytest.mark.parametrize("now", [NOW + 30, NOW + 31, 10**12])
def test_expired(now: int) -> None:
    """From exp on it is expired, and the caller learns that: it may ask again."""
    error = _refused(GOOD, now=now)
    assert type(error) is TokenExpiredError
    assert error.detail == f"exp {NOW + 30}, now {now}"


@pytest.mark.parametrize("now", [NOW - 1, 0, -1])
def test_before_its_life(now: int) -> None:
    """A second before iat it is refused: there is no leeway."""
    error = _refused(GOOD, now=now)
    assert type(error) is TokenError
    assert error.detail == "not yet valid"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"iss": "urn:elevate:broker:other"}, "iss: another broker"),
        ({"aud": "emulated:other"}, "aud: another host"),
        ({"epoch": "another"}, "epoch: issued before the broker's last start"),
        ({"epoch": ""}, "epoch: issued before the broker's last start"),
        ({"request_digest": "ef" * 32}, "request digest: another request"),
        ({"request_digest": ""}, "request digest: another request"),
        ({"binding": replace(PROCESS, pid=1)}, "cnf: another process"),
        ({"binding": KEY.kid}, "cnf: another process"),
        ({"binding": ""}, "cnf: another process"),
    ],
)
def test_another_place_or_presenter(changes: dict[str, object], detail: str) -> None:
    """A token is good for one broker, host, epoch, request and presenter. Empty is an expectation like any other."""
    error = _refused(GOOD, _expected(**changes))
    assert type(error) is TokenError
    assert error.detail == f"ValueError: {detail}"
    assert error.message == "the token is not good here"


def test_expectations_left_out() -> None:
    """What the caller checks otherwise is left to it, by name; the rest is checked."""
    assert verify(GOOD, KEYS, ANYWHERE, now=NOW) == CLAIMS
    _refused(GOOD, replace(ANYWHERE, aud="x"))


def test_expiry_is_told_only_of_a_token_that_is_otherwise_good() -> None:
    """A forged or foreign token is refused as such, also long after its time."""
    late = NOW + 10**6
    for token, expected in ((GOOD[:-2] + "AA", EXPECTED), (GOOD, _expected(aud="x")), (mint(OTHER_KEY, CLAIMS), EXPECTED)):
        assert type(_refused(token, expected, now=late)) is TokenError


def test_keys() -> None:
    """Any of the broker's keys by its name, and none but these."""
    both = {**KEYS, OTHER_KEY.kid: OTHER_KEY.public}
    assert verify(mint(OTHER_KEY, CLAIMS), both, EXPECTED, now=NOW) == CLAIMS
    assert verify(GOOD, both, EXPECTED, now=NOW) == CLAIMS
    crossed = {KEY.kid: OTHER_KEY.public}
    for keys in ({}, {OTHER_KEY.kid: OTHER_KEY.public}, crossed):
        with pytest.raises(TokenError):
            verify(GOOD, keys, EXPECTED, now=NOW)


def test_mint_refuses_text_that_is_not_unicode() -> None:
    """A name with a lone surrogate has no token; nothing is signed."""
    with pytest.raises(TokenError, match="the token can't be made") as caught:
        mint(KEY, claims(client_id="/home/\udcff"))
    assert "claims" in caught.value.detail


def test_largest_token_verifies() -> None:
    """Claims at every bound of their length still make a token within the bound of tokens."""
    texts = ("iss", "sub", "aud", "client_id", "acr", "kind", "request", "session", "epoch")
    largest = claims(**dict.fromkeys(texts, "a" * 512), amr=("a" * 512,) * 2, steps=("a" * 1024,) * 2, display="a" * 1024)
    token = mint(KEY, largest)
    expected = _expected(iss=largest.iss, aud=largest.aud, epoch=largest.epoch)
    assert len(token) < MAX_TOKEN_BYTES
    assert verify(token, KEYS, expected, now=NOW) == largest


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        ("", "ValueError: parts"),
        ("a" * (MAX_TOKEN_BYTES + 1), "ValueError: form"),
        ("é..", "ValueError: form"),
        (GOOD + "=", "ValueError: base64url"),
        ("..", "ValueError: header: not the one that this broker writes for a key of its own"),
        (GOOD[:-1] + "B", "ValueError: base64url"),
        (f"{GOOD.rpartition('.')[0]}.{b64(bytes(63))}", "ValueError: signature length"),
        (f"{GOOD.rpartition('.')[0]}.{b64(bytes(64))}", "InvalidSignature: "),
        (forge(HEADER, b"{} "), "ValueError: not in canonical form"),
        (forge(HEADER, {}), "out of bounds: members of claims"),
    ],
)
def test_the_log_learns_why(token: str, detail: str) -> None:
    """The detail says which check failed; the message and hint never differ."""
    error = _refused(token)
    assert error.detail == detail
    assert (error.message, error.hint) == ("the token is not good here", TokenError.hint)
