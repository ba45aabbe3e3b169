"""Telling a waiting step to stop."""

import os
import select
import threading

from elevate.audit.body import Body
from elevate.ports import Cancel


class Cancellation:
    """A switch that is thrown at most once; its descriptor, made for whoever asks for it, turns readable then.

    Attributes:
        by: Who threw it, as a part of an entry; nothing where a client left.
    """

    def __init__(self) -> None:
        self.by: Body = {}
        self._fd = -1
        self._lock = threading.Lock()
        self._thrown = False
        self._closed = False

    def cancel(self, by: Body | None = None) -> None:
        """Throw the switch."""
        with self._lock:
            if not self._thrown and not self._closed:
                self.by = by or {}
                self._thrown = True
                if self._fd >= 0:
                    os.eventfd_write(self._fd, 1)

    def cancelled(self) -> bool:
        """Say whether it was thrown."""
        return self._thrown

    def fileno(self) -> int:
        """Give the descriptor; -1 once it is closed."""
        with self._lock:
            if self._fd < 0 and not self._closed:
                self._fd = os.eventfd(int(self._thrown), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            return self._fd

    def close(self) -> None:
        """Give the descriptor back; twice is the same as once."""
        with self._lock:
            self._closed = True
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Joined(Cancellation):
    """One request's switch, beside the one for all that its caller waits for: stopping one leaves the others alone.

    Args:
        other: Fires when the caller leaves.
    """

    def __init__(self, other: Cancel) -> None:
        super().__init__()
        self._other = other
        self._either: select.epoll | None = None

    def cancelled(self) -> bool:
        """Say whether either was thrown."""
        return super().cancelled() or self._other.cancelled()

    def fileno(self) -> int:
        """Give a descriptor that turns readable when either is thrown."""
        if self._either is None:
            self._either = select.epoll()
            for fd in (super().fileno(), self._other.fileno()):
                self._either.register(fd, select.EPOLLIN)
        return self._either.fileno()

    def close(self) -> None:
        """Give the descriptors back; twice is the same as once."""
        if self._either is not None:
            self._either.close()
        super().close()
