"""Whether a process belongs to a session that came over a network. A doubt counts as one.

Asked in this order; who answers ends it:

1. The process's ancestors: an SSH server among them.
2. The login manager, of the process's own session (audit, control group), else of all the user's sessions.
3. Where there is no login manager, or it knows no session of this user: the login records (utmp) of the user, one with a
   far host among them; and where the process comes from. One whose first ancestor of this user was left to init has lost
   its origin: a session over a network that is left by two forks looks so. It counts as remote, but for a service that the
   service manager started and for what has the machine's own console.

The settings ``remote`` and ``remote_listed`` say who may ask all the same. Nothing here believes the process itself.

Source: attacks.md row 39; proc(5), utmp(5).
"""

import os
import pwd
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elevate.host.reading import read, read_record

_NO_SESSION = 2**32 - 1
_SCOPE = re.compile(r":/user\.slice/user-[0-9]+\.slice/session-([A-Za-z0-9]+)\.scope(?:/|$)", re.MULTILINE)
"""The login manager's own place for a session. SECURITY: below user@UID.service a user makes groups of any name."""
_SERVICE = re.compile(r"^[0-9]+:(?:name=systemd)?:/system\.slice/(?:[^\n]*/)?[^/\n]+\.service(?:/|$)", re.MULTILINE)
_RECORD = struct.Struct("=hxxi32s4s32s256s52x")
_USER_PROCESS = 7
_MAX_RECORDS = 10_000
_HERE = (b":", b"tmux(")
_FIRST_PSEUDO, _LAST_PSEUDO = 136, 143
_INIT = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One process of a line of descent.

    Attributes:
        terminal: Its controlling terminal's device number; 0 where it has none.
        parent: 0 where it has none that we can see; -1 where that could not be read.
    """

    pid: int
    uid: int
    parent: int
    terminal: int


def remote_by_login(sessions: list[str], uid: int, login: Path | str = "/run/systemd") -> bool | None:
    """Ask what the login manager wrote of a process's session; of one that has none, of all the user's sessions.

    SECURITY: what a session over a network has started elsewhere (the user's service manager, cron) has no session of its own;
    then it is a doubt, and a doubt is remote.

    Args:
        sessions: Of the process: the audit session, which it can't leave, and the one of its control group.
        uid: Its user.
        login: Folder of the login manager.

    Returns:
        None where it knows none of them.
    """
    known = [facts for name in sessions if "CLASS=user" in (facts := _login_facts(f"{login}/sessions/{name}"))]
    if not known:
        listed = next((line for line in _login_facts(f"{login}/users/{uid}") if line.startswith("SESSIONS=")), "")
        known = [_login_facts(f"{login}/sessions/{name}") for name in listed.partition("=")[2].split() if name.isalnum()]
    return any("REMOTE=1" in facts for facts in known) if any(known) else None


def sessions_of(pid: int) -> tuple[list[str], str]:
    """Give the names of a process's sessions, and its control groups as the kernel tells them."""
    number = _number(f"/proc/{pid}/sessionid")
    groups = _text(f"/proc/{pid}/cgroup")
    names = scopes_in(groups)
    return names if number == _NO_SESSION else [str(number), *names], groups


def scopes_in(groups: str) -> list[str]:
    """Give the login manager's session in whose control group a process is, at most one."""
    scope = _SCOPE.search(groups)
    return [scope[1]] if scope else []


def remote_by_records(user: str, records: bytes, *, alive: Path = Path("/proc")) -> bool:
    """Say whether a user is logged in from another machine, by the login records; one whose process has ended is old."""
    size = _RECORD.size
    for place in range(0, min(len(records) // size, _MAX_RECORDS) * size, size):
        kind, pid, _, _, name, host = _RECORD.unpack_from(records, place)
        mine = kind == _USER_PROCESS and name.rstrip(b"\0") == os.fsencode(user)[:32]
        far = host.rstrip(b"\0")
        if mine and far and not far.startswith(_HERE) and (alive / str(pid)).exists():
            return True
    return False


def origin_lost(line: list[Step], groups: str) -> bool:
    """Say whether nobody can tell where a process comes from.

    Args:
        line: The process, and its ancestors up to the first that is another user's, or as far as they are known.
        groups: Its control groups.
    """
    uid = line[0].uid
    if uid == 0:
        return False  # whoever is root already asks for nothing that it has not
    first = [step for step in line if step.uid == uid][-1]
    if any(step.terminal and not _FIRST_PSEUDO <= step.terminal >> 8 & 0xFFF <= _LAST_PSEUDO for step in line[:1]):
        return False
    return first.parent in {_INIT, -1} and not _SERVICE.search(groups)


def is_remote(pid: int, uid: int, descent: Callable[[], list[Step]]) -> bool:
    """Decide for a process none of whose ancestors is an SSH server.

    Args:
        pid: The process.
        uid: Its user.
        descent: Gives the line of `origin_lost`, where it is needed.
    """
    names, groups = sessions_of(pid)
    told = remote_by_login(names, uid)
    if told is not None:
        return told
    # A broker that is not root guards nothing, and may lie in a container whose init starts users' programs.
    records = _records()
    listed = bool(records) and remote_by_records(_name_of(uid), records)
    return listed or (os.geteuid() == 0 and origin_lost(descent(), groups))


def _records() -> bytes:
    try:
        fd = os.open("/run/utmp", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        return file.read(_RECORD.size * _MAX_RECORDS)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _number(path: str) -> int:
    try:
        return int(read_record(path))
    except (OSError, ValueError):
        return _NO_SESSION


def _text(path: str) -> str:
    try:
        return read(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _login_facts(place: str) -> list[str]:
    return _text(place).splitlines()
