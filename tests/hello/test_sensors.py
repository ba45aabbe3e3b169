"""Rows 23 and 24: what a sensor's answer is bound to, and how often it is wrong."""

import os
from dataclasses import replace

import pytest

from elevate.errors import GestureError
from elevate.hello import Script, ScriptedSensor, Sight
from elevate.hello.scripted import really_wait
from elevate.hello.sensors import Reply, open_reply, seal_reply
from elevate.testing import ManualClock, SeededEntropy
from tests.hello.parts import USER, Machine, pin_proof, sign

CHANNEL, PROTECTOR, NONCE = bytes(32), bytes(range(32)), b"n" * 32
SECOND = 1_000_000_000


def never() -> bool:
    return False


def reply(at_ns: int = 0) -> Reply:
    return seal_reply(CHANNEL, PROTECTOR, owner="alice", nonce=NONCE, at_ns=at_ns)


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (5, True), (6, False), (-1, False)])
def test_23_an_answer_lives_five_seconds(seconds: int, good: bool) -> None:  # noqa: FBT001
    """Not longer, and it does not come from the future."""
    clock = ManualClock()
    at = clock.read().mono_ns
    now = replace(clock.read(), mono_ns=at + seconds * SECOND)
    if good:
        assert open_reply(reply(at), CHANNEL, owner="alice", nonce=NONCE, now=now) == PROTECTOR
    else:
        with pytest.raises(GestureError):
            open_reply(reply(at), CHANNEL, owner="alice", nonce=NONCE, now=now)


def test_23_an_answer_is_bound_to_nonce_owner_time_and_sensor() -> None:
    """Each alone is enough to refuse it."""
    now = replace(ManualClock().read(), mono_ns=SECOND)
    good = reply(SECOND)
    cases = [
        (good, CHANNEL, "alice", b"m" * 32),
        (replace(good, nonce=b"m" * 32), CHANNEL, "alice", b"m" * 32),
        (good, bytes([1]) * 32, "alice", NONCE),
        (good, CHANNEL, "bob", NONCE),
        (replace(good, at_ns=SECOND - 1), CHANNEL, "alice", NONCE),
        (replace(good, sealed=good.sealed[:-1]), CHANNEL, "alice", NONCE),
        (replace(good, sealed=b""), CHANNEL, "alice", NONCE),
    ]
    for answer, channel, owner, nonce in cases:
        with pytest.raises(GestureError):
            open_reply(answer, channel, owner=owner, nonce=nonce, now=now)


class Replaying(ScriptedSensor):
    """Attack: gives its first answer again."""

    kept: Reply | None = None

    def match(self, template: str, owner: str, nonce: bytes, *, stop: object) -> Reply:
        del stop
        self.kept = self.kept or super().match(template, owner, nonce, stop=never)
        return self.kept


def test_23_a_replayed_answer_opens_nothing(machine: Machine) -> None:
    """The second nonce is another."""
    machine.sensors["face"] = Replaying("face", clock=machine.clock, entropy=machine.entropy())
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    sign(machine, hello, gesture="face")
    with pytest.raises(GestureError):
        sign(machine, hello, gesture="face")


def drawn(looks: int, *, owner: bool, seed: int) -> int:
    """Count the matches that a sensor gives."""
    clock = ManualClock()
    script = Script(sights=(), owner_present=owner, seed=seed, false_accept=1e-5, false_reject=0.05)
    sensor = ScriptedSensor("face", script, clock=clock, entropy=SeededEntropy(1))
    return sum(sensor._look() is Sight.MATCH for _ in range(looks))


def test_24_false_accepts_stay_within_the_binomial_bounds() -> None:
    """A million impostors at 1e-5: ten expected; 1 to 24 holds with all but 1 in 10,000 seeds."""
    looks = 1_000_000
    assert 1 <= drawn(looks, owner=False, seed=20_260) <= 24


def test_24_false_rejects_stay_under_ten_percent() -> None:
    """10,000 looks of the owner at 5 %."""
    matches = drawn(10_000, owner=True, seed=4711)
    assert 9_400 <= matches <= 9_600


def test_25_a_spoof_never_opens_even_when_the_draw_would_accept() -> None:
    """The anti-spoofing answer comes before any draw."""
    clock = ManualClock()
    script = Script(sights=(Sight.SPOOF,), owner_present=False, false_accept=1.0)
    sensor = ScriptedSensor("face", script, clock=clock, entropy=SeededEntropy(1))
    taken_by = replace(script, sights=(Sight.MATCH,))
    sensor.script = taken_by
    taken = sensor.enrol("alice")
    sensor.script = script
    for _ in range(100):
        assert sensor.match(taken.template, "alice", os.urandom(32), stop=never).sealed == b""


def test_26_a_sensors_delay_ends_when_it_is_told_to_stop() -> None:
    """A minute that nobody waits for; and one that lasts as long as the script says."""
    asked = iter([False, True])
    really_wait(60_000, lambda: next(asked))
    assert next(asked, None) is None
    really_wait(1, never)
