"""Which names a task makes, moves and removes on host linux, and whose owner or mode it changes, told by the kernel.

fanotify tells this for whole file systems (Linux 5.17), so everybody's changes come; each has the number of the process that
made it, and only those of the task's namespace have one that the launcher, its init, can see. An event names folder and file by
handles, because names change: folders are opened by handle, here and once more at the end. A name that was there before and is
not there any more was removed; one that came and went is nothing.

Standard library only: the launcher program imports this.
"""

import contextlib
import os
import struct

from elevate.host import kernel

MAX_NAMES = 20_000
_BUFFER = 16_384
_ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x4, 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _ON_FOLDERS = 0x4000, 0x40000000
_MASK = _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ON_FOLDERS
_EVENT = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BxH")
_HANDLE = struct.Struct("=8sIi")
_FID, _FOLDER_AND_NAME = 1, 2
_INIT = 1

Name = tuple[bytes, bytes]
"""Handle of the folder, with its file system; and the name in it."""


class _Seen:
    """What was told of one name: whether something was there before, and whether it was made, or only came there."""

    __slots__ = ("before", "made")

    def __init__(self) -> None:
        self.before = self.made = False


class Names:
    """The watch over the file systems that a task can reach.

    Raises:
        OSError: This kernel can't tell.
    """

    def __init__(self) -> None:
        self.complete = True
        self._roots: dict[bytes, int] = {}
        self._folders: dict[bytes, str] = {}
        self._links: set[tuple[Name, bytes]] = set()
        self._seen: dict[Name, _Seen] = {}
        self.fd = kernel.fanotify_init(kernel.FAN_REPORT_NAMES)

    def begin(self, places: list[str]) -> None:
        """Watch from now on: of each file system the first of these places, one for each mount that counts."""
        for place in places:
            # A file system that can't be watched is left out, and the report says so.
            try:
                self._watch(place)
            except OSError:
                self.complete = False

    def read(self) -> None:
        """Take what the kernel has told so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, _BUFFER):
                self._take(data)

    def end(self) -> dict[bytes, str]:
        """Give the paths with ``created``, ``changed``, ``removed``, or ``moved`` for what only came there."""
        self.read()
        found = {}
        for (folder, name), seen in self._seen.items():
            if change := self._change(folder, name, seen):
                path = self._folders[folder].rstrip("/")
                found[os.fsencode(path) + b"/" + name] = change
        return found

    def _change(self, folder: bytes, name: bytes, seen: _Seen) -> str:
        if self._is_there(folder, name):
            return "changed" if seen.before else "created" if seen.made else "moved"
        return "removed" if seen.before else ""

    def _is_there(self, folder: bytes, name: bytes) -> bool:
        """Say whether something has the name, in the folder by what path soever it is there now; that path is kept then."""
        with contextlib.suppress(OSError):
            fd = self._open(folder)
            try:
                os.stat(name, dir_fd=fd, follow_symlinks=False)
                self._folders[folder] = os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
            return True
        return False

    def _watch(self, place: str) -> None:
        key = struct.pack("=Q", os.statvfs(place).f_fsid)
        if key in self._roots:
            return
        kernel.fanotify_mark(self.fd, place, kernel.FAN_MARK_FILESYSTEM, _MASK)
        self._roots[key] = os.open(place, os.O_RDONLY | os.O_CLOEXEC)

    def _take(self, data: bytes) -> None:
        place = 0
        while place < len(data):
            size, _, _, head, mask, _, pid = _EVENT.unpack_from(data, place)
            if mask & _OVERFLOW:
                self.complete = False
            elif pid > _INIT:
                self._note(mask, data[place + head : place + size])
            place += size

    def _note(self, mask: int, infos: bytes) -> None:
        place, name, child = 0, None, b""
        while place < len(infos):
            kind, size = _INFO.unpack_from(infos, place)
            handle, rest = _split(infos[place + _INFO.size : place + size])
            if kind == _FOLDER_AND_NAME:
                name = handle, rest.split(b"\0", 1)[0]
            elif kind == _FID:
                child = handle
            place += size
        if name is None or name[1] in {b"", b"."} or not self._known(name[0]):
            return
        if name not in self._seen and len(self._seen) >= MAX_NAMES:
            self.complete = False
            return
        self._remember(name, child, mask)

    def _remember(self, name: Name, child: bytes, mask: int) -> None:
        seen, link = self._seen.setdefault(name, _Seen()), (name, child)
        # What leaves, or changes, without having come by the task was there before.
        if mask & (_DELETE | _MOVED_FROM | _ATTRIB) and not mask & _CREATE and link not in self._links:
            seen.before = True
        if mask & (_CREATE | _MOVED_TO):
            self._links.add(link)
            seen.made = seen.made or bool(mask & _CREATE)

    def _known(self, folder: bytes) -> bool:
        """Find a folder's path, once; one that is gone by now is told with the folder above it."""
        if folder not in self._folders:
            try:
                fd = self._open(folder)
            except OSError:
                return False
            try:
                self._folders[folder] = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
            finally:
                os.close(fd)
        return True

    def _open(self, folder: bytes) -> int:
        root = self._roots.get(folder[:8])
        if root is None:
            raise FileNotFoundError
        return kernel.open_by_handle(root, folder[8:])


def _split(info: bytes) -> tuple[bytes, bytes]:
    """Give file system and handle of one record as one key, and what follows."""
    filesystem, size, kind = _HANDLE.unpack_from(info)
    end = _HANDLE.size + size
    return filesystem + struct.pack("=Ii", size, kind) + info[_HANDLE.size : end], info[end:]
