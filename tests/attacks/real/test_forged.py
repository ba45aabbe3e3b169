"""Rows 19 and 20: forged tokens, handed by a user to the root daemon wherever a text goes."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest

from elevate import canonical
from elevate.errors import ElevateError
from tests.attacks.real.arena import Arena
from tests.attacks.real.sides import Elevate, Naive, Side, done, elevate, naive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
ID = ["/usr/bin/id", "-u"]
METHODS = {"Redeem": ("request", "token"), "Revoke": ("jti", "token"), "RedeemToken": ("token",), "Receipt": ("request",)}


def forge(claims: dict[str, Any], **changed: Any) -> list[str]:  # noqa: ANN401 - claims
    """Make tokens out of what was told, in the ways of RFC 8725."""
    told = {name: value for name, value in {**claims, **changed}.items() if value is not None}
    keys = (b"", b"0" * 32, canonical.encode(claims)[:64])
    tokens = [jwt.encode(told, None, algorithm="none")]  # type: ignore[arg-type] # what PyJWT takes for none
    return tokens + [jwt.encode(told, key, algorithm="HS256", headers={"typ": "elevate+jwt"}) for key in keys if key]


def forges(connect: Connect, **changed: Any) -> bool:  # noqa: ANN401 - claims
    """Hand in forged tokens wherever a text goes; say whether one was taken."""
    side = connect()
    held = side.ask(ID)
    tokens = forge(held.what["claims"], **changed)
    if isinstance(side, Naive):
        return any(done(side.call("run", token=token)).out == "0\n" for token in tokens)
    assert isinstance(side, Elevate)
    return any(taken(side, token) for token in tokens)


def taken(side: Elevate, token: str) -> bool:
    """Say whether any method does anything for a token."""
    for method, members in METHODS.items():
        for member in members:
            try:
                named: dict[str, Any] = {member: token} | ({"redeem_id": "a" * 32} if method == "Redeem" else {})
                side.call(method, **named)
            except ElevateError:
                continue
            return True
    return False


def test_19_forged_token(arena: Arena) -> None:
    """The algorithm is not the token's to choose, and there is nothing to hand it to."""
    assert not arena.act(forges, elevate)


def test_19_naive_forged_token(arena: Arena) -> None:
    """There "none" is one."""
    assert arena.act(forges, naive)


def lax(connect: Connect) -> bool:
    """Leave the time out, or make it a million years."""
    return forges(connect, exp=None) or forges(connect, exp=10**18)


def test_20_token_without_a_time(arena: Arena) -> None:
    """Every claim is required and bounded."""
    assert not arena.act(lax, elevate)


def test_20_naive_token_without_a_time(arena: Arena) -> None:
    """There what is missing is not checked."""
    assert arena.act(lax, naive)
