"""Descriptors that came from clients, and are closed: each user's in one thread, so that nobody's hold up anybody else's.

SECURITY: closing can take as long as the client likes: a socket that lingers, a file of a FUSE system of its own. So who
answers never does it, and a user whose descriptors do not close is heard no more: `MAX_WAITING` is all that one can keep.

Source: attacks.md rows 36 and 49.
"""

import contextlib
import os
import socket
import stat
import struct
import threading
from collections import deque

MAX_WAITING = 128
_NO_LINGER = struct.pack("ii", 0, 0)


class Closing:
    """Closes what came from clients; one for each ear."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[int]] = {}

    def drop(self, uid: int, *groups: list[int]) -> None:
        """Close descriptors that a user sent, some time.

        Args:
            uid: Who answers for them.
            groups: The descriptors; they are nobody else's any more.
        """
        fds = [fd for group in groups for fd in group]
        if not fds:
            return
        with self._lock:
            begun = uid in self._waiting
            self._waiting.setdefault(uid, deque()).extend(fds)
        if not begun:
            threading.Thread(target=self._close, args=(uid,), name="closing", daemon=True).start()

    def overdue(self, uid: int) -> bool:
        """Say whether so many of a user's descriptors wait to be closed that no more are taken."""
        with self._lock:
            return len(self._waiting.get(uid, ())) >= MAX_WAITING

    def _close(self, uid: int) -> None:
        while True:
            with self._lock:
                fds = self._waiting[uid]
                if not fds:
                    del self._waiting[uid]
                    return
                fd = fds[0]
            close_soon(fd)
            with self._lock:
                fds.popleft()


def close_soon(fd: int) -> None:
    """Close a descriptor; a socket does not linger over it."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=os.dup(fd)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    close_all([fd])


def close_all(fds: list[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
