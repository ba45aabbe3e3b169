"""How much of the broker those who read the log may take: it has more to do than to answer them.

Each reader holds a worker of the socket's bounded pool, and all share one interpreter with the elevations. So there is a bound
for each user and for all together, some room that only root and the owner may take, and a turn: one reader works at a time and
rests between two pieces of work; whoever is privileged waits for no ordinary user. The end of an erasure waits until nobody
reads and lets nobody in. Source: attacks.md rows 36, 41 and 49.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum

from elevate.errors import BusyError

KEPT_FOR_OWNER = 8
REST, OWNERS_REST = 1.0, 0.25
"""For so much of the time that a piece of work took, a reader rests after it."""
MAX_REST_SECONDS = 0.1


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
        self._held = {(kind, privileged): Counter[int]() for kind in Kind for privileged in (True, False)}
        self._guard = threading.Lock()
        self._turns = {True: threading.Lock(), False: threading.Lock()}

    @contextmanager
    def admitted(self, uid: int, kind: Kind, answers: int | None = None) -> Iterator[None]:
        """Let one reader in.

        Args:
            uid: Who reads.
            kind: What.
            answers: The uid that it is counted for, where one person can have many (subuid(5)).

        Raises:
            BusyError: This user, or all together, have too many already.
        """
        privileged, counted = uid in self._privileged, uid if answers is None else answers
        held = self._held[kind, privileged]
        most, each = (KEPT_FOR_OWNER, KEPT_FOR_OWNER) if privileged else kind.value
        with self._guard:
            if held[counted] >= each or held.total() >= most:
                raise BusyError("too many questions to the log are open", hint="end one first, or ask again in a moment")
            held[counted] += 1
        try:
            yield
        finally:
            with self._guard:
                held[counted] -= 1
                held += Counter()  # those who have none are forgotten

    @contextmanager
    def turn(self, uid: int) -> Iterator[Callable[[], None]]:
        """Wait for one's turn to work; gives what is to be called between two pieces of the work."""
        privileged = uid in self._privileged
        share = OWNERS_REST if privileged else REST
        with self._turns[privileged]:
            began = time.perf_counter()

            def rest() -> None:
                nonlocal began
                time.sleep(min((time.perf_counter() - began) * share, MAX_REST_SECONDS))
                began = time.perf_counter()

            yield rest

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody reads; nobody does until this ends."""
        with ExitStack() as stack:
            for turn in self._turns.values():
                stack.enter_context(turn)
            yield
