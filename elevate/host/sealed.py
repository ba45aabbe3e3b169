"""Memory files that nobody can change any more: a task's input, and copies of programs that others could rewrite."""

import errno
import fcntl
import hashlib
import os
import time
from contextlib import suppress
from functools import cache

from elevate.errors import TaskInvalidError
from elevate.host.hashed import Kept
from elevate.model import Blob
from elevate.tasks import MAX_PAYLOAD_BYTES

SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MFD_EXEC = 0x10
_CHUNK = 1 << 20
HUGE_PAGE_BYTES = 2 * 2**20
"""The last page may be one, where the machine has such."""
MAX_HASHED_BYTES = 8 * 2**30
_digests = Kept[tuple[str, int]]()


def seal(data: bytes, name: str = "elevate-input") -> int:
    """Give the descriptor of a sealed memory file with these bytes; the caller owns it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    _write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def seal_copy(source: int, *, max_bytes: int) -> tuple[int, str, int]:
    """Copy a file into a sealed, executable memory file.

    Returns:
        The descriptor, which the caller owns, the SHA-256 of what is in it, in hexadecimal, and its size.

    Raises:
        TaskInvalidError: It is over ``max_bytes``.
    """
    fd = _executable_memory()
    state, size = hashlib.sha256(), 0
    while chunk := os.pread(source, _CHUNK, size):
        size += len(chunk)
        if size > max_bytes:
            os.close(fd)
            raise TaskInvalidError(f"the program can be changed by others and is over {max_bytes} bytes")
        state.update(chunk)
        _write(fd, chunk)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd, state.hexdigest(), size


def check_sealed(fd: int) -> Blob:
    """Check that a payload's descriptor is a sealed memory file within bounds; give its digest.

    Raises:
        TaskInvalidError: It is anything else; it could still change.
    """
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError as exc:
        raise TaskInvalidError("the input is not a memory file") from exc
    size = os.fstat(fd).st_size
    if seals & SEALS != SEALS:
        raise TaskInvalidError("the input is not sealed against changes")
    # SECURITY: a memory file may hold pages beyond its end (fallocate(2)), and the broker would keep them.
    if size > MAX_PAYLOAD_BYTES or memory_of(fd) > MAX_PAYLOAD_BYTES + HUGE_PAGE_BYTES:
        raise TaskInvalidError(f"the input is over {MAX_PAYLOAD_BYTES} bytes", hint="put it into a file and name that")
    digest, _ = digest_of(fd)
    return Blob(sha256=digest, size=size)


def memory_of(fd: int) -> int:
    """Give how many bytes of memory a memory file takes up, or is long, whichever is more."""
    found = os.fstat(fd)
    return max(found.st_size, found.st_blocks * 512)


def digest_of(fd: int, *, max_bytes: int = MAX_HASHED_BYTES) -> tuple[str, int]:
    """Give the SHA-256, in hexadecimal, and the size of an open file, whatever its offset is.

    Raises:
        OSError: It is over ``max_bytes``, or grows beyond them while it is read.
    """
    state, size = hashlib.sha256(), 0
    while chunk := os.pread(fd, _CHUNK, size):
        size += len(chunk)
        # SECURITY: a sparse file, and one of the kernel's, is as long as its maker likes; nobody could stop the reading.
        if size > max_bytes:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        state.update(chunk)
    return state.hexdigest(), size


def digest_once(fd: int) -> tuple[str, int]:
    """As `digest_of`, for a file that only root can write: once for as long as it is unchanged."""
    now_ns, found = time.time_ns(), os.fstat(fd)
    # SECURITY: a disk that can be exchanged may hold other bytes with the very same numbers and dates.
    if found.st_dev != _system_device():
        return digest_of(fd)
    return _digests.of(found, lambda: digest_of(fd), now_ns=now_ns)


@cache
def _system_device() -> int:
    return os.stat("/").st_dev


def reopen(fd: int) -> int:
    """Give a descriptor of the same file with its own offset, at 0, for reading only."""
    # SECURITY: without O_NONBLOCK the opening waits, 45 seconds, for whoever holds a lease on the file (fcntl(2)).
    opened = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(opened, True)
    return opened


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _executable_memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    with suppress(OSError):
        return os.memfd_create("elevate-program", flags | _MFD_EXEC)
    return os.memfd_create("elevate-program", flags)
