"""What a task writes on host linux, told by the kernel: every file of the task's own mounts that was closed after writing.

fanotify marks the mounts of the task's namespace, so nobody else's writes are seen and none of the task's is missed, whatever
process of its tree made it. A file is kept open until the end, and only then named: so what was written beside its place and
then renamed has its final name, and what was deleted again is left out. Names that were made, moved or removed, and files whose
owner or mode was changed, come from `elevate.host.names`.

Standard library only: the launcher program imports this.
"""

import contextlib
import os
import struct

from elevate.host import kernel
from elevate.host.identity import CountedFor
from elevate.host.jail import OUTSIDE, PRIVATE
from elevate.host.mountinfo import Table
from elevate.host.names import Names

MAX_KEPT = 400
MAX_PATHS = 5_000
_EVENT = struct.Struct("=IBBHQii")
_BUFFER = 16_384
_OVERFLOW = 0x4000
_DELETED = b" (deleted)"
_OWN = tuple(os.fsencode(f"{place}/") for place in PRIVATE)
_OUTSIDE = os.fsencode(f"{OUTSIDE}/")


class Writes:
    """The watch over one task's mounts, of which ``table`` tells; begins when it is made, and counts for ``account``."""

    def __init__(self, table: Table, account: int = 0) -> None:
        self.began_ns = _now_ns()
        self.complete = True
        self._kept: dict[tuple[int, int], int] = {}
        self._named: dict[bytes, bool] = {}
        # The kernel lets each user have 128 of them: what one user's tasks take is nobody else's.
        with CountedFor(account):
            self._fd = kernel.fanotify_init()
            self._names = _names()
        self._all_places = table.whole
        for place in table.places:
            # A file system that can't be watched is left out, and the report says so.
            try:
                kernel.fanotify_mark(self._fd, place, kernel.FAN_MARK_MOUNT, kernel.FAN_CLOSE_WRITE)
            except OSError:
                self.complete = False
        if self._names:
            self._names.begin(table.places)
        self.fds = [self._fd] if self._names is None else [self._fd, self._names.fd]

    def read(self) -> None:
        """Take what the kernel has told so far."""
        if self._names:
            self._names.read()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, _BUFFER):
                self._take(data)

    def end(self) -> bytes:
        """Give the paths, each after the first letter of its change and before a NUL.

        What follows says what may be missing: ``!`` anything, ``~`` what is on other machines, ``?`` what was removed, moved or
        given to others.
        """
        self.read()
        for fd in self._kept.values():
            self._name(fd)
        self._kept.clear()
        # The descriptor goes with the process: closing it waits for the kernel's grace period, 8 ms and more.
        changes = {path: "created" if created else "changed" for path, created in self._named.items()}
        changes |= self._of_names()
        parts = [change[:2].encode() + path + b"\0" for path, change in sorted(changes.items())[:MAX_PATHS]]
        named = self._names is not None and self._names.complete and len(changes) <= MAX_PATHS
        return b"".join(parts) + b"!" * (not self.complete) + b"~" * (not self._all_places) + b"?" * (not named)

    def _of_names(self) -> dict[bytes, str]:
        """Give the changes of names that no written file has told already."""
        found = self._names.end().items() if self._names else ()
        told = [(path, change) for path, change in found if path not in self._named]
        return {path: self._came(path) if change == "moved" else change for path, change in told}

    def _came(self, path: bytes) -> str:
        """Say whether what came to a name is new; what it came over is not told."""
        for seen in (_in_the_task(path), path):
            with contextlib.suppress(OSError):
                fd = os.open(seen, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    return "created" if kernel.born_ns(fd) >= self.began_ns else "changed"
                finally:
                    os.close(fd)
        return "changed"

    def _take(self, data: bytes) -> None:
        place = 0
        while place < len(data):
            size, _, _, _, mask, fd, _ = _EVENT.unpack_from(data, place)
            place += size
            if mask & _OVERFLOW:
                self.complete = False
            if fd >= 0:
                self._keep(fd)

    def _keep(self, fd: int) -> None:
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) in self._kept:
            os.close(fd)
        elif len(self._kept) < MAX_KEPT:
            self._kept[found.st_dev, found.st_ino] = fd
        else:
            self._name(fd)

    def _name(self, fd: int) -> None:
        path = os.readlink(os.fsencode(f"/proc/self/fd/{fd}"))
        if not path.endswith(_DELETED) and path.startswith(b"/"):
            if len(self._named) < MAX_PATHS:
                self._named[_on_the_machine(path)] = kernel.born_ns(fd) >= self.began_ns
            else:
                self.complete = False
        os.close(fd)


def _on_the_machine(path: bytes) -> bytes:
    """Give the machine's own path of a file in the folder in which the task was asked for, where that is /tmp or its like."""
    own = next((own for own in _OWN if path.startswith(own + _OUTSIDE)), b"")
    return own + path[len(own + _OUTSIDE) :] if own else path


def _in_the_task(path: bytes) -> bytes:
    """Give the task's path of the same file."""
    own = next((own for own in _OWN if path.startswith(own)), b"")
    return own + _OUTSIDE + path[len(own) :] if own else path


def watch_writes(table: Table, account: int) -> Writes | None:
    """Begin to watch; a kernel that can't leaves the report without a list."""
    try:
        return Writes(table, account)
    except OSError:
        return None


def _names() -> Names | None:
    try:
        return Names()
    except OSError:
        return None


def _now_ns() -> int:
    """Give the time as the kernel writes it on new files: up to a clock tick behind the wall clock.

    What was looked at and is changed then gets, since 6.13, a time that nothing had before, and that all has that comes after.
    """
    fd = os.memfd_create("now", os.MFD_CLOEXEC)
    try:
        os.fstat(fd)
        os.fchmod(fd, 0o600)
        return os.fstat(fd).st_ctime_ns
    finally:
        os.close(fd)
