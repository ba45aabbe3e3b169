"""What was read of a file's bytes, kept for as long as the file is unchanged.

INVARIANT: what is kept is of the bytes that are there. Whatever changes them changes the inode's time of change, which nobody
can set. That time comes from a clock that stands still for some milliseconds: of a file that was just changed nothing is kept.
"""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

QUIET_NS = 2 * 10**9
MAX_KEPT = 256

T = TypeVar("T")


class Kept(Generic[T]):
    """Of so many files what was read of them; for any thread."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], T] = {}

    def of(self, found: os.stat_result, read: Callable[[], T], *, now_ns: int) -> T:
        """Give what is kept of a file, or read it.

        Args:
            found: The open file, as it was before it is read.
            read: Reads it.
            now_ns: By the wall clock, when it was ``found``.
        """
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key in self._kept:
            return self._kept[key]
        made = read()
        if found.st_ctime_ns < now_ns - QUIET_NS:
            if len(self._kept) >= MAX_KEPT:
                self._kept = {}
            self._kept[key] = made
        return made
