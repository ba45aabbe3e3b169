"""Attacks on tokens that are handed to helpers: used twice, by another, late, elsewhere, or made by another hand."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from elevate.broker import Broker, Grant
from elevate.canonical import Json
from elevate.errors import (
    DeniedError,
    HostError,
    PolicyChangedError,
    TaskInvalidError,
    TokenError,
    TokenExpiredError,
    TokenRevokedError,
    TokenSpentError,
)
from elevate.helper import Keys, Token, Verifier
from elevate.testing import ManualClock
from elevate.token import base64url
from tests.handed import AUDIENCE, HELPER, PROGRAM, THEN, TRUE, embedded, hand_over, me, pinned
from tests.unit.broker.conftest import events

RACERS = 64


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    with embedded(tmp_path / "state", clock=clock) as one:
        yield one


def redeem_id(number: int = 0) -> str:
    return f"{number:032x}"


def test_13_a_helpers_token_is_used_once(broker: Broker) -> None:
    """A replay is refused while the task is under way and after it, and each is an alarm."""
    grant = hand_over(broker)
    redeemed = broker.desk.redeem(grant.token, redeem_id(), me())
    with pytest.raises(TokenSpentError):
        broker.desk.redeem(grant.token, redeem_id(1), me())
    assert redeemed.finish(0).exit_status == 0
    with pytest.raises(TokenSpentError):
        broker.desk.redeem(grant.token, redeem_id(2), me())
    expected = ["requested", "prompting", "issued", "redeemed", "running", "second-use", "destroyed", "second-use"]
    assert events(broker, grant.request) == expected


def test_14_of_many_racers_one_wins(broker: Broker) -> None:
    """One compare-and-set decides."""
    grant = hand_over(broker)
    start = threading.Barrier(RACERS)

    def race(number: int) -> bool:
        start.wait()
        try:
            broker.desk.redeem(grant.token, redeem_id(number), me())
        except TokenSpentError:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as pool:
        assert sum(pool.map(race, range(RACERS))) == 1
    assert events(broker, grant.request).count("redeemed") == 1


@pytest.mark.parametrize(
    ("settings", "who"),
    [
        (pinned(uid=4711), "uid"),
        (pinned(executable="/usr/bin/true"), "program"),
        (pinned(sha256="0" * 64), "content"),
        (pinned("other") + pinned(uid=4711), "another helper's program"),
    ],
)
def test_15_only_the_pinned_program_redeems(tmp_path: Path, settings: str, who: str) -> None:
    """By uid, program and content, as the kernel has them; the attempt is in the log, and the token stays good."""
    with embedded(tmp_path / "state", settings=settings) as broker:
        grant = hand_over(broker)
        with pytest.raises(TokenError, match="not good here"):
            broker.desk.redeem(grant.token, redeem_id(), me())
        assert events(broker, grant.request)[-1] == "token-refused", who
        assert grant.journal.refresh().state == "issued"


def test_15_a_program_under_a_borrowed_path_is_another(broker: Broker) -> None:
    """Whose path leads us to another file is marked so, and no pin can name that."""
    grant = hand_over(broker)
    facts = me()
    with pytest.raises(TokenError):
        broker.desk.redeem(grant.token, redeem_id(), replace(facts, executable=f"{PROGRAM} (elsewhere)"))


def test_49_alarms_are_bounded(broker: Broker) -> None:
    """Whoever goes on presenting a token that is not for him can't fill the log."""
    grant = hand_over(broker)
    facts = replace(me(), executable="/usr/bin/other")
    for number in range(40):
        with pytest.raises(TokenError):
            broker.desk.redeem(grant.token, redeem_id(number), facts)
    assert events(broker, grant.request).count("token-refused") == 16


def test_21_a_late_helper_gets_nothing(broker: Broker, clock: ManualClock) -> None:
    """By the wall clock, and by the monotonic one where the wall clock was set back."""
    late, revived = hand_over(broker), hand_over(broker)
    clock.advance(29)
    clock.step_wall(-29)
    clock.advance(1)
    with pytest.raises(TokenExpiredError):
        broker.desk.redeem(revived.token, redeem_id(), me())
    clock.step_wall(60)
    with pytest.raises(TokenExpiredError):
        broker.desk.redeem(late.token, redeem_id(), me())
    assert events(broker, late.request)[-1] == events(broker, revived.request)[-1] == "expired"


