"""Sensors that look while a prompt is open: each in a thread of its own, so that one that waits blocks nothing."""

import os
import queue
import threading
from typing import Protocol

from elevate.errors import ElevateError
from elevate.hello.proof import Stop
from elevate.hello.settings import HelloSettings
from elevate.hello.signals import TrustedSignal
from elevate.ports import Assertion, Hello


class StoppableHello(Hello, Protocol):
    """A `Hello` whose sensors can be told to stop looking, and that takes the phrase after wrong PINs."""

    def sign(
        self, user: str, gesture: str, challenge: bytes, *, secret: bytearray | None = None, stop: Stop = bool
    ) -> Assertion:
        """Make the gesture."""

    @property
    def settings(self) -> HelloSettings:
        """The machine's."""

    @property
    def signal(self) -> TrustedSignal | None:
        """Something near that prompts depend on."""

    def type_phrase(self, user: str, text: str) -> bool:
        """Take the phrase."""


class Looks:
    """One look with each of some sensors, side by side.

    Args:
        hello: Where the gesture is made.
        user: Whose.
        challenge: What is agreed to.
        gestures: Which sensors look.
    """

    def __init__(self, hello: StoppableHello, user: str, challenge: bytes, gestures: list[str]) -> None:
        self._hello, self._user, self._challenge = hello, user, challenge
        self._results: queue.SimpleQueue[Assertion | ElevateError] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._bell: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._left = len(gestures)
        for gesture in gestures:
            threading.Thread(target=self._look, args=(gesture,), name=f"look-{gesture}", daemon=True).start()

    def fileno(self) -> int:
        """Give a descriptor that turns readable when a sensor has come to an end."""
        return -1 if self._bell is None else self._bell

    def looking(self) -> bool:
        """Say whether a sensor still looks, or its result still waits."""
        return self._left > 0

    def take(self) -> Assertion | ElevateError:
        """Take one result; call it only when there is one."""
        with self._lock:
            self._left -= 1
            if self._bell is not None and self._results.qsize() <= 1:
                os.eventfd_read(self._bell)
        return self._results.get()

    def stop(self) -> None:
        """Tell all to stop; what comes later is thrown away."""
        self._stopped.set()
        with self._lock:
            if self._bell is not None:
                os.close(self._bell)
                self._bell = None

    def _look(self, gesture: str) -> None:
        result: Assertion | ElevateError
        try:
            result = self._hello.sign(self._user, gesture, self._challenge, stop=self._stopped.is_set)
        except ElevateError as exc:
            result = exc
        with self._lock:
            self._results.put(result)
            if self._bell is not None:
                os.eventfd_write(self._bell, 1)
