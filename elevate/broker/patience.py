"""How many refusals one user may bring about: each costs entries in a log that never forgets, on a disk that others need too.

A bucket for each uid: `BURST` refusals at once, and one more each `SECONDS_EACH`; what is long counts once more for each
`EACH_BYTES`. The broker's own user and root are not bounded: it is their disk. Source: attacks.md rows 36, 41 and 49.
"""

import os
import threading
from dataclasses import dataclass

from elevate.errors import BusyError
from elevate.ports import Clock

BURST = 256
SECONDS_EACH = 0.5
EACH_BYTES = 2048
MAX_UIDS = 4096
_NS = 1_000_000_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at_ns: int
    told: bool = False


class Patience:
    """Counts what was refused, by uid.

    Args:
        clock: Read at each question.
        burst: What a user has at once; `BURST` where it is not given.
        seconds_each: Until there is one more; `SECONDS_EACH` where it is not given.
        why: What a user is told who has none left.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        burst: int = 0,
        seconds_each: float = 0,
        why: str = "too many requests of this user were refused",
    ) -> None:
        self._clock = clock
        self._burst, self._seconds_each, self._why = burst, seconds_each, why
        self._lock = threading.Lock()
        self._buckets: dict[int, _Bucket] = {}

    def check(self, uid: int) -> None:
        """Refuse a user whose requests were refused too often.

        Raises:
            BusyError: For now.
        """
        with self._lock:
            if uid not in {0, os.getuid()} and self._filled(uid).left < 1:
                raise BusyError(self._why, hint="ask again in a moment")

    def refused(self, uid: int, *, size_bytes: int = 0) -> bool:
        """Count a refusal; True where it is the last one for now, and the log should say so.

        Args:
            uid: Whose.
            size_bytes: Of what stands in its entries; a long one counts as several.
        """
        with self._lock:
            bucket = self._filled(uid)
            bucket.left -= 1 + size_bytes // EACH_BYTES
            last, bucket.told = bucket.left < 1 and not bucket.told, bucket.left < 1
            return last

    def _filled(self, uid: int) -> _Bucket:
        now = self._clock.read().mono_ns
        if len(self._buckets) >= MAX_UIDS:
            self._buckets.clear()
        burst, seconds_each = self._burst or BURST, self._seconds_each or SECONDS_EACH
        bucket = self._buckets.setdefault(uid, _Bucket(burst, now))
        bucket.left = min(burst, bucket.left + (now - bucket.at_ns) / _NS / seconds_each)
        bucket.at_ns = now
        return bucket
