"""What this machine offers to host linux, and what it means where something is missing."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elevate.host import cgroups, confine, forking, kernel, limits, paths, services


@dataclass(frozen=True, slots=True)
class Facility:
    """One thing that the host uses.

    Attributes:
        state: ``ok``, ``note`` (the host works without it, as said) or ``wrong`` (it can't work).
        found: What is there, or what its absence means.
    """

    name: str
    state: str
    found: str


def examine() -> tuple[Facility, ...]:
    """Look at everything; nothing is changed."""
    return (
        _needed("namespaces", _namespaces, "own mounts, IPC and processes for each task"),
        _needed("pidfd", _pidfd, "who asks is known by it"),
        _wanted("openat2", _openat2, "folders above a file are opened one by one instead"),
        _wanted("cgroup", _cgroup, "no second net: the PID namespace alone ends a task's tree"),
        _wanted("start in a cgroup", _clone3, "a launcher is moved there, which holds up the machine for some milliseconds"),
        _wanted(
            "bound on processes",
            _bound,
            "uid 0 in a task is bounded by its cgroup if the service may divide its own, else with all tasks",
        ),
        _wanted("user namespaces", _user_namespaces, "nobody but root makes namespaces; elevate needs none of these"),
        _wanted("fanotify", _fanotify, "receipts of programs do not list what was written"),
        _needed("memory files that can be executed", _memory, "programs that others could change run from sealed copies"),
        _wanted("filter", confine.filter_offered, "rules with read_only or writable are refused: no filter is known here"),
        _wanted("landlock", confine.landlock_offered, "read_only and writable are kept by mounts and a filter alone"),
        _needed("useradd", lambda: _there("/usr/sbin/useradd"), "hidden admin accounts are made with it"),
        _wanted("dpkg", lambda: _there("/usr/bin/dpkg"), "no packages are installed, and no rule by package matches"),
        _wanted("service manager", _managers, "services can't be controlled"),
        _wanted("root", lambda: "uid 0" if os.geteuid() == 0 else "", "only the emulated machine can be used"),
    )


def _needed(name: str, look: Callable[[], str], purpose: str) -> Facility:
    found = _look(look)
    return Facility(name, "ok" if found else "wrong", found or f"missing: {purpose}")


def _wanted(name: str, look: Callable[[], str], without: str) -> Facility:
    found = _look(look)
    return Facility(name, "ok" if found else "note", found or without)


def _look(look: Callable[[], str]) -> str:
    try:
        return look()
    except OSError:
        return ""


def _namespaces() -> str:
    names = ("mnt", "ipc", "pid", "net")
    return ", ".join(names) if all(Path("/proc/self/ns", name).exists() for name in names) else ""


def _pidfd() -> str:
    os.close(os.pidfd_open(os.getpid()))
    return "the kernel gives them"


def _openat2() -> str:
    os.close(paths.openat2(-100, "/", os.O_PATH, 0))
    return "the kernel keeps links out"


def _cgroup() -> str:
    found = cgroups.base()
    return f"version {_version(found)}: {found}" if found else ""


def _clone3() -> str:
    return "launchers are born in theirs" if _version(cgroups.base()) == 2 and forking.offered() else ""  # noqa: PLR2004


def _bound() -> str:
    if limits.trees_are_bounded():
        return "each task's own, kept by its PID namespace"
    return "each task's own, kept by its cgroup" if cgroups.counts(cgroups.base()) else ""


def _version(folder: str) -> int:
    return 2 if os.path.exists(f"{os.path.dirname(folder)}/cgroup.controllers") else 1


def _user_namespaces() -> str:
    path = Path("/proc/sys/user/max_user_namespaces")
    return f"{path.read_text().strip()} for each user" if path.exists() and path.read_text().strip() != "0" else ""


def _fanotify() -> str:
    os.close(kernel.fanotify_init())
    return "the kernel tells what a task writes"


def _memory() -> str:
    path = Path("/proc/sys/vm/memfd_noexec")
    level = path.read_text().strip() if path.exists() else "0"
    return "" if level == "2" else "sealed copies of programs can run"  # 2: the kernel refuses all of them


def _managers() -> str:
    return ", ".join(manager.name for manager in services.managers())


def _there(path: str) -> str:
    return path if Path(path).exists() else ""
