"""Attacks on the token itself: rows 15, 16, 19, 20 and 21 of the table of attacks, as far as the token answers them."""

from dataclasses import replace

import pytest

from elevate.errors import TokenError, TokenExpiredError
from elevate.model import request_digest
from elevate.tasks import Task
from elevate.testing import ManualClock
from elevate.token import mint, verify
from tests.property.hostile import corpus
from tests.tokens import CLAIMS, EXPECTED, KEY, KEYS, NOW, PROCESS, claims
from tests.unit.test_model import AGREEMENT, TASK

TOKEN = mint(KEY, CLAIMS)
HOSTILE = corpus()


def _named(*beginnings: str) -> list[str]:
    return [name for name in HOSTILE if name.startswith(beginnings)]


CONFUSED = _named(
    "alg ", "HS256", "ES256", "typ ", "kid ", "foreign key", "our key", "header", "payload", "duplicate", "a token as"
)
LAX = [name for name in HOSTILE if name not in CONFUSED]


@pytest.mark.parametrize("name", CONFUSED)
def test_19_confused_token_is_refused(name: str) -> None:
    """The attacker chooses algorithm, key, header, spelling and nesting; even with a true signature it helps nothing."""
    with pytest.raises(TokenError):
        verify(HOSTILE[name], KEYS, EXPECTED, now=NOW)


def test_19_every_way_is_tried() -> None:
    """The list of attempts has what RFC 8725 and the table name."""
    tried = " ".join(CONFUSED)
    for word in ("none", "HS256", "EdDSA", "kid", "jku", "x5u", "jwk", "crit", "b64", "duplicate", "a token as the payload"):
        assert word in tried, word


@pytest.mark.parametrize("name", LAX)
def test_20_lax_token_is_refused(name: str) -> None:
    """Any claim missing, of another type, out of bounds or given in another form: no."""
    with pytest.raises(TokenError):
        verify(HOSTILE[name], KEYS, EXPECTED, now=NOW)


def test_20_every_claim_is_required() -> None:
    """There is an attempt without each claim, and with each of another type."""
    for name in CLAIMS.to_json():
        assert {f"claim {name} missing", f"claim {name} is null", f"claim {name} is an object"} <= set(LAX)


def test_21_token_is_not_revived_by_a_clock_set_back() -> None:
    """Expired, and then again when the wall clock goes back before its issue.

    That it stays dead when the clock goes back into its life is the ledger's matter: the monotonic deadline of its row.
    """
    clock = ManualClock(unix=NOW)
    clock.advance(30)
    with pytest.raises(TokenExpiredError):
        verify(TOKEN, KEYS, EXPECTED, now=clock.read().unix)
    clock.step_wall(-31)
    with pytest.raises(TokenError) as caught:
        verify(TOKEN, KEYS, EXPECTED, now=clock.read().unix)
    assert caught.value.detail == "not yet valid"
    assert clock.read().mono_ns - ManualClock().read().mono_ns == 30 * 10**9


def test_21_token_of_an_earlier_epoch_is_refused() -> None:
    """Whatever the clock says: the epoch of a broker that was started again, or restored from a copy, is another."""
    for epoch in ("boot2:start:ledger", "boot:start2:ledger", "boot:start:ledger2", ""):
        with pytest.raises(TokenError):
            verify(TOKEN, KEYS, replace(EXPECTED, epoch=epoch), now=NOW)


@pytest.mark.parametrize("change", [{"pid": 4712}, {"start_time": 98_766}, {"uid": 1001}, {"uid": 0}, {"boot_id": "b"}])
def test_15_token_in_another_process_is_refused(change: dict[str, object]) -> None:
    """A stolen token: another process of the same user, the same pid used again, another user, another boot."""
    thief = replace(PROCESS, **change)  # type: ignore[arg-type]
    with pytest.raises(TokenError) as caught:
        verify(TOKEN, KEYS, replace(EXPECTED, binding=thief), now=NOW)
    assert caught.value.detail == "ValueError: cnf: another process"


def test_15_token_bound_to_a_key_is_refused_without_it() -> None:
    """The same for a token that is bound to a key: neither a process nor another key will do."""
    bound = mint(KEY, claims(binding=KEY.kid))
    assert verify(bound, KEYS, replace(EXPECTED, binding=KEY.kid), now=NOW).binding == KEY.kid
    for binding in (PROCESS, "A" * 43):
        with pytest.raises(TokenError):
            verify(bound, KEYS, replace(EXPECTED, binding=binding), now=NOW)


@pytest.mark.parametrize(
    "task",
    [
        replace(TASK, argv=("/usr/bin/id", "-g")),
        replace(TASK, argv=("/usr/bin/id", "-u", "")),
        replace(TASK, task=Task.run(["id", "-u"], cwd="/srv", env={"LD_PRELOAD": "/tmp/x.so"})),
        replace(TASK, cwd="/tmp"),
        replace(TASK, payload=None),
    ],
)
def test_16_token_for_another_task_is_refused(task: object) -> None:
    """A token for one task with another: one argument, the environment, the folder or the input changed."""
    token = mint(KEY, claims(request_digest=request_digest(AGREEMENT).hex()))
    asked = replace(EXPECTED, request_digest=request_digest(AGREEMENT).hex())
    assert verify(token, KEYS, asked, now=NOW).kind == "process.run"
    other = request_digest(replace(AGREEMENT, task=task)).hex()  # type: ignore[arg-type]
    with pytest.raises(TokenError) as caught:
        verify(token, KEYS, replace(EXPECTED, request_digest=other), now=NOW)
    assert caught.value.detail == "ValueError: request digest: another request"
