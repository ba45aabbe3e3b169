"""A task's own view of the machine on host linux.

Two stages, both in the launcher. `settle` runs ahead, while the launcher waits warm: it is the first process of a new PID
namespace, so that the tree ends with it, and gets its own mounts, IPC and cgroup. `furnish` and `enter` follow the order:

- /tmp, /var/tmp, /dev/shm and the scratch home are new and empty, and go with the namespace; /run/user is hidden;
- the broker's own state is hidden; cgroup file systems and the policy can't be written;
- a task whose rule says what it can't write, or what alone it can, is confined besides: `elevate.host.confine`;
- the working directory must be the one that was shown.

Who the task is there: `elevate.host.identity`.

Standard library only.
"""

import errno
import os

from elevate.host import cgroups, confine, kernel, limits, mountinfo, mounts
from elevate.host.mountinfo import Table

PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - the places that each task gets anew
OUTSIDE = "outside"
"""Name of the machine's own folder in a task's private one, where the task was asked for there."""
_HIDDEN = "/run/user"
_BROKERS = ("/run/elevate", "/var/lib/elevate")
_POLICY = "/etc/elevate"
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC

Fields = dict[str, list[bytes]]


class JailError(OSError):
    """The task's surroundings, or who it is there, are not as ordered."""


def settle(cgroup: str, table: Table, *, apart: bool = False) -> None:
    """Take own mounts, IPC, /proc and cgroup, ahead of the order; ``apart``: mounts, IPC and cgroup are its own already."""
    kernel.last_capability()
    if not apart:
        kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    if cgroup and not apart:
        cgroups.join(cgroup)
    kernel.mount("proc", "/proc", "proc", _QUIET)
    limits.bound_tree()
    limits.lose_protection()
    for place in table.control:
        kernel.mount("", place, "", kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _QUIET)


def furnish(order: Fields, terminal: int | None) -> int:
    """Give the task its mounts: scratch folders, its working directory, and what a confined one can't write.

    Args:
        order: The task's.
        terminal: Descriptor of its terminal.

    Returns:
        The descriptor of its landlock rules; -1 where it has none.
    """
    confined = confine.wanted(order)
    if confined:
        confine.furnish(order, terminal)
    cwd = _standing(order)
    uid, gid = int(order["uid"][0]), int(order["gid"][0])
    places = [place for place in PRIVATE if order["private"] and os.path.isdir(place)]
    kept = _kept(order) if cwd.startswith(tuple(f"{place}/" for place in places)) else -1
    room = "16m" if order["small"] else "25%"
    for place in places:
        _scratch(place, "mode=1777", room)
    if order["private"] and os.path.isdir(_HIDDEN):
        _scratch(_HIDDEN, "mode=755")
    _close_the_brokers_own()
    home = os.fsdecode(order["home"][0])
    _scratch(home, f"mode=700,uid={uid},gid={gid}", room)
    if kept >= 0:
        os.makedirs(cwd, 0o755, exist_ok=True)
        _put(kept, cwd)
    return confine.rules(order, [*places, home]) if confined else -1


def watched(order: Fields, table: Table) -> Table:
    """Give the mounts of an order's task after `furnish`, where those of the machine are known."""
    if confine.wanted(order) or _standing(order).startswith(tuple(f"{place}/" for place in PRIVATE)):
        return mountinfo.table()
    return table.and_also(_POLICY) if os.path.isdir(_POLICY) else table


def _kept(order: Fields) -> int:
    """Give a copy of the working directory that a private folder is about to cover.

    SECURITY: with all that is mounted below; what a confined task can't write would else be open to it under the new path.
    """
    opened = os.open(order["cwd"][0], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return mounts.clone(opened)
    finally:
        os.close(opened)


def _put(kept: int, path: str) -> None:
    """Mount a copy at a path in a private folder, where only root can have made it."""
    place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts.attach(kept, place)
    os.close(place)
    os.close(kept)


def _standing(order: Fields) -> str:
    """Give the path that the working directory has for the task.

    SECURITY: never that of a private folder itself: what others planted in the machine's would be there for every program that
    writes to /tmp by itself, and any caller could choose so.
    """
    cwd = os.fsdecode(order["cwd"][0])
    return f"{cwd}/{OUTSIDE}" if order["private"] and cwd in PRIVATE else cwd


def _close_the_brokers_own() -> None:
    """Hide ledger, keys and socket, and keep the policy from being written: root's files are open to a task as uid 0."""
    for place in _BROKERS:
        if os.path.isdir(place):
            _scratch(place, "mode=700")
    if os.path.isdir(_POLICY):
        mounts.cover_read_only(_POLICY)


def enter(order: Fields, opened: int | None) -> None:
    """Change to the working directory, in the task's own mounts; it must be the one that was opened and shown."""
    os.chdir(_standing(order))
    if opened is not None and not os.path.samestat(os.stat("."), os.fstat(opened)):
        raise JailError(errno.ESTALE, "the working directory is another one by now")


def _scratch(place: str, options: str, room: str = "25%") -> None:
    kernel.mount("elevate", place, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"{options},size={room}")
