"""Whose turn it is to be prompted: one prompt per user, a bounded queue, and less and less patience with prompt bombing.

Counters are per user, so that nobody can lock out another. They live in memory: a restart forgets them, and the lock-out of
wrong PINs, which is kept on disk, is a matter of its own.

Source: attacks.md rows 35 and 49; fidelity.md row 27.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from elevate.errors import BusyError, CancelledError
from elevate.ports import Cancel, Clock

MAX_WAITING = 3
FREE_REFUSALS = 3
FREE_LEAVES = 16
FIRST_PAUSE_SECONDS = 10
MAX_PAUSE_SECONDS = 600
MAX_USERS = 4096
_POLL_SECONDS = 0.1


@dataclass(slots=True)
class _Person:
    prompting: bool = False
    waiting: list[object] = field(default_factory=list)
    refusals: int = 0
    leaves: int = 0
    not_before_ns: int = 0


class Turns:
    """The queue in front of each user's prompt.

    Attributes:
        on_pause: Told when a user's next prompt has to wait, and for how many seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.on_pause: Callable[[str, int], object] = lambda _user, _seconds: None
        self._people: dict[str, _Person] = {}
        self._changed = threading.Condition()

    @contextmanager
    def take(self, user: str, cancel: Cancel, *, waits: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Hold the user's only prompt.

        Args:
            user: Whose.
            cancel: Ends the waiting.
            waits: Called before the waiting begins, where there is any.

        Raises:
            BusyError: The queue is full, or too many prompts went unanswered.
            CancelledError: ``cancel`` fired while waiting.
        """
        with self._changed:
            self._wait(user, cancel, waits)
        try:
            yield
        finally:
            with self._changed:
                self._people[user].prompting = False
                self._changed.notify_all()

    def open_prompts(self) -> int:
        """Say how many people are being asked now."""
        with self._changed:
            return sum(person.prompting for person in self._people.values())

    def waiting(self, user: str) -> int:
        """Say how many requests wait for a user's prompt."""
        with self._changed:
            person = self._people.get(user)
            return len(person.waiting) if person else 0

    def refused(self, user: str, *, left: bool = False) -> None:
        """Count a prompt that was declined or not answered; from the third on each costs a pause, twice as long each time.

        Args:
            user: Whose prompt.
            left: The caller left it; that happens to people, too, so more of these are free.
        """
        with self._changed:
            person = self._person(user)
            person.refusals += not left
            person.leaves += left
            over = person.leaves - FREE_LEAVES if left else person.refusals - FREE_REFUSALS
            pause = min(FIRST_PAUSE_SECONDS * 2 ** max(0, min(over, 10)), MAX_PAUSE_SECONDS)
            if over >= 0:
                person.not_before_ns = self._clock.read().mono_ns + pause * 1_000_000_000
        if over >= 0:
            self.on_pause(user, pause)

    def answered(self, user: str) -> None:
        """Forget the count: the person agreed to one."""
        with self._changed:
            person = self._person(user)
            person.refusals = person.leaves = 0
            person.not_before_ns = 0

    def _wait(self, user: str, cancel: Cancel, waits: Callable[[], object]) -> None:
        person = self._person(user)
        self._check_pause(person)
        if len(person.waiting) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} requests wait for {user}'s prompt already")
        ticket = object()
        person.waiting.append(ticket)
        try:
            if person.prompting or person.waiting[0] is not ticket:
                self._without_lock(waits)
            while person.prompting or person.waiting[0] is not ticket:
                if cancel.cancelled():
                    raise CancelledError("cancelled while waiting for the prompt")
                self._changed.wait(_POLL_SECONDS)
            self._check_pause(person)
            person.prompting = True
        finally:
            person.waiting.remove(ticket)
            self._changed.notify_all()

    def _without_lock(self, call: Callable[[], object]) -> None:
        self._changed.release()
        try:
            call()
        finally:
            self._changed.acquire()

    def _check_pause(self, person: _Person) -> None:
        left_ns = person.not_before_ns - self._clock.read().mono_ns
        if left_ns > 0:
            seconds = -(-left_ns // 1_000_000_000)
            raise BusyError(
                f"{person.refusals + person.leaves} prompts were declined or not answered; the next may come in {seconds} s",
                hint="find out what keeps asking: elevate audit tail",
            )

    def _person(self, user: str) -> _Person:
        if user not in self._people and len(self._people) >= MAX_USERS:
            self._forget_idle()
        return self._people.setdefault(user, _Person())

    def _forget_idle(self) -> None:
        idle = [name for name, one in self._people.items() if not (one.prompting or one.waiting or one.refusals or one.leaves)]
        for name in idle:
            del self._people[name]
        if not idle:
            raise BusyError("too many people are being asked")