def test_13_a_revoked_token_is_refused(broker: Broker) -> None:
    """Taken back by its owner, or by the connection that ended."""
    revoked, left = hand_over(broker), hand_over(broker)
    broker.revoke(revoked.claims.jti, broker.requester(me()))
    left.release()
    for grant in (revoked, left):
        with pytest.raises(TokenRevokedError):
            broker.desk.redeem(grant.token, redeem_id(), me())


def test_13_a_token_does_not_outlive_its_broker(tmp_path: Path) -> None:
    """After a restart key and epoch are others, and the log says how it ended."""
    state = tmp_path / "state"
    with embedded(state) as broker:
        unused, used = hand_over(broker), hand_over(broker)
        broker.desk.redeem(used.token, redeem_id(), me())
    with Broker.embedded(state) as again:
        for grant in (unused, used):
            with pytest.raises(TokenError):
                again.desk.redeem(grant.token, redeem_id(1), me())
        assert events(again, unused.request)[-1] == "revoked"
        assert events(again, used.request)[-1] == "outcome-unknown"


def test_48_a_policy_that_changed_meanwhile_ends_a_helpers_token(tmp_path: Path) -> None:
    """As for the host's own: what was decided by another policy is not done."""
    state = tmp_path / "state"
    with embedded(state) as broker:
        grant = hand_over(broker)
        with (state / "policy" / "rules.toml").open("a") as file:
            file.write('\n[[rule]]\nid = "never"\neffect = "deny"\ntask = { kind = "service.control" }\n')
        broker.reload_policy()
        with pytest.raises(PolicyChangedError):
            broker.desk.redeem(grant.token, redeem_id(), me())
        assert events(broker, grant.request)[-1] == "revoked"


def test_16_a_helpers_token_opens_nothing_on_the_host(broker: Broker) -> None:
    """Its audience is the helper: the host starts nothing with it, and the helper can still use it."""
    grant = hand_over(broker)
    with pytest.raises(TokenError):
        grant.run()
    assert "running" not in events(broker, grant.request)
    assert broker.desk.redeem(grant.token, redeem_id(), me()).finish(0).exit_status == 0


def test_16_the_hosts_token_opens_nothing_at_the_desk(tmp_path: Path) -> None:
    """A token for the host is never handed out, and is refused where somebody got hold of it."""
    with embedded(tmp_path / "state", then="{}") as broker:
        grant = broker.elevate(TRUE)
        with pytest.raises(TokenError):
            grant.handed_out()
        with pytest.raises(TokenError):
            broker.desk.redeem(grant.token, redeem_id(), me())
        assert grant.run(capture=True).exit_status == 0


@pytest.mark.parametrize("audience", ["", "helper:", "helper:other", "helper:-", HELPER, "emulated:x"])
def test_18_who_carries_it_out_is_the_rules_to_say(broker: Broker, audience: str) -> None:
    """A caller that names nobody, or somebody else, is refused before anyone is asked."""
    with pytest.raises(DeniedError):
        hand_over(broker, audience=audience)


@pytest.mark.parametrize("then", ["{}", '{ helper = "unpinned" }', '{ helper = "contoso-updater", network = false }'])
def test_18_a_rule_must_hand_it_out(tmp_path: Path, then: str) -> None:
    """No rule says so, nobody pinned that helper, or the rule demands what a helper does not keep."""
    audience = "helper:unpinned" if "unpinned" in then else AUDIENCE
    with embedded(tmp_path / "state", then=then) as broker, pytest.raises(DeniedError):
        hand_over(broker, audience=audience)


def test_18_rules_that_differ_hand_it_to_nobody(tmp_path: Path) -> None:
    """One allow hands it out, another does not: the host does not run it, and no helper gets it."""
    state = tmp_path / "state"
    with embedded(state):
        pass
    with (state / "policy" / "rules.toml").open("a") as file:
        file.write('\n[[rule]]\nid = "second"\neffect = "allow"\ntask = { kind = "process.run" }\n')
    with Broker.embedded(state) as broker:
        for audience in ("", AUDIENCE, "helper:-"):
            with pytest.raises(DeniedError, match="differ"):
                hand_over(broker, audience=audience)


