"""The real clock and the real randomness."""

import os
import time
from pathlib import Path

from elevate.ports import Instant, Sync


class SystemClock:
    """CLOCK_REALTIME and CLOCK_BOOTTIME, which goes on while the machine sleeps."""

    def __init__(self) -> None:
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    @property
    def boot_id(self) -> str:
        """The kernel's random boot id."""
        return self._boot_id

    def read(self) -> Instant:
        """Read both clocks once."""
        return Instant(unix_us=time.time_ns() // 1000, mono_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def sync(self) -> Sync:
        """Ask the kernel whether the wall clock is set by others."""
        from elevate.host.timex import read_sync

        return read_sync()


class SystemEntropy:
    """The kernel's random numbers."""

    def token_bytes(self, size: int) -> bytes:
        """Give ``size`` unpredictable bytes."""
        return os.urandom(size)
