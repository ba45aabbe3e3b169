"""What a task wrote: the watched folders before and after, compared.

Links are never followed. A folder with more entries than the bound is not watched, and the receipt does not name it as watched.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from elevate.host.paths import open_folder
from elevate.model import Written

MAX_ENTRIES = 100_000
MAX_WRITTEN = 5_000
MAX_HASHED_BYTES = 256 * 2**20

Seen: TypeAlias = tuple[int, int, int, int, int]
Snapshot: TypeAlias = dict[str, dict[str, Seen]]
"""Watched folder to path below it to what was seen there."""


def take(folders: tuple[str, ...]) -> Snapshot:
    """Look at all folders; those that are too large are left out."""
    found: Snapshot = {}
    for folder in folders:
        entries: dict[str, Seen] = {}
        for path, seen in _walk(folder):
            entries[path] = seen
            if len(entries) > MAX_ENTRIES:
                break
        else:
            found[folder] = entries
    return found


def compare(before: Snapshot, after: Snapshot) -> tuple[Written, ...]:
    """Give what differs in the folders that both have, in path order."""
    budget = MAX_HASHED_BYTES
    written: list[Written] = []
    changes = sorted(change for folder in before.keys() & after.keys() for change in _changes(before[folder], after[folder]))
    for path, change, seen in changes[:MAX_WRITTEN]:
        plain = change != "removed" and stat.S_ISREG(seen[0])
        size = seen[1] if plain else 0
        budget -= size
        sha256 = _hash(path) if plain and budget >= 0 else ""
        written.append(Written(path=_text(path), change=change, sha256=sha256, size=size))
    if len(changes) > MAX_WRITTEN:
        written.append(Written(path=f"({len(changes) - MAX_WRITTEN} more)", change="changed"))
    return tuple(written)


def describe(changes: Iterable[tuple[str, str]]) -> tuple[Written, ...]:
    """Give paths and changes that are known already, with size and hash of what is there now; what is no file has none.

    What was removed and is there again was changed.
    """
    budget = MAX_HASHED_BYTES
    written: list[Written] = []
    for path, change in changes:
        try:
            sha256, size = _look(path, budget)
        except FileNotFoundError:
            if change == "removed":
                written.append(Written(path=_text(path), change=change))
            continue
        except OSError:
            written.append(Written(path=_text(path), change=change))
            continue
        budget -= size
        change_now = "changed" if change == "removed" else change
        written.append(Written(path=_text(path), change=change_now, sha256=sha256, size=size))
    return tuple(written)


def _look(path: str, budget: int) -> tuple[str, int]:
    """Give hash and size of a plain file; neither of anything else, and no hash over the budget.

    SECURITY: the folders above, and names of the file, may be the requester's: no link on the way is followed, and what has a
    second name is not hashed, or root would tell the hash of a file that the requester can't read.
    """
    above, _, name = path.rpartition("/")
    folder = open_folder(above or "/")
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return "", 0
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        hashed = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_size <= budget
        return hashlib.file_digest(file, "sha256").hexdigest() if hashed else "", found.st_size


def _changes(before: dict[str, Seen], after: dict[str, Seen]) -> Iterator[tuple[str, str, Seen]]:
    for path, seen in after.items():
        known = before.get(path)
        if known is None:
            yield path, "created", seen
        elif known != seen and not (stat.S_ISDIR(seen[0]) and known[0] == seen[0]):
            yield path, "changed", seen
    for path in before.keys() - after.keys():
        yield path, "removed", before[path]


def _walk(folder: str) -> Iterator[tuple[str, Seen]]:
    waiting = [folder]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            yield entry.path, (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)


def _hash(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
