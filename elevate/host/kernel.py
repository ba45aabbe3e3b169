"""The few system calls that Python has no name for: namespaces, mounts, capabilities, process attributes.

Standard library only: the launcher program imports this. Every function raises OSError with the errno.
"""

import ctypes
import os
import struct
from functools import cache

from elevate.host.reading import read

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 8, 32, 4096, 16384
MS_PRIVATE, MS_SLAVE = 1 << 18, 1 << 19

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 8, 24, 36
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 27, 28, 38, 47
SECURE_NO_ROOT = 1 | 2
"""For good: uid 0 gets no capability by executing something."""
SECURE_NO_FIXUP = 4
"""Another effective user is no reason to have other effective capabilities."""
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE"),
    *("NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO"),
    *("SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME"),
    *("SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG"),
    *("WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"),
)
"""Names without ``CAP_``, at the index that is their number."""

FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM, FAN_CLOSE_WRITE, FAN_REPORT_NAMES = 0x10, 0x100, 8, 0x1E00
_FAN_CLOEXEC, _FAN_NONBLOCK, _FAN_MARK_ADD = 1, 2, 1
_AT_FDCWD, _AT_EMPTY_PATH, _STATX_BTIME = -100, 0x1000, 0x800
_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPSET_HEADER, _CAPSET_DATA = struct.pack("=Ii", 0x20080522, 0), struct.Struct("=6I")
"""Version 3, this process; then effective, permitted and inheritable, the lower halves of all three first."""
_HALF = 0xFFFFFFFF
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
_libc.mount.argtypes = (*[ctypes.c_char_p] * 3, ctypes.c_ulong, ctypes.c_char_p)
# Looked up here, and not by every launcher anew.
_BOUND = (_libc.capset, _libc.unshare, _libc.fanotify_init, _libc.open_by_handle_at, _libc.statx)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def call(number: int, *arguments: int | bytes) -> int:
    """Make a system call by its number, the same on all machines from 424 on; give what it returns."""
    plain = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *plain)
    _checked(min(result, 0))
    return result


def prctl(option: int, value: int = 0, other: int = 0) -> int:
    """Set one attribute of this process, or give it."""
    result: int = _libc.prctl(option, value, other, 0, 0)
    _checked(min(result, 0))
    return result


def new_session_keyring() -> None:
    """Leave the keys of whoever started this process; nothing happens where the machine's numbers are not known here."""
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def processor() -> int:
    """Give the number of the processor that this thread runs on now."""
    return int(_libc.sched_getcpu())


def unshare(flags: int) -> None:
    """Leave namespaces; with `CLONE_NEWPID` the next child is the first of a new one."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind a descriptor."""
    _checked(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount."""
    _checked(_libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode()))


def bound(numbers: tuple[int, ...]) -> None:
    """Let nothing that is executed from now on have other capabilities than these."""
    drop = _libc.prctl
    for number in set(range(last_capability() + 1)).difference(numbers):
        _checked(drop(PR_CAPBSET_DROP, number, 0, 0, 0))


class Capabilities:
    """Sets of capabilities to take, later and any number of times; all permitted are effective where nothing else is said."""

    def __init__(
        self, permitted: tuple[int, ...], *, effective: tuple[int, ...] | None = None, inheritable: tuple[int, ...] = ()
    ) -> None:
        sets = [mask(permitted if effective is None else effective), mask(permitted), mask(inheritable)]
        self._data = _CAPSET_DATA.pack(*[one & _HALF for one in sets], *[one >> 32 for one in sets])

    def take(self) -> None:
        """Have exactly these."""
        _checked(_libc.capset(_CAPSET_HEADER, self._data))


def mask(numbers: tuple[int, ...]) -> int:
    """Give capabilities as the kernel writes them."""
    return sum(1 << number for number in set(numbers))


def capabilities_of(sets: tuple[str, ...]) -> list[int]:
    """Read back this process's capability sets, by their names in /proc/self/status."""
    lines = dict(line.split(b":\t", 1) for line in read("/proc/self/status").splitlines() if line.startswith(b"Cap"))
    return [int(lines[name.encode()], 16) for name in sets]


@cache
def last_capability() -> int:
    """Give the highest number that this kernel knows."""
    return int(read("/proc/sys/kernel/cap_last_cap"))


def fanotify_init(reporting: int = 0) -> int:
    """Give a descriptor on which the kernel tells what happens on marked mounts, or, `FAN_REPORT_NAMES`, file systems."""
    fd: int = _libc.fanotify_init(_FAN_CLOEXEC | _FAN_NONBLOCK | reporting, os.O_RDONLY | os.O_CLOEXEC | os.O_LARGEFILE)
    _checked(min(fd, 0))
    return fd


def fanotify_mark(fd: int, place: str, what: int, mask: int) -> None:
    """Watch the mount or the file system at a place."""
    _checked(_libc.fanotify_mark(fd, _FAN_MARK_ADD | what, mask, _AT_FDCWD, os.fsencode(place)))


def open_by_handle(root: int, handle: bytes) -> int:
    """Open a file for looking at by its handle, on the file system of an open folder."""
    fd: int = _libc.open_by_handle_at(ctypes.c_int(root), handle, ctypes.c_int(os.O_PATH | os.O_CLOEXEC))
    _checked(min(fd, 0))
    return fd


def born_ns(fd: int) -> int:
    """Give when a file was made, in nanoseconds since 1970; 0 where the file system does not say."""
    buffer = ctypes.create_string_buffer(256)
    if _libc.statx(fd, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) != 0:
        return 0
    (mask,) = struct.unpack_from("=I", buffer)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, 80)
    return int(seconds) * 10**9 + int(nanoseconds) if mask & _STATX_BTIME else 0
