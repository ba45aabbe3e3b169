"""The simulators that we hand out: time that moves only by hand, randomness that repeats."""

import pytest

from elevate.ports import Clock, Entropy
from elevate.testing import ManualClock, SeededEntropy


def test_clock_stands_still() -> None:
    """Two readings are the same; it is a `Clock`."""
    clock: Clock = ManualClock()
    assert clock.read() == clock.read()
    assert clock.boot_id


def test_advance_moves_both_clocks() -> None:
    """Time passes on the wall and on the monotonic clock alike, also less than a second of it."""
    clock = ManualClock(unix=100, mono_ns=7)
    now = clock.advance(1.25)
    assert (now.unix_us, now.mono_ns, now.unix) == (101_250_000, 1_250_000_007, 101)
    assert clock.read() == now


def test_time_does_not_run_back() -> None:
    """Nothing moves where the step is refused."""
    clock = ManualClock()
    before = clock.read()
    with pytest.raises(ValueError, match="time only passes"):
        clock.advance(-1)
    assert clock.read() == before


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_step_wall_moves_the_wall_clock_alone(seconds: int) -> None:
    """As when somebody sets the clock."""
    clock = ManualClock()
    before = clock.read()
    after = clock.step_wall(seconds)
    assert after.unix - before.unix == seconds
    assert after.mono_ns == before.mono_ns


def test_reboot() -> None:
    """Another boot id, the monotonic clock near zero, the wall clock as it was."""
    clock = ManualClock()
    before = clock.read()
    after = clock.reboot("another")
    assert clock.boot_id == "another"
    assert after.mono_ns < before.mono_ns
    assert after.unix_us == before.unix_us


def test_entropy_repeats() -> None:
    """The same seed gives the same sequence, another seed another; no two draws are the same."""
    one, same, other = SeededEntropy(7), SeededEntropy(7), SeededEntropy(b"seed")
    drawn = [one.token_bytes(16) for _ in range(50)]
    assert drawn == [same.token_bytes(16) for _ in range(50)]
    assert len(set(drawn)) == 50
    assert not set(drawn) & {other.token_bytes(16) for _ in range(50)}


def test_entropy_sizes() -> None:
    """As many bytes as asked for; it is an `Entropy`."""
    entropy: Entropy = SeededEntropy()
    assert [len(entropy.token_bytes(size)) for size in (0, 1, 32, 1000)] == [0, 1, 32, 1000]
    with pytest.raises(ValueError, match="not negative"):
        entropy.token_bytes(-1)
