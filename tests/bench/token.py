"""The price of the token beyond its cryptography: mint and strict verify against raw Ed25519 of the same bytes."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from elevate.token import Claims, mint, verify
from tests.bench.figure import Figure
from tests.tokens import CLAIMS, EXPECTED, KEY, KEYS, NOW

ROUNDS = 60
RUNS = 75

_MEMBERS: dict[str, Any] = {field.name: getattr(CLAIMS, field.name) for field in fields(CLAIMS)}
_TOKEN = mint(KEY, CLAIMS)
_SIGNED = _TOKEN.rpartition(".")[0].encode()
_SIGNATURE = KEY.private.sign(_SIGNED)


def token_mint() -> Figure:
    """Mint one token, the making and checking of its claims included."""
    return _against("token_mint", lambda: mint(KEY, Claims(**_MEMBERS)), "raw Ed25519 sign", lambda: KEY.private.sign(_SIGNED))


def token_verify() -> Figure:
    """Verify one good token, strictly."""
    return _against(
        "token_verify",
        lambda: verify(_TOKEN, KEYS, EXPECTED, now=NOW),
        "raw Ed25519 verify",
        lambda: KEY.public.verify(_SIGNATURE, _SIGNED),
    )


def _against(name: str, ours: Callable[[], object], peer: str, raw: Callable[[], object]) -> Figure:
    # Taken in turn, so that a slow moment of the machine falls on both; the first of each warms up.
    pairs = [(_microseconds(ours), _microseconds(raw)) for _ in range(RUNS + 1)][1:]
    mine, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Figure(name=name, value=mine, unit="us", peer=peer, peer_value=theirs)


def _microseconds(act: Callable[[], object]) -> float:
    gc.disable()
    try:
        start = time.perf_counter_ns()
        for _ in range(ROUNDS):
            act()
        return (time.perf_counter_ns() - start) / ROUNDS / 1000
    finally:
        gc.enable()


FIGURES: Mapping[str, Callable[[], Figure]] = {"token_mint": token_mint, "token_verify": token_verify}
