"""How much memory the sealed copies of users' programs, and who reads their packages, may take up: for one user, and for all.

A copy lasts from the inspection to the end of the task, and it is the broker's memory; without a bound one user's requests
would take it from everybody.
"""

import threading
from collections import Counter
from collections.abc import Callable

from elevate.errors import BusyError

EACH_BYTES = 512 * 2**20
ALL_BYTES = 2 * 2**30


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

    def take(self, uid: int, size: int) -> Callable[[], None]:
        """Take up memory for a user; give what gives it back, once, however often it is called.

        Raises:
            BusyError: It is more than is left.
        """
        with self._lock:
            if self._taken[uid] + size > self._each or self._taken.total() + size > self._everybody:
                raise BusyError("the copies of programs that others can change take up too much memory already")
            self._taken[uid] += size
        left = [size]

        def give_back() -> None:
            with self._lock:
                self._taken[uid] -= sum(left)
                left.clear()
                self._taken += Counter()  # drops who has nothing any more

        return give_back
