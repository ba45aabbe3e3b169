"""How much memory inputs, sealed copies of users' programs, and who reads their packages may take up: for one, and for all.

A copy lasts from the inspection to the end of the task, and it is the broker's memory; without a bound one user's requests
would take it from everybody. A small machine has less for all, and whatever one user takes, as much is left for another.
What a package's reader may take up while it reads is counted apart, so that the largest package has room on any machine.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

from elevate.errors import BusyError

EACH_BYTES = 512 * 2**20
ALL_BYTES = 2 * 2**30
"""For one user, and for all."""
LEAST_BYTES = 256 * 2**20
"""For one user on any machine: one large copy."""


class Budget:
    """What is taken up now; for all threads of a broker.

    Args:
        each: Bytes for one user.
        everybody: Bytes for all users.
    """

    def __init__(self, each: int = EACH_BYTES, everybody: int = ALL_BYTES) -> None:
        self._each = each
        self._everybody = everybody
        self._taken: Counter[int] = Counter()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, memory: int) -> Self:
        """Give that of a machine with so many bytes of memory: half of it for all users, half of that for one, at most."""
        everybody = min(ALL_BYTES, max(memory // 2, 2 * LEAST_BYTES))
        return cls(min(EACH_BYTES, everybody // 2), everybody)

    @classmethod
    def of_readers(cls, memory: int) -> Self:
        """Give what the readers of packages may take up at once on such a machine: half as much as what is kept."""
        return cls.of(min(memory // 2, ALL_BYTES))

    def take(self, uid: int, size: int) -> Callable[[], None]:
        """Take up memory for a user; give what gives it back, once, however often it is called.

        Raises:
            BusyError: It is more than is left.
        """
        with self._lock:
            if self._taken[uid] + size > self._each or self._taken.total() + size > self._everybody:
                raise BusyError(
                    "there is no memory left for this: inputs, packages, and programs that others can change take up too much"
                )
            self._taken[uid] += size
        left = [size]

        def give_back() -> None:
            with self._lock:
                self._taken[uid] -= sum(left)
                left.clear()
                self._taken += Counter()  # drops who has nothing any more

        return give_back


def memory_of_machine() -> int:
    """Give how many bytes of memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def unbounded(size: int) -> Callable[[], None]:
    """Take up memory that nobody counts: a user's own broker is that user's."""
    del size
    return give_back_nothing


def give_back_nothing() -> None:
    """Give back what was not counted."""
