"""Files that only their owner reads: containers, device secrets, counters.

A link in place of a file, another owner, or a mode that lets others in is refused, never mended: it may be an attack.
A file is replaced as a whole (temporary file, sync, rename, sync of the folder), or is a `SlotFile` that is written in place.
"""

import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import orjson

from elevate import canonical
from elevate.canonical import Json
from elevate.errors import HelloDamagedError, StoreUnwritableError

MAX_FILE_BYTES = 262_144
SLOT_BYTES = 1024
_HEAD_BYTES = 34
_PART_BYTES = 16_384
_NUMBER = re.compile(rb'\{"n":([0-9]{1,17}),')


@lru_cache(maxsize=256)
def place(folder: Path, owner: str, name: str) -> Path:
    """Give the path of one of a container's files; making paths is a good part of what a gesture costs."""
    return folder / owner / name


def make_folder(folder: Path) -> None:
    """Make ``folder``, and what is missing above it, for its owner only; or check that it is so."""
    if not folder.parent.exists():
        make_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise StoreUnwritableError(f"can't make the folder {folder}", detail=str(exc)) from exc
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise HelloDamagedError(f"the folder {folder} is not private to its owner")


def read(path: Path) -> bytes | None:
    """Give what is in a private file; None where there is none."""
    try:
        file = _open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    data = b""
    try:
        # Read as it is: a stream's buffer and questions cost more than these few bytes, five times in each elevation.
        while len(data) <= MAX_FILE_BYTES and (part := os.read(file, _PART_BYTES)):
            data += part
    finally:
        os.close(file)
    if len(data) > MAX_FILE_BYTES:
        raise HelloDamagedError(f"the file {path.name} is too long")
    return data


def replace(path: Path, data: bytes) -> None:
    """Put ``data`` in place of the file as a whole; it is synced when this returns."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
        _sync_folder(path.parent)
    except OSError as exc:
        raise StoreUnwritableError(f"can't write {path.name}", detail=str(exc)) from exc


def remove(path: Path) -> None:
    """Remove a file; the folder is synced when this returns."""
    with suppress(FileNotFoundError):
        path.unlink()
        _sync_folder(path.parent)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock that the file ``path`` stands for, against threads and processes."""
    file = _open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


class SlotFile:
    """One small record that survives a crash at any moment: two slots, written in turn, the newer whole one counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, record: dict[str, Json]) -> None:
        """Make the file with its first record, in place of any other."""
        replace(self._path, _slot(1, record).ljust(2 * SLOT_BYTES, b"\0"))

    @contextmanager
    def open(self) -> Iterator["Slot"]:
        """Open and lock the record.

        Raises:
            HelloDamagedError: Not there, not private, or no slot is whole. What can't be counted is not checked.
        """
        file = self._locked()
        try:
            yield Slot(file)
        finally:
            os.close(file)

    def _locked(self) -> int:
        """Open the file and lock it. SECURITY: one that was replaced while this waited counts nothing any more."""
        while True:
            try:
                file = _open(self._path, os.O_RDWR)
            except FileNotFoundError as exc:
                raise HelloDamagedError(f"the counter {self._path.name} is missing") from exc
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.lstat(self._path)):
                    return file
            os.close(file)


class Slot:
    """The open, locked record of a `SlotFile`."""

    def __init__(self, file: int) -> None:
        self._file = file
        both = os.pread(file, 2 * SLOT_BYTES, 0)
        # The one that says that it is newer is in force, if it is whole; else the other.
        slots = sorted((both[:SLOT_BYTES], both[SLOT_BYTES:]), key=_claimed, reverse=True)
        found = next(filter(None, map(_parse, slots)), None)
        if found is None:
            raise HelloDamagedError("no record of the counter is whole")
        self._sequence, self.record = found

    def write(self, record: dict[str, Json], *, sync: bool = True) -> None:
        """Write the next record beside the one in force.

        Raises:
            StoreUnwritableError: It could not be written and synced.
        """
        sequence = self._sequence + 1
        try:
            os.pwrite(self._file, _slot(sequence, record), (sequence - 1) % 2 * SLOT_BYTES)
            if sync:
                os.fdatasync(self._file)
        except OSError as exc:
            raise StoreUnwritableError("the counter can't be written", detail=str(exc)) from exc
        self._sequence, self.record = sequence, record


def _slot(sequence: int, record: dict[str, Json]) -> bytes:
    body = canonical.encode({"n": sequence, "r": record})
    data = hashlib.sha256(body).digest() + len(body).to_bytes(2, "big") + body
    if len(data) > SLOT_BYTES:
        raise HelloDamagedError("the counter's record is too long")
    return data


def _claimed(data: bytes) -> int:
    """Give the number that a slot says it has, whole or not."""
    said = _NUMBER.match(data, _HEAD_BYTES)
    return int(said[1]) if said else 0


def _parse(data: bytes) -> tuple[int, dict[str, Json]] | None:
    size = int.from_bytes(data[32:_HEAD_BYTES], "big")
    body = data[_HEAD_BYTES : _HEAD_BYTES + size]
    if not size or hashlib.sha256(body).digest() != data[:32]:
        return None
    match orjson.loads(body):
        case {"n": int(sequence), "r": dict(record)}:
            return sequence, record
        case _:
            return None


def _open(path: Path, flags: int) -> int:
    try:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise HelloDamagedError(f"can't open {path.name}", detail=str(exc)) from exc
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077 or found.st_nlink != 1:
        os.close(file)
        raise HelloDamagedError(f"the file {path.name} is not private to its owner")
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
