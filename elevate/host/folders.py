"""Folders that are entered by descriptor: no link that somebody planted is ever followed.

A path is only used to reach the first folder. From there on every step is one name below an open descriptor, with O_NOFOLLOW.
Standard library only: programs that run under the launcher import this.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_FILE_BYTES = 16 * 2**20
_PART_BYTES = 65_536


class FolderError(OSError):
    """A folder or file is not what it must be; nothing was changed."""


class Folder:
    """One open folder; owns its descriptor."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder of one's own: not a link, owned by this process's user, closed to all others.

        Raises:
            FolderError: It is another's, or others may write to it.
        """
        fd = os.open(path, _FLAGS)
        folder = cls(fd, os.readlink(f"/proc/self/fd/{fd}"))
        found = os.fstat(folder.fd)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            folder.close()
            raise FolderError(f"{path} belongs to another user, or others can write to it")
        return folder

    def __enter__(self) -> Self:
        """Use as a context; closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the descriptor; twice is the same as once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def enter(self, name: str) -> "Folder":
        """Open a folder below."""
        return Folder(os.open(_one(name), _FLAGS, dir_fd=self.fd), f"{self.path}/{name}")

    def walk_to(self, names: tuple[str, ...]) -> "Folder":
        """Open a folder some steps below."""
        here = Folder(os.dup(self.fd), self.path)
        for name in names:
            with here:
                here = here.enter(name)
        return here

    def make(self, name: str, mode: int = 0o700) -> "Folder":
        """Make a folder and open it.

        Raises:
            FileExistsError: Something has that name: who made it first may still hold it (attacks.md row 12).
        """
        os.mkdir(_one(name), mode, dir_fd=self.fd)
        return self.enter(name)

    def exists(self, name: str) -> bool:
        """Say whether anything, a broken link too, has this name."""
        try:
            os.stat(_one(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def open_file(self, name: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
        """Open a plain file with one name only.

        Raises:
            FolderError: It is a folder, a device or has a second name (a hard link that was planted).
        """
        fd = os.open(_one(name), flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, mode, dir_fd=self.fd)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise FolderError(f"{self.path}/{name} is not a plain file with one name")
        return fd

    def read(self, name: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Read a whole plain file."""
        data = bytearray()
        fd = self.open_file(name)
        try:
            # In parts: room for the largest file that may come is not taken for each small one.
            while len(data) <= max_bytes and (part := os.read(fd, _PART_BYTES)):
                data += part
        finally:
            os.close(fd)
        if len(data) > max_bytes:
            raise FolderError(f"{self.path}/{name} is over {max_bytes} bytes")
        return bytes(data)

    def replace(self, name: str, data: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
        """Write a whole file so that a reader sees the old or the new one, never a part; a link of that name is replaced.

        Args:
            name: In this folder.
            data: All of it.
            mode: Its permissions.
            owner: User and group that it is given; this process's own if not given.
        """
        new = f".{_one(name)}.{os.urandom(6).hex()}"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                if owner is not None:
                    os.fchown(fd, *owner)
                os.fchmod(fd, mode)
                os.fsync(fd)
            os.rename(new, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except BaseException:
            os.unlink(new, dir_fd=self.fd)
            raise

    def remove(self, name: str) -> None:
        """Remove a folder and all below it, whatever the modes and however deep; links are removed, never followed.

        Each folder found is moved up beside ``name`` before it is entered, so that depth costs neither stack nor path length.

        Raises:
            OSError: Something in it can't be removed.
        """
        waiting = [_one(name)]
        while waiting:
            current = waiting.pop()
            os.chmod(current, 0o700, dir_fd=self.fd)
            fd = os.open(current, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
            try:
                for entry in list(os.scandir(fd)):
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.name, dir_fd=fd)
                        continue
                    moved = f".{name}.{os.urandom(8).hex()}"
                    os.chmod(entry.name, 0o700, dir_fd=fd)
                    os.rename(entry.name, moved, src_dir_fd=fd, dst_dir_fd=self.fd)
                    waiting.append(moved)
            finally:
                os.close(fd)
            os.rmdir(current, dir_fd=self.fd)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other processes that lock this folder out."""
        fd = self.open_file(".lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _one(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise FolderError(f"{name!r} is not one name")
    return name