def _resigned(token: str, header: dict[str, object], key: Ed25519PrivateKey) -> str:
    signed = f"{base64url(json.dumps(header, separators=(',', ':')).encode())}.{token.split('.')[1]}"
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def _forged(grant: Grant) -> Iterator[str]:
    own = Ed25519PrivateKey.generate()
    kid = grant.parts.key.kid
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url(own.public_key().public_bytes_raw())}
    good: dict[str, object] = {"alg": "Ed25519", "kid": kid, "typ": "elevate+jwt"}
    changes: list[dict[str, object]] = [{}, {"alg": "none"}, {"alg": "EdDSA"}, {"alg": "HS256"}]
    changes += [{"jwk": jwk}, {"kid": ""}, {"typ": "JWT"}, {"crit": []}]
    for change in changes:
        yield _resigned(grant.token, good | change, own)
    head, body, signature = grant.token.split(".")
    yield f"{head}.{body}."
    yield f"{head}.{body}.{signature}="
    yield f"{head}.{body}.{signature}.{signature}"
    yield f"{head}.{body[:-2]}AA.{signature}"


def test_19_forged_tokens_are_refused_here_and_offline(broker: Broker) -> None:
    """Another key, no signature, another alg, typ or kid, a key in the header: neither the helper nor the broker takes it."""
    grant = hand_over(broker)
    told = broker.desk.keys()
    verifier = Verifier(Keys(cast("dict[str, Json]", told["keys"]), str(told["issuer"])), audience=AUDIENCE)
    now = grant.claims.iat
    assert verifier.verify(Token(grant.token), now=now).request == grant.request
    for text in _forged(grant):
        with pytest.raises(TokenError):
            verifier.verify(Token(text), now=now)
        with pytest.raises(TokenError):
            broker.desk.redeem(text, redeem_id(), me())
    assert grant.journal.refresh().state == "issued"


def test_19_a_helper_refuses_what_is_for_another(broker: Broker) -> None:
    """Offline too: the audience, the issuer and the time are checked."""
    grant = hand_over(broker)
    told = broker.desk.keys()
    jwks = cast("dict[str, Json]", told["keys"])
    keys, others = Keys(jwks, str(told["issuer"])), Keys(jwks, "elevate:other")
    now = grant.claims.iat
    for verifier, moment in (
        (Verifier(keys, audience="helper:other"), now),
        (Verifier(others, audience=AUDIENCE), now),
        (Verifier(keys, audience=AUDIENCE), grant.claims.exp),
        (Verifier(keys, audience=AUDIENCE), now - 1),
    ):
        with pytest.raises(TokenError):
            verifier.verify(Token(grant.token), now=moment)


def test_13_a_helper_that_does_not_report_is_not_believed(tmp_path: Path) -> None:
    """It ended, left or took too long: the outcome is unknown, and a later report changes nothing."""
    with embedded(tmp_path / "state", then=THEN.replace("{", "{ time_limit_seconds = 1,")) as broker:
        slow, left = hand_over(broker), hand_over(broker)
        runs = [broker.desk.redeem(grant.token, redeem_id(), me()) for grant in (slow, left)]
        runs[1].run.leave()
        for thread in threading.enumerate():
            if thread.name == "helper":
                thread.join(timeout=30)
        for one in runs:
            assert events(broker, one.request)[-1] == "outcome-unknown"
            with pytest.raises(TaskInvalidError, match="no longer waits"):
                one.finish(0)
            with pytest.raises(HostError):
                one.run.wait()
        assert broker.status()["open_requests"] == 0


def test_15_a_handed_over_token_shows_nowhere(broker: Broker) -> None:
    """Not in what is printed of a grant, and not in the log."""
    grant = hand_over(broker)
    broker.desk.redeem(grant.token, redeem_id(), me()).finish(0)
    signature = grant.token.rsplit(".", 1)[1].encode()
    assert signature.decode() not in repr(grant)
    store = broker.parts.store
    assert not any(signature in entry for entry in (*store.entries_of(grant.request), *store.openings_of(grant.request)))
    assert os.environ.get("ELEVATE_TOKEN") is None


def test_13_a_helper_that_does_not_stop_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told, and its time is over: the outcome is unknown, and whoever stops the broker waits no longer."""
    monkeypatch.setattr("elevate.broker.desk.STOP_SECONDS", 0)  # five seconds, without waiting for them
    with embedded(tmp_path / "state") as broker:
        deaf, told = hand_over(broker), hand_over(broker)
        first, second = (broker.desk.redeem(grant.token, redeem_id(), me()) for grant in (deaf, told))
        heard: list[str] = []
        second.run.listen(lambda: heard.append("cancelled"))
        for one in (first, second):
            one.run.cancel()
            one.run.cancel()
            with pytest.raises(HostError):
                one.run.wait()
        assert heard == ["cancelled"]
        late: list[str] = []
        second.run.listen(lambda: late.append("cancelled"))
        assert late == ["cancelled"]
