"""What the kernel says of a running process: who it is, what it executes, and which processes started it.

Nothing here believes the process itself: no environment, no argument. A look-up of the process that fails is an error, never a
default. A parent that can't be read any more is shown as unknown; nothing is decided on it.

Source: proc(5); attacks.md rows 22, 23 and 39.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial

from elevate.errors import HostError
from elevate.host.hashed import Kept
from elevate.host.reading import read_record
from elevate.host.sessions import Step, is_remote
from elevate.model import ProcessIdentity
from elevate.text import escape

MAX_CHAIN = 16
MAX_LOOKED = 4096
"""Parents that are looked at; a process below more of them counts as one of a session over a network."""
MAX_DESCENT = 256
"""Of one user; below more of them nobody looks for where a process came from."""
MAX_HASHED_BYTES = 256 * 2**20
_hashed = Kept[str]()
_PARENT, _TERMINAL, _START = 1, 4, 19
"""Positions in /proc/PID/stat after the name: fields 4, 7 and 22."""
_NO_SESSION = 2**32 - 1
ELSEWHERE = " (elsewhere)"
"""Stands after the path of a program that is another file for us; no rule can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process, as the kernel knows it.

    Attributes:
        executable: Real path of what it executes; with `ELSEWHERE` where that path leads us to another file.
        chain: The process and its parents, nearest first, as they are shown: ``"bash (4711)"``.
        remote: It belongs to a session that came over a network.
        audit_uid: Who logged in, by the kernel's audit; -1 where nobody did.
        executable_sha256: Of the file that it executes, in hexadecimal; empty where that could not be read or is over
            `MAX_HASHED_BYTES`.
    """

    process: ProcessIdentity
    executable: str
    chain: tuple[str, ...]
    remote: bool
    audit_uid: int = -1
    executable_sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Stat:
    name: str
    parent: int
    start_time: int
    terminal: int


def read_process(pid: int) -> ProcessFacts:
    """Read the facts of process ``pid``.

    Raises:
        HostError: It has ended, or may not be looked at.
    """
    try:
        stat = _stat(pid)
        process = _identity(pid, stat)
        executable = _executable(pid)
    except (OSError, ValueError, IndexError) as exc:
        raise _unseen(pid, exc) from exc
    seen = {pid: stat}
    names, over_network = _parents(stat, seen)
    return ProcessFacts(
        process=process,
        executable=executable,
        chain=(_shown(stat.name, pid), *names),
        remote=over_network or is_remote(pid, process.uid, partial(_descent, pid, process.uid, seen)),
        audit_uid=_audit_uid(pid),
        executable_sha256=_executable_sha256(pid),
    )


def identify(pid: int) -> ProcessIdentity:
    """Say which process ``pid`` is now; `read_process` without what only decisions need.

    Raises:
        HostError: It has ended, or may not be looked at.
    """
    try:
        return _identity(pid, _stat(pid))
    except (OSError, ValueError, IndexError) as exc:
        raise _unseen(pid, exc) from exc


def _identity(pid: int, stat: _Stat) -> ProcessIdentity:
    return ProcessIdentity(uid=_effective_uid(pid), pid=pid, start_time=stat.start_time, boot_id=boot_id())


def _unseen(pid: int, exc: Exception) -> HostError:
    return HostError("the requesting process can't be looked at", detail=f"process {pid}: {exc}")


def _audit_uid(pid: int) -> int:
    try:
        uid = int(read_record(f"/proc/{pid}/loginuid"))
    except (OSError, ValueError):
        return -1
    return -1 if uid == _NO_SESSION else uid


def _executable_sha256(pid: int) -> str:
    """Hash the very file that a process executes; the same file is hashed once as long as it is unchanged."""
    try:
        with open(f"/proc/{pid}/exe", "rb", buffering=0) as file:
            now_ns, found = time.time_ns(), os.fstat(file.fileno())
            if found.st_size > MAX_HASHED_BYTES:
                return ""
            return _hashed.of(found, lambda: hashlib.file_digest(file, "sha256").hexdigest(), now_ns=now_ns)
    except OSError:
        return ""


def _executable(pid: int) -> str:
    """Give the path of what a process executes; marked where that path is another file for us.

    SECURITY: in a mount namespace of its own a process can run anything under any path.
    """
    link = f"/proc/{pid}/exe"
    path = os.readlink(link)
    try:
        same = os.path.samestat(os.stat(link), os.stat(path))
    except OSError:
        same = False
    return path if same or path.endswith(" (deleted)") else path + ELSEWHERE


def start_time(pid: int) -> int:
    """Give the start of process ``pid`` in clock ticks since boot.

    Raises:
        HostError: It has ended.
    """
    try:
        return _stat(pid).start_time
    except (OSError, ValueError, IndexError) as exc:
        raise _unseen(pid, exc) from exc


@cache
def boot_id() -> str:
    """Give the kernel's random id of this boot; it lasts as long as any process does."""
    return read_record("/proc/sys/kernel/random/boot_id").decode("ascii").strip()


def _stat(pid: int) -> _Stat:
    text = read_record(f"/proc/{pid}/stat").decode("utf-8", "surrogateescape")
    # The name may hold brackets and blanks; the last bracket ends it.
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return _Stat(head.partition("(")[2], int(fields[_PARENT]), int(fields[_START]), int(fields[_TERMINAL]))


def _effective_uid(pid: int) -> int:
    for line in read_record(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[2])
    message = "no uid"
    raise ValueError(message)


def _parents(stat: _Stat, seen: dict[int, _Stat]) -> tuple[tuple[str, ...], bool]:
    """Give how the parents are shown, and whether one serves a network; keep what was read of them in ``seen``."""
    names: list[str] = []
    over_network = False
    # SECURITY: all of them are looked at, and few shown; else a chain that is long enough hides where it began.
    while stat.parent and len(names) < MAX_LOOKED:
        pid = stat.parent
        try:
            above = _stat(pid)
        except (OSError, ValueError, IndexError):
            names.append(f"unknown ({pid})")
            break
        # A parent is older; a younger one has got the number of a parent that ended.
        if above.start_time > stat.start_time:
            names.append(f"unknown ({pid})")
            break
        stat = seen[pid] = above
        names.append(_shown(stat.name, pid))
        over_network = over_network or stat.name.startswith("sshd")
    return tuple(names[:MAX_CHAIN]), over_network or len(names) == MAX_LOOKED


def _descent(pid: int, uid: int, seen: Mapping[int, _Stat]) -> list[Step]:
    """Give a process and its ancestors up to the first of another user; where they are lost, one of no origin ends the line.

    Args:
        pid: The process.
        uid: Its user, as was just read.
        seen: What was just read of it, and of those above.
    """
    line: list[Step] = []
    while pid > 0:
        try:
            stat, owner = seen.get(pid) or _stat(pid), _effective_uid(pid) if line else uid
        except (OSError, ValueError, IndexError):
            return [*line, Step(pid=pid, uid=uid, parent=-1, terminal=0)]
        line.append(Step(pid=pid, uid=owner, parent=stat.parent, terminal=stat.terminal))
        if owner != uid:
            break
        if len(line) == MAX_DESCENT:
            return [*line, Step(pid=pid, uid=uid, parent=-1, terminal=0)]
        pid = stat.parent
    return line


def _shown(name: str, pid: int) -> str:
    return f"{escape(name)} ({pid})"
