"""Time and chance, as the broker gets them."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """One reading of both clocks.

    Attributes:
        unix_us: Wall clock, microseconds since 1970.
        mono_ns: Monotonic clock of this boot (CLOCK_BOOTTIME), nanoseconds.
    """

    unix_us: int
    mono_ns: int

    @property
    def unix(self) -> int:
        """Whole Unix seconds."""
        return self.unix_us // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """Whether something sets the wall clock by others (NTP, PTP), as the kernel was told.

    Attributes:
        state: ``synchronised``, ``unsynchronised``, or ``unknown`` where the kernel may not be asked.
        error_us: So far the wall clock may be off at most; -1 where that is not known.
    """

    state: str = "unknown"
    error_us: int = -1


class Clock(Protocol):
    """Where time comes from."""

    @property
    def boot_id(self) -> str:
        """The kernel's random boot id."""

    def read(self) -> Instant:
        """Read both clocks once."""

    def sync(self) -> Sync:
        """Say whether the wall clock is set by others."""


class Entropy(Protocol):
    """Where randomness comes from."""

    def token_bytes(self, size: int) -> bytes:
        """Give ``size`` unpredictable bytes."""
