"""Where the broker listens, and that nobody else can take the place or its name.

- As root: ``/run/elevate``, root's, writable by nobody else; the socket itself is open to all, since who asks is known from
  the kernel and judged by policy.
- As an ordinary user: ``elevate`` in the user's run-time folder, else in the user's home; 0700, and the socket 0600.
- Nothing on the way is a symbolic link, and a folder that others can write is refused.
- A socket that is there already is replaced only when it is our own and nobody listens on it.

Source: unix(7); attacks.md rows 11, 24 and 50.
"""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from elevate import wire
from elevate.errors import BrokerError, BrokerUntrustedError

BACKLOG = 128
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def default() -> Path:
    """Give the fixed place of this user's broker; root gets the machine's."""
    if os.getuid() == 0 and not Path("/run/user/0").exists():
        return Path("/run/elevate/broker.sock") if Path("/run/elevate").exists() else Path(wire.place()[0])
    return Path(wire.place()[0])


def listen(path: Path) -> socket.socket:
    """Make the folder where it is missing, check it, and listen.

    Raises:
        BrokerUntrustedError: The folder or what stands in the socket's place is not as it must be.
        BrokerError: Another broker listens there, or the socket can't be made.
    """
    shared = path.parent == Path("/run/elevate")
    try:
        _make_folder(path.parent, mode=0o755 if shared else 0o700)
        with _opened(path.parent) as folder:
            _check_folder(path.parent, os.fstat(folder), private=not shared)
            _clear(path, folder)
            return _bind(path, folder, mode=0o666 if shared else 0o600)
    except OSError as exc:
        raise BrokerError(f"can't listen on {path}: {exc.strerror or exc}") from exc


def remove(path: Path, listener: socket.socket) -> None:
    """Take the socket's name away where it is still the listener's own; closing is the caller's."""
    with contextlib.suppress(OSError):
        if path.lstat().st_uid == os.getuid() and listener.getsockname():
            path.unlink()


def _make_folder(folder: Path, *, mode: int) -> None:
    missing = [level for level in (folder, *folder.parents) if not os.path.lexists(level)]
    for level in reversed(missing):
        level.mkdir(mode=mode if level == folder else 0o700)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _check_folder(folder: Path, found: os.stat_result, *, private: bool) -> None:
    hint = f"the folder must be yours and writable by nobody else: chmod 700 {folder}"
    if found.st_uid != os.getuid():
        raise BrokerUntrustedError(f"the folder {folder} belongs to uid {found.st_uid}", hint=hint)
    if found.st_mode & (_OTHERS_WRITE | (0o077 if private else 0)):
        raise BrokerUntrustedError(f"the folder {folder} is open to others (mode {stat.S_IMODE(found.st_mode):03o})", hint=hint)
    for parent in folder.resolve().parents:
        _check_parent(parent)


def _check_parent(parent: Path) -> None:
    found = parent.stat()
    if found.st_uid not in {0, os.getuid()} or (found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX):
        hint = "use a folder that only you can change"
        raise BrokerUntrustedError(f"the folder {parent} above the socket can be changed by others", hint=hint)


def _clear(path: Path, folder: int) -> None:
    """Remove a dead socket of our own."""
    try:
        found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
        raise BrokerUntrustedError(
            f"{path} is there and is no socket of ours", hint="find out who put it there, and move it away"
        )
    if _answers(path.name, folder):
        raise BrokerError(f"a broker listens on {path} already", hint="see: elevate status")
    os.unlink(path.name, dir_fd=folder)


def _answers(name: str, folder: int) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # a full queue is a broker that lives
        try:
            probe.connect(f"/proc/self/fd/{folder}/{name}")
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
    return True


def _bind(path: Path, folder: int, *, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Set before anyone can connect, so that every message carries the sender's credentials.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # Through the descriptor that was checked: no other folder can slip in, and a long path does no harm.
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.chmod(path.name, mode, dir_fd=folder)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except BaseException:
        listener.close()
        raise
    return listener
