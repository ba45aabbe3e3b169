"""Telling a waiting step to stop."""

import os
import threading

from elevate.audit.body import Body


class Cancellation:
    """A switch that is thrown at most once; its descriptor turns readable then.

    Attributes:
        by: Who threw it, as a part of an entry; nothing where a client left.
    """

    def __init__(self) -> None:
        self.by: Body = {}
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._thrown = False
        self._closed = False

    def cancel(self, by: Body | None = None) -> None:
        """Throw the switch."""
        with self._lock:
            if not self._thrown and not self._closed:
                self.by = by or {}
                self._thrown = True
                os.eventfd_write(self._fd, 1)

    def cancelled(self) -> bool:
        """Say whether it was thrown."""
        return self._thrown

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._fd

    def close(self) -> None:
        """Give the descriptor back; twice is the same as once."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._fd)
