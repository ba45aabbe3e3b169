"""Simulators for tests of programs that use elevate: a clock that is moved by hand and randomness that repeats.

They are driven like the real thing, through the same ports. Nothing here is for a broker that grants rights.
"""

import hashlib

from elevate.ports import Instant, Sync
from elevate.store.memory import MemoryStore

__all__ = ["ManualClock", "MemoryStore", "SeededEntropy"]

NANOSECONDS = 1_000_000_000
MICROSECONDS = 1_000_000


class ManualClock:
    """A `elevate.ports.Clock` that stands still until it is moved.

    Args:
        unix: Where the wall clock begins, Unix seconds.
        mono_ns: Where the monotonic clock begins, nanoseconds.
        boot_id: The boot that it belongs to.
    """

    def __init__(
        self,
        *,
        unix: int = 1_800_000_000,
        mono_ns: int = 1_000 * NANOSECONDS,
        boot_id: str = "00000000-0000-4000-8000-000000000001",
    ) -> None:
        self._unix_us = unix * MICROSECONDS
        self._mono_ns = mono_ns
        self._boot_id = boot_id
        self._sync = Sync()

    @property
    def boot_id(self) -> str:
        """The boot that the clock belongs to."""
        return self._boot_id

    def read(self) -> Instant:
        """Read both clocks once."""
        return Instant(unix_us=self._unix_us, mono_ns=self._mono_ns)

    def sync(self) -> Sync:
        """Say what `synchronise` was told last."""
        return self._sync

    def synchronise(self, state: str, error_us: int = -1) -> None:
        """Say whether the wall clock is set by others: ``synchronised``, ``unsynchronised`` or ``unknown``."""
        self._sync = Sync(state=state, error_us=error_us)

    def advance(self, seconds: float) -> Instant:
        """Let time pass on both clocks.

        Raises:
            ValueError: ``seconds`` is negative; time only passes. Use `step_wall` to move the wall clock alone.
        """
        if seconds < 0:
            raise ValueError("time only passes; step_wall moves the wall clock alone")
        self._unix_us += round(seconds * MICROSECONDS)
        self._mono_ns += round(seconds * NANOSECONDS)
        return self.read()

    def step_wall(self, seconds: float) -> Instant:
        """Move the wall clock alone, back where ``seconds`` is negative, as an administrator or NTP would."""
        self._unix_us += round(seconds * MICROSECONDS)
        return self.read()

    def reboot(self, boot_id: str) -> Instant:
        """Start the machine again: another boot id, the monotonic clock near zero, the wall clock as it was."""
        self._boot_id = boot_id
        self._mono_ns = NANOSECONDS
        return self.read()


class SeededEntropy:
    """A `elevate.ports.Entropy` that gives the same bytes for the same seed: predictable, so for tests only."""

    def __init__(self, seed: bytes | int = 0) -> None:
        self._seed = seed.to_bytes(8, "big") if isinstance(seed, int) else seed
        self._count = 0

    def token_bytes(self, size: int) -> bytes:
        """Give the next ``size`` bytes of the sequence.

        Raises:
            ValueError: ``size`` is negative.
        """
        if size < 0:
            raise ValueError("a size is not negative")
        self._count += 1
        return hashlib.shake_256(self._count.to_bytes(8, "big") + self._seed).digest(size)
