"""The ledger's file: made whole or not at all, owned by one process, and known again by its inode.

SECURITY: attacks.md row 11. The file is opened without following links, must be a regular file of ours with one name, in a
folder that only we can write; it is made under another name and renamed, so that a half-made ledger never stands under its
own. Before every commit `OwnedFile.check` compares the names with what was opened: what is written to a file that somebody
moved away would be lost at the next start.
"""

import fcntl
import os
import stat
from pathlib import Path

import apsw

from elevate.errors import StoreError, StoreForeignError, StoreNewerError, StoreUnwritableError
from elevate.ports import Entropy
from elevate.store import logkey
from elevate.store.schema import PERSONAL_TABLES, SCHEMA

APPLICATION_ID = 0x656C7661
"""``elva``, at offset 68 of the file."""
STATE_FORMAT = 3
"""Version of the tables, at offset 60 of the file."""

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100


class OwnedFile:
    """A ledger file that this process owns until `close`.

    Args:
        path: Where it is, or where it is made.
        entropy: Gives a new one its random name and the log's key.

    Raises:
        StoreForeignError: What is there is not our ledger, or others can change it.
        StoreNewerError: A newer elevate wrote it.
        StoreUnwritableError: It can't be made or written.
        StoreError: Another process owns it.
    """

    def __init__(self, path: Path, entropy: Entropy) -> None:
        self.path = _settle(path)
        self._lock = _take_lock(_beside(self.path, "-owner"))
        self._descriptor = -1
        try:
            if not os.path.lexists(self.path):
                _make(self.path, entropy)
            for suffix in ("-wal", "-shm", "-journal"):
                _check_side_file(_beside(self.path, suffix))
            self._descriptor = open_ledger(self.path, write=True)
        except BaseException:
            self.close()
            raise
        self._known = {os.fspath(self.path): _identity(os.fstat(self._descriptor))}

    def know(self, path: Path, descriptor: int) -> None:
        """Remember a further file, the write-ahead log, by its inode."""
        self._known[os.fspath(path)] = _identity(os.fstat(descriptor))

    def check(self) -> None:
        """Compare the names with what was opened.

        Raises:
            StoreUnwritableError: Somebody moved or replaced a file.
        """
        for path, known in self._known.items():
            try:
                found = _identity(os.lstat(path))
            except OSError:
                found = (0, 0)
            if found != known:
                raise StoreUnwritableError(
                    "the ledger's file was moved or replaced", hint="put the file back, then start the broker again"
                )

    def close(self) -> None:
        """Give the file up."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1


def open_ledger(path: Path, *, write: bool) -> int:
    """Open a ledger file without following links and check that it is one; the caller closes the descriptor.

    Raises:
        StoreForeignError: It is not our ledger.
        StoreNewerError: A newer elevate wrote it.
        StoreUnwritableError: It can't be opened.
    """
    try:
        descriptor = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise _open_error(path, exc) from exc
    try:
        _check_plain(path, os.fstat(descriptor))
        _check_header(path, os.pread(descriptor, _HEADER_BYTES, 0))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _settle(path: Path) -> Path:
    """Resolve the folder (not the file) and refuse one that others can write."""
    try:
        folder = path.parent.resolve(strict=True)
        found = folder.stat()
    except OSError as exc:
        raise StoreUnwritableError(f"the folder of the ledger can't be used: {exc.strerror}") from exc
    if found.st_uid not in {os.geteuid(), 0} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreForeignError(
            "others can write the folder of the ledger", hint="keep the ledger in a folder of your own, mode 0700"
        )
    return folder / path.name


def _take_lock(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise _open_error(path, exc) from exc
    try:
        _check_plain(path, os.fstat(descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise StoreError("another broker uses this ledger", hint="stop the other broker first") from exc
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make(path: Path, entropy: Entropy) -> None:
    """Make a whole new ledger; the caller holds the owner lock."""
    generation = entropy.token_bytes(16).hex()
    signer = logkey.make(path, generation, entropy)
    draft = _beside(path, "-new")
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(str(draft))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={STATE_FORMAT}")
        with connection:
            connection.execute(SCHEMA)
            for table, (script, _) in PERSONAL_TABLES.items():
                connection.execute(script.format(table=table, mark=""))
            values = [("generation", generation), ("first_key", str(signer.verifier)), ("key", str(signer.verifier))]
            connection.executemany("INSERT INTO meta VALUES(?, ?)", values)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
        draft.rename(path)
        logkey.sync_folder(path.parent)
    except (OSError, apsw.Error) as exc:
        raise StoreUnwritableError(f"the ledger can't be made: {exc}") from exc


def _check_side_file(path: Path) -> None:
    if os.path.lexists(path):
        _check_plain(path, path.lstat())


def _check_plain(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise StoreForeignError(f"{path.name} is not a regular file with one name")
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise StoreForeignError(f"{path.name} belongs to somebody else")
    if found.st_mode & 0o077:
        raise StoreForeignError(f"{path.name} is open to others", hint=f"chmod 600 {path.name}, and check what it holds")


def _check_header(path: Path, header: bytes) -> None:
    ours = header.startswith(_MAGIC) and int.from_bytes(header[68:72], "big") == APPLICATION_ID
    if not ours:
        raise StoreForeignError(f"{path.name} is not a ledger of elevate")
    version = int.from_bytes(header[60:64], "big")
    if version > STATE_FORMAT:
        raise StoreNewerError(f"{path.name} has the state format {version}; this elevate knows {STATE_FORMAT}")
    if version < STATE_FORMAT:
        raise StoreForeignError(f"{path.name} has the state format {version}, which was never released")


def _open_error(path: Path, exc: OSError) -> StoreError:
    if path.is_symlink():
        return StoreForeignError(f"{path.name} is a symbolic link")
    if path.is_dir():
        return StoreForeignError(f"{path.name} is a folder")
    return StoreUnwritableError(f"{path.name} can't be opened: {exc.strerror}")


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
