"""What a task may write, kept by the kernel with the process itself: landlock, from Linux 5.13 on.

It goes with every process that the task starts and can't be taken off. It follows the files, not the mounts over them, and
while it holds nobody in it can change mounts, with whatever capability. It knows an allow-list only, and not owner, mode and
times of a file: those the mounts keep. Standard library only: the launcher program imports this.
"""

import os
import stat
import struct

from elevate.host import kernel
from elevate.host.paths import open_place

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _PATH_BENEATH = 1, 1
_RULESET = struct.Struct("=Q")
_BENEATH = struct.Struct("=Qi")
_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR = 1 << 1, 1 << 4, 1 << 5, 1 << 6
_MAKE_DIR, _MAKE_REG, _MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM = (1 << number for number in range(7, 13))
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_DEVICES = _MAKE_CHAR | _MAKE_BLOCK
_FILE = _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
_FOLDER = _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM
_SINCE = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}
LEAST = 2


def version() -> int:
    """Give the version that this kernel offers; 0 where it has none, or none was switched on."""
    try:
        return kernel.call(_CREATE, 0, 0, _VERSION)
    except OSError:
        return 0


def ruleset(writable: list[str] | None) -> int:
    """Make the rules of one task; give their descriptor, or -1 where the kernel has too little of it.

    Args:
        writable: Files and folders that the task may write, all below included; None: everything, but for making devices and
            changing mounts.
    """
    offered = version()
    if offered < LEAST:
        return -1
    known = _FILE | _FOLDER | _DEVICES | _REFER if writable is not None else _DEVICES | _REFER
    known &= ~sum(right for since, right in _SINCE.items() if offered < since)
    rules = kernel.call(_CREATE, _RULESET.pack(known), _RULESET.size, 0)
    for path in ["/"] if writable is None else writable:
        _allow(rules, path, known & ~_DEVICES)
    return rules


def restrict(rules: int) -> None:
    """Put this process, and all that it starts, under the rules, for good; needs `PR_SET_NO_NEW_PRIVS`."""
    kernel.call(_RESTRICT, rules, 0)


def _allow(rules: int, path: str, rights: int) -> None:
    place = open_place(path)
    try:
        folder = stat.S_ISDIR(os.fstat(place).st_mode)
        kernel.call(_ADD, rules, _PATH_BENEATH, _BENEATH.pack(rights if folder else rights & _FILE, place), 0)
    finally:
        os.close(place)
