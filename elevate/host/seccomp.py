"""What a confined task can't ask the kernel for: the ways round its mounts that no capability guards.

- Local sockets to other programs: a service manager or a container daemon would write for it, outside of its mounts. Pairs of
  its own stay possible, but for datagram ones, which can be sent to anybody.
- Files by handle, which come with whatever mount the caller likes; and io_uring, which makes sockets past this very filter.
- System calls of another architecture, which the filter does not know.

Standard library only: the launcher program imports this.
"""

import ctypes
import errno
import os
import struct
import sys

from elevate.host import kernel

_MACHINES = {
    "x86_64": (0xC000003E, 41, 53, 304, ()),
    "aarch64": (0xC00000B7, 198, 199, 265, ()),
    "riscv64": (0xC00000F3, 198, 199, 265, ()),
    "ppc64le": (0xC0000015, 326, 333, 354, (102,)),
    "s390x": (0x80000016, 359, 360, 336, (102,)),
}
"""Architecture, socket, socketpair, open_by_handle_at, and the older call behind which sockets hide."""
_IO_URING_SETUP, _X32 = 425, 0x40000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_AF_UNIX, _TYPE, _STREAM, _SEQPACKET = 1, 0xF, 1, 5
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_INSTRUCTION = struct.Struct("=HBBI")

Step = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def known() -> bool:
    """Say whether this machine's numbers are known here; without a filter no task is confined."""
    return os.uname().machine in _MACHINES


def install() -> None:
    """Put this process, and all that it starts, under the filter, for good; needs `PR_SET_NO_NEW_PRIVS`.

    Raises:
        OSError: The kernel has no filters, or the machine is not known here.
    """
    if not known():
        raise OSError(errno.ENOSYS, "no filter is known for this machine")
    steps = _steps()
    data = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*step) for step in steps))
    program = _Program(len(steps), ctypes.cast(data, ctypes.c_void_p))
    kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))


def _steps() -> list[Step]:
    architecture, socket, pair, by_handle, older = _MACHINES[os.uname().machine]
    refused = {_IO_URING_SETUP: errno.ENOSYS, by_handle: errno.EPERM} | dict.fromkeys(older, errno.ENOSYS)
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), _return(_KILL), (_LOAD, 0, 0, _NUMBER)]
    steps += [(_AT_LEAST, 0, 1, _X32), _return(_ERRNO | errno.ENOSYS)]
    for number, error in refused.items():
        steps += [(_EQUAL, 0, 1, number), _return(_ERRNO | error)]
    no_family = _return(_ERRNO | errno.EAFNOSUPPORT)
    steps += [(_EQUAL, 0, 4, socket), _argument(0), (_EQUAL, 0, 1, _AF_UNIX), no_family, _return(_ALLOW)]
    steps += [(_EQUAL, 0, 7, pair), _argument(0), (_EQUAL, 0, 5, _AF_UNIX), _argument(1), (_AND, 0, 0, _TYPE)]
    steps += [(_EQUAL, 2, 0, _STREAM), (_EQUAL, 1, 0, _SEQPACKET), no_family]
    return [*steps, _return(_ALLOW)]


def _return(value: int) -> Step:
    return _RETURN, 0, 0, value


def _argument(number: int) -> Step:
    """Load the lower half of an argument; the kernel takes an int and looks at no more."""
    return _LOAD, 0, 0, _ARGUMENTS + 8 * number + (4 if sys.byteorder == "big" else 0)
