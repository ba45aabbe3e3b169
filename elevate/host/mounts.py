"""Mounts over what is there already: the same folder again, but read-only, or without devices.

A place is a descriptor, never a path that is looked up twice: whoever renames things meanwhile can't choose what is covered,
and with what. Needs Linux 5.2; the flags of a whole tree are set at once from 5.12 on, one mount after the other before.

Standard library only: the launcher program imports this.
"""

import errno
import os
import struct

from elevate.host import kernel
from elevate.host.mountinfo import plain
from elevate.host.paths import open_place

READ_ONLY, NO_SUID, NO_DEVICES, NO_EXEC = 1, 2, 4, 8
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE, _CLOEXEC, _EMPTY_PATH, _RECURSIVE = 1, 0o2000000, 0x1000, 0x8000
_FROM_EMPTY_TO_EMPTY = 0x4 | 0x40
_ATTRIBUTES = struct.Struct("=QQQQ")
_OPTIONS = {"ro": kernel.MS_RDONLY, "nosuid": kernel.MS_NOSUID, "nodev": kernel.MS_NODEV, "noexec": kernel.MS_NOEXEC}
_CLASSIC = {READ_ONLY: kernel.MS_RDONLY, NO_SUID: kernel.MS_NOSUID, NO_DEVICES: kernel.MS_NODEV, NO_EXEC: kernel.MS_NOEXEC}


def clone(place: int) -> int:
    """Give a copy of what is at a place, with all that is mounted below; nobody sees it until it is attached."""
    return kernel.call(_OPEN_TREE, place, b"", _CLONE | _CLOEXEC | _EMPTY_PATH | _RECURSIVE)


def attach(tree: int, place: int) -> None:
    """Mount a copy over a place."""
    kernel.call(_MOVE_MOUNT, tree, b"", place, b"", _FROM_EMPTY_TO_EMPTY)


def change(tree: int, add: int, remove: int = 0) -> None:
    """Add and remove flags of a mount, given by its root, and add them to all that is mounted below.

    Raises:
        OSError: Not all of them could be changed.
    """
    attributes = _ATTRIBUTES.pack(add, remove, 0, 0)
    try:
        kernel.call(_MOUNT_SETATTR, tree, b"", _EMPTY_PATH | _RECURSIVE, attributes, len(attributes))
    except OSError as exc:
        if exc.errno != errno.ENOSYS:
            raise
        _change_each(tree, add, remove)


def cover_read_only(path: str) -> None:
    """Make a folder or file, with all that is mounted below at this moment, read-only at its own place.

    Raises:
        OSError: It is not there, can't be covered, or somebody other than root made a link of its path.
    """
    place = open_place(path)
    try:
        tree = clone(place)
        try:
            attach(tree, place)
            change(tree, READ_ONLY | NO_SUID | NO_DEVICES)
        finally:
            os.close(tree)
    finally:
        os.close(place)


def _change_each(tree: int, add: int, remove: int) -> None:
    """Do the same on a kernel that changes one mount at a time."""
    top = os.readlink(f"/proc/self/fd/{tree}")
    for path, options in _mounts_of(top):
        old = {flag for name, flag in _OPTIONS.items() if name in options}
        new = old - {_CLASSIC[one] for one in _CLASSIC if remove & one} | {_CLASSIC[one] for one in _CLASSIC if add & one}
        kernel.mount("", path, "", kernel.MS_BIND | kernel.MS_REMOUNT | sum(new))
    # SECURITY: a path may have led elsewhere by then; what counts is the mount itself.
    if add & READ_ONLY and not os.fstatvfs(tree).f_flag & os.ST_RDONLY:
        raise OSError(errno.EAGAIN, "the mount did not become read-only")


def _mounts_of(place: str) -> list[tuple[str, list[str]]]:
    """Give the mounts at a place and below, each with its options."""
    found = []
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split(b" ", 6)
            path = plain(os.fsdecode(fields[4]))
            if path == place or path.startswith(place.rstrip("/") + "/"):
                found.append((path, fields[5].decode("ascii", "replace").split(",")))
    return found
