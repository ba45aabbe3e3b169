"""The policy folder: read only where nobody else can have written it.

SECURITY: the folder, every file and folder in it and every folder above it up to ``/`` must belong to root or to the reader's
own uid and be writable by nobody else; then nobody else can have put a rule there (CVE-2021-23240). A folder above that
everyone can write but only owners can empty (``/tmp``: root's, with the sticky bit) is good enough: what lies in it is checked
itself. Each step down is opened relative to the one above, so that nothing can be swapped in between; a link on the way is
followed only where it and its folder pass the same check, and within the folder there are none.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elevate.errors import PolicyError
from elevate.policy import Policy, Problem, Settings, Source, load
from elevate.policy.problems import error_of
from elevate.policy.sources import MAX_JSONL_BYTES, MAX_TOML_BYTES
from elevate.store.bounded import MEGABYTE, read_at_most

MAX_FILES = 10_000
MAX_DEPTH = 8
MAX_LINKS = 16

_LIMITS = {".toml": MAX_TOML_BYTES, ".jsonl": MAX_JSONL_BYTES}
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read_policy(folder: Path) -> list[Source]:
    """Read every ``.toml`` and ``.jsonl`` file of a policy folder, those in folders below included, in name order.

    Other files are left alone, but must not be writable by others either.

    Raises:
        PolicyError: The folder is not there, or somebody else could have written to it; the message lists every such place.
    """
    reading = _Reading()
    try:
        with _opened(folder, reading) as descriptor:
            reading.walk(descriptor, "", 0, str(folder))
    except OSError as exc:
        place = os.fsdecode(exc.filename) if exc.filename else str(folder)
        reading.bad(place, f"can't be read: {exc.strerror}", "check that it is there and that you may read it")
    if reading.problems:
        raise error_of(reading.problems)
    return sorted(reading.sources, key=lambda source: source.name)


class _Reading:
    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._owners = {0, os.geteuid()}

    def bad(self, place: str, message: str, fix: str) -> None:
        self.problems.append(Problem(file=place, line=0, column=0, message=message, fix=fix))

    def check(self, found: os.stat_result, place: str, *, above: bool = False) -> None:
        """Note an owner or a mode that lets somebody else write."""
        if found.st_uid not in self._owners:
            self.bad(place, f"belongs to uid {found.st_uid}, who could change it", f"chown {os.geteuid()} {place}")
        sticky = above and found.st_uid == 0 and found.st_mode & stat.S_ISVTX
        if found.st_mode & _OTHERS and not sticky:
            self.bad(place, f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})", f"chmod go-w {place}")

    def check_link(self, found: os.stat_result, place: str) -> None:
        """Note a link on the way that somebody else could point elsewhere."""
        if found.st_uid not in self._owners:
            self.bad(place, f"is a link of uid {found.st_uid}, who could change it", "give the real path")

    def walk(self, folder: int, prefix: str, depth: int, place: str) -> None:
        """Read one folder by descriptor."""
        if depth > MAX_DEPTH:
            self.bad(place, f"more than {MAX_DEPTH} folders deep", "keep rule files near the top")
            return
        for name in sorted(os.listdir(folder)):
            self._entry(folder, name, prefix + name, depth, f"{place}/{name}")

    def _entry(self, folder: int, name: str, label: str, depth: int, place: str) -> None:
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(kind):
            self.bad(place, "is a link", "put the file itself here: a link can be changed, and go in circles")
        elif stat.S_ISDIR(kind):
            with _descriptor(name, _FOLDER, folder) as inner:
                self.check(os.fstat(inner), place)
                self.walk(inner, label + "/", depth + 1, place)
        elif stat.S_ISREG(kind):
            with _descriptor(name, _FILE, folder) as file:
                self._file(file, label, place)
        else:
            self.bad(place, "is neither a file nor a folder", "remove it from the policy folder")

    def _file(self, file: int, label: str, place: str) -> None:
        found = os.fstat(file)
        self.check(found, place)
        limit = _LIMITS.get(Path(label).suffix)
        if limit is None or not stat.S_ISREG(found.st_mode):
            return
        if found.st_size > limit:
            self.bad(place, f"over {limit // 2**20} MB", "split the file, or write it as JSON lines")
        elif len(self.sources) >= MAX_FILES:
            self.bad(place, f"more than {MAX_FILES} rule files", "join some of them")
        else:
            self.sources.append(Source(name=label, data=_read(file, limit)))


def _read(file: int, limit: int) -> bytes:
    parts = []
    left = limit
    while left > 0 and (part := os.read(file, min(left, 2**20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


@contextmanager
def _opened(folder: Path, reading: _Reading) -> Iterator[int]:
    """Open a folder step by step from ``/``, checking each; a link on the way must itself stand where nobody else can write."""
    descriptor = os.open("/", _FOLDER)
    try:
        left = list(Path(os.path.abspath(folder)).parts[1:])  # noqa: PTH100 - resolve() would follow links unchecked
        reading.check(os.fstat(descriptor), "/", above=True)
        place = ""
        links = 0
        while left:
            name = left.pop(0)
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            step = f"{place}/{name}"
            if stat.S_ISLNK(found.st_mode) and links < MAX_LINKS:
                links += 1
                reading.check_link(found, step)
                target = os.readlink(name, dir_fd=descriptor)
                left = [*Path(target).parts, *left]
                continue
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor, place = inner, "" if name == "/" else step
            reading.check(os.fstat(descriptor), place or "/", above=bool(left))
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _descriptor(name: str, flags: int, folder: int) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_file(path: Path) -> None:
    """Check one file and every folder above it, as `read_policy` does.

    Raises:
        PolicyError: Somebody else could have written it.
    """
    reading = _Reading()
    try:
        with _opened(path.parent, reading) as folder:
            reading.check(os.stat(path.name, dir_fd=folder, follow_symlinks=False), str(path))
    except OSError as exc:
        raise PolicyError(f"{path} can't be read: {exc.strerror}") from exc
    if reading.problems:
        raise error_of(reading.problems)


def read_sources(path: Path) -> list[Source]:
    """Read rule files that are still being written: one file, or all of a folder, whoever can write them.

    For checking and testing only: the policy in force comes from `read_policy`.

    Raises:
        PolicyError: Nothing is there, or a file is too long.
    """
    try:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in _LIMITS and file.is_file())
            return [_plain(file, str(file)) for file in found]
        return [_plain(path, str(path))]
    except OSError as exc:
        raise PolicyError(
            f"{path} can't be read: {exc.strerror}", hint="give a rule file, or a folder with rule files"
        ) from exc


def _plain(file: Path, name: str) -> Source:
    megabytes = _LIMITS.get(file.suffix, MAX_TOML_BYTES) // MEGABYTE
    try:
        return Source(name=name, data=read_at_most(file, megabytes))
    except OSError as exc:
        if exc.errno != errno.EFBIG:
            raise
        raise PolicyError(f"{name} is over {megabytes} MB", hint="split the file, or write it as JSON lines") from exc


def load_place(path: Path, *, ap_mode: bool = True) -> Policy:
    """Load rule files that are still being written, whoever can write them; for tools, never for a broker.

    Raises:
        PolicyError: They can't be read, or anything in them is wrong.
    """
    return load(read_sources(path), settings=Settings(ap_mode=ap_mode))
