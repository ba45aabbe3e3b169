"""The second net: one cgroup for each task, in which whatever left the task's PID namespace is still found.

Version 2 wherever it is mounted, else a version 1 hierarchy that only counts (pids, freezer), else none. Processes alone are
limited by it, where the kernel does not do that for each PID namespace (`elevate.host.limits`). Standard library only: the
launcher program imports this.
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import os
import time

from elevate.host import limits
from elevate.host.reading import read, read_record

_FIRST_CHOICE = ("pids", "freezer")
_KILL_SECONDS = 5.0
_PAUSE_SECONDS = 0.001
_ALONE = 2
"""Links of a folder with no folder in it; the kernel counts them so for all of its own file systems."""


def base() -> str:
    """Give the folder below which tasks get theirs; empty where there is no cgroup file system that can be written."""
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        own = [line.rstrip("\n").split(":", 2)[1:] for line in file]
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        found = _candidates(file.read(), {name: path for names, path in own for name in names.split(",")})
    return next((f"{folder}/elevate" for folder in found if os.path.isdir(folder) and os.access(folder, os.W_OK)), "")


def _candidates(mountinfo: str, own: dict[str, str]) -> list[str]:
    """Give the folders of this process's own cgroup: version 2 first, then the hierarchies that only count."""
    two: list[str] = []
    one: dict[str, str] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            two.append(_below(place, root, own.get("", "/")))
        elif kind == "cgroup":
            one |= {name: _below(place, root, own[name]) for name in options.split(",") if name in own}
    return two + [one[name] for name in _FIRST_CHOICE if name in one]


def _below(place: str, root: str, path: str) -> str:
    """Give where a cgroup is seen below a mount that may show only a part of the tree."""
    inside = path.removeprefix(root) if root != "/" and path.startswith(root) else path
    return f"{place}/{inside.strip('/')}".rstrip("/")


def make(folder: str) -> None:
    """Make a task's folder."""
    try:
        os.mkdir(folder, 0o755)
    except FileNotFoundError:
        parent = folder.rpartition("/")[0]
        with contextlib.suppress(FileExistsError):
            os.mkdir(parent, 0o755)
        bound(parent)
        os.mkdir(folder, 0o755)
    limits.bound_cgroup(folder)


def bound(parent: str) -> None:
    """Bound what can be made in the tasks' folders below this one, where there is one."""
    if os.path.isdir(parent):
        _flatten(parent)
        _divide(parent)


def _flatten(parent: str) -> None:
    """Let no folder be made in those below this one, where the kernel can refuse that.

    SECURITY: a task as uid 0 can mount its own cgroup, by a user namespace and with no capability of ours. With a folder in it,
    it could put its launcher there, and freeze that: no time limit any more, and nobody who hears the broker.
    """
    with contextlib.suppress(OSError), open(f"{parent}/cgroup.max.depth", "w", encoding="ascii") as file:
        file.write("1")


def holds(folder: str) -> bool:
    """Say whether nobody is moved out of a task's folder but by root: in version 1 whoever has the same user can."""
    return os.path.exists(f"{folder}/cgroup.events")


def _divide(parent: str) -> None:
    """Let the kernel count processes in each folder below this one, where it does not count them otherwise.

    It can't be where this process's own cgroup is not its to divide; then nothing is counted.
    """
    if limits.trees_are_bounded():
        return
    with contextlib.suppress(OSError):
        for folder in (parent.rpartition("/")[0], parent):
            if b"pids" in read(f"{folder}/cgroup.controllers").split():
                with open(f"{folder}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write("+pids")


def counts(parent: str) -> bool:
    """Say whether the kernel counts processes in each folder below this one."""
    try:
        return b"pids" in read(f"{parent}/cgroup.subtree_control").split()
    except FileNotFoundError:
        return "pids" in parent.split("/")  # version 1: the hierarchy that counts


def join(folder: str) -> None:
    """Make a task's folder and move this process into it."""
    make(folder)
    with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


def members(folder: str) -> list[int]:
    """Give the processes in a task's folder, and in folders that it made below."""
    found: list[int] = []
    for here in _folders(folder):
        with contextlib.suppress(OSError):
            found += map(int, read(f"{here}/cgroup.procs").split())
    return found


def _folders(folder: str) -> list[str]:
    """Give a folder and those below, the deepest first; without looking through one that has none."""
    with contextlib.suppress(OSError):
        if os.stat(folder).st_nlink == _ALONE:
            return [folder]
    return [here for here, _, _ in os.walk(folder, topdown=False)]


def end(folder: str) -> int:
    """Kill all that is in a task's folder and remove it; give the number of those that would not go."""
    until = time.monotonic() + _KILL_SECONDS
    # The kernel removes no folder that somebody is in; mostly nobody is.
    while not _remove(folder):
        left = kill(folder)
        if time.monotonic() > until:
            return max(1, len(left))
        time.sleep(_PAUSE_SECONDS)
    return 0


def kill(folder: str) -> list[int]:
    """Kill all that is in a task's folder; give who was there."""
    left = members(folder)
    with contextlib.suppress(OSError), open(f"{folder}/cgroup.kill", "w", encoding="ascii") as file:
        file.write("1")
    for pid in left:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return left


def any_stopped(folder: str) -> bool:
    """Say whether a signal has stopped one of those in a task's folder."""
    for pid in members(folder):
        with contextlib.suppress(OSError):
            if read_record(f"/proc/{pid}/stat").rpartition(b") ")[2].startswith(b"T"):
                return True
    return False


def sweep(parent: str) -> list[str]:
    """Remove the folders that nobody is in any more: those of launchers that were killed with the program that buries them.

    Returns:
        The others.
    """
    try:
        return remove_empty([entry.path for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False)])
    except FileNotFoundError:
        return []


def remove_empty(folders: list[str]) -> list[str]:
    """Remove those of these folders that nobody is in any more; give the others."""
    return [folder for folder in folders if members(folder) or not _remove(folder)]


def _remove(folder: str) -> bool:
    for here in _folders(folder):
        try:
            os.rmdir(here)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
