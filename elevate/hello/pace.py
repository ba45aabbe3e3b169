"""How quickly wrong PINs may follow one another, before any of them counts: a program that guesses does not use up the tries.

In memory and per person whose PIN it is; only that person's own processes get a prompt for it. Source: attacks.md row 49.
"""

import threading
from collections import deque

from elevate.errors import BusyError
from elevate.ports import Clock

WINDOW_NS = 60 * 1_000_000_000
MAX_PEOPLE = 4096


class Pace:
    """Wrong PINs of the last minute.

    Args:
        clock: Of the minute.
        per_minute: So many may be wrong; 0 lets all through.
    """

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock, self._per_minute = clock, per_minute
        self._wrong: dict[str, deque[int]] = {}
        self._lock = threading.Lock()

    def check(self, owner: str) -> None:
        """Turn a try away that comes too soon; it is not counted.

        Raises:
            BusyError: It does.
        """
        if not self._per_minute:
            return
        with self._lock:
            now = self._clock.read().mono_ns
            recent = self._recent(owner, now)
            if len(recent) >= self._per_minute:
                seconds = -(-(recent[0] + WINDOW_NS - now) // 1_000_000_000)
                raise BusyError(f"wrong PINs come too quickly; the next try is possible in {seconds} s")

    def wrong(self, owner: str) -> None:
        """Note a wrong PIN."""
        with self._lock:
            now = self._clock.read().mono_ns
            if len(self._wrong) >= MAX_PEOPLE:
                self._wrong = {name: held for name, held in self._wrong.items() if held and held[-1] > now - WINDOW_NS}
            self._recent(owner, now).append(now)

    def _recent(self, owner: str, now: int) -> deque[int]:
        held = self._wrong.setdefault(owner, deque())
        while held and held[0] <= now - WINDOW_NS:
            held.popleft()
        return held
