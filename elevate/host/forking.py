"""Forking a launcher of host linux straight into namespaces and a cgroup of its own. Standard library only.

A process that is moved into a cgroup makes the kernel hold up every fork, exec and exit on the whole machine for some
milliseconds; one that is born there does not.

Source: clone3(2), CLONE_INTO_CGROUP, since Linux 5.7.
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import ctypes
import errno
import os
import struct

from elevate.host import cgroups, kernel

_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000
_NAMESPACES = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC
_ARGUMENTS = struct.Struct("=11Q")
# Unlike CDLL this keeps the interpreter's lock over the call, as os.fork does.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def apart(cgroup: str) -> int:
    """Fork; the child is the first of a new PID namespace, has mounts and IPC of its own, and is in ``cgroup`` already.

    As os.fork it needs a process with one thread. Where ``cgroup`` is empty there is none.

    Raises:
        OSError: This kernel, or this cgroup file system, can't; nothing was forked.
    """
    if not cgroup:
        return _clone(0, 0)
    cgroups.make(cgroup)
    folder = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _clone(_CLONE_INTO_CGROUP, folder)
    except OSError:
        os.rmdir(cgroup)
        raise
    finally:
        os.close(folder)


def offered() -> bool:
    """Say whether the kernel knows the call; a machine's own filter may still refuse it."""
    return bool(_libc.syscall(ctypes.c_long(_CLONE3), None, ctypes.c_long(0)) < 0 and ctypes.get_errno() == errno.EINVAL)


def _clone(flags: int, cgroup: int) -> int:
    arguments = _ARGUMENTS.pack(_NAMESPACES | flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    pid: int = _libc.syscall(ctypes.c_long(_CLONE3), arguments, ctypes.c_long(_ARGUMENTS.size))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid
