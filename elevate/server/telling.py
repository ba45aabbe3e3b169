"""The steps of a running task, told on its connection: never before the reply that says that it runs."""

import threading
from collections.abc import Callable

from elevate.canonical import Json
from elevate.outcome import Progress


class Teller:
    """Holds what is told too early; for any thread.

    Args:
        tell: Sends one reply.
        request: Id of the request.
    """

    def __init__(self, tell: Callable[[dict[str, Json]], None], request: str) -> None:
        self._tell = tell
        self._request = request
        self._early: list[Progress] | None = []
        self._lock = threading.Lock()

    def put(self, progress: Progress) -> None:
        """Tell a step that begins or has ended."""
        with self._lock:
            if self._early is not None:
                self._early.append(progress)
            else:
                self._say(progress)

    def open(self) -> None:
        """Tell what was held, and from now on everything at once."""
        with self._lock:
            for progress in self._early or ():
                self._say(progress)
            self._early = None

    def _say(self, progress: Progress) -> None:
        self._tell({"state": "running", "request": self._request, "step": progress.to_json()})
