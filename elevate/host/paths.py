"""Paths that somebody else wrote down, opened so that nobody who lacks root can lead them astray.

A link on the way counts only where root made it and nobody else could have put it there: ``/var/run`` leads to ``/run``. One in
a folder that others can write stops the look-up, and so does one that they own. Where the kernel can refuse all links by itself
(openat2, Linux 5.6), a path without any is opened in one call; else, and where there are links of the system's, every step is
opened by itself and looked at.

Standard library only: the launcher program imports this.
"""

import errno
import os
import stat
import struct

from elevate.host import kernel

RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
_OPENAT2, _AT_FDCWD = 437, -100
_HOW = struct.Struct("=QQQ")
_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EPERM})
"""The second is what a filter around a container answers instead."""
_MAX_LINKS = 40
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    """Open below a folder; the kernel keeps the limits of ``resolve``.

    Raises:
        OSError: ENOSYS where the kernel can't, ELOOP for a link, EXDEV for what leads out of the folder.
    """
    how = _HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    return kernel.call(_OPENAT2, folder, os.fsencode(path), how, len(how))


def open_place(path: str) -> int:
    """Open a folder or file for looking at (O_PATH), by its absolute path.

    Raises:
        OSError: Not there; or ELOOP: a link that is not the system's.
    """
    try:
        return openat2(_AT_FDCWD, path, os.O_PATH, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    except OSError as exc:
        if exc.errno not in {errno.ELOOP, *_NO_SUCH_CALL}:
            raise
    return _walk(path)


def open_folder(path: str) -> int:
    """Open a folder by a path on which no link may be: a real path, as it was shown, however it looks by now.

    Raises:
        OSError: Not there, no folder, or a link on the way.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        return openat2(_AT_FDCWD, path, flags, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)
    except OSError as exc:
        if exc.errno not in _NO_SUCH_CALL:
            raise
    here = _root()
    for name in reversed(_steps(path)):
        try:
            step = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        finally:
            os.close(here)
        here = step
    return here


def _walk(path: str) -> int:
    here, links, waiting = _root(), 0, _steps(path)
    try:
        while waiting:
            step = os.open(waiting.pop(), _STEP, dir_fd=here)
            if not stat.S_ISLNK(os.fstat(step).st_mode):
                os.close(here)
                here = step
                continue
            links += 1
            target = _follow(step, os.fstat(here), path, links)
            if target.startswith("/"):
                os.close(here)
                here = _root()
            waiting += _steps(target)
    except BaseException:
        os.close(here)
        raise
    return here


def _follow(link: int, above: os.stat_result, path: str, number: int) -> str:
    """Give where a link leads; takes its descriptor over."""
    try:
        others = os.fstat(link).st_uid != 0 or above.st_uid != 0 or above.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others or number > _MAX_LINKS:
            raise OSError(errno.ELOOP, "the path has a link that is not the system's", path)
        return os.readlink("", dir_fd=link)
    finally:
        os.close(link)


def _root() -> int:
    return os.open("/", os.O_PATH | os.O_CLOEXEC)


def _steps(path: str) -> list[str]:
    """Give the names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]
