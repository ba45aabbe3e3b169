"""How much of the broker those who read the log may take: it has more to do than to answer them.

Each reader holds a worker of the socket's bounded pool, and all share one interpreter with the elevations. So there is a bound
for each user and for all together, some room that only root and the owner may take, and a turn: one reader works at a time and
rests between two pieces of work; whoever is privileged waits for no ordinary user. An erasure waits until nobody reads and lets
nobody in. Source: attacks.md rows 36, 41 and 49.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum

from elevate.errors import BusyError

KEPT_FOR_OWNER = 8
REST_SECONDS, OWNERS_REST_SECONDS = 0.001, 0.0002
"""After each piece of work, of about a millisecond."""


class Kind(Enum):
    """What a reader takes; the value is how many of it there are for all ordinary users, and for one user."""

    PAGE = (16, 4)
    FOLLOW = (16, 2)


class Gate:
    """Lets readers in.

    Args:
        owner_uid: As whom the broker runs; root and this user are not bounded by what others hold.
    """

    def __init__(self, owner_uid: int) -> None:
        self._privileged = frozenset({0, owner_uid})
        self._held = {kind: Counter[int]() for kind in Kind}
        self._guard = threading.Lock()
        self._turns = {True: threading.Lock(), False: threading.Lock()}

    @contextmanager
    def admitted(self, uid: int, kind: Kind) -> Iterator[None]:
        """Let one reader in.

        Raises:
            BusyError: This user, or all together, have too many already.
        """
        held = self._held[kind]
        with self._guard:
            self._check(uid, kind, held)
            held[uid] += 1
        try:
            yield
        finally:
            with self._guard:
                held[uid] -= 1

    @contextmanager
    def turn(self, uid: int) -> Iterator[Callable[[], None]]:
        """Wait for one's turn to work; gives what is to be called between two pieces of the work."""
        privileged = uid in self._privileged
        seconds = OWNERS_REST_SECONDS if privileged else REST_SECONDS
        with self._turns[privileged]:
            yield lambda: time.sleep(seconds)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody reads; nobody does until this ends."""
        with ExitStack() as stack:
            for turn in self._turns.values():
                stack.enter_context(turn)
            yield

    def _check(self, uid: int, kind: Kind, held: Counter[int]) -> None:
        most, each = kind.value
        if uid in self._privileged:
            full = sum(held[one] for one in self._privileged) >= KEPT_FOR_OWNER
        else:
            full = held[uid] >= each or sum(held[one] for one in held.keys() - self._privileged) >= most
        if full:
            raise BusyError("too many questions to the log are open", hint="end one first, or ask again in a moment")
