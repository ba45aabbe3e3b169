"""From a decision's obligations to a task's jail on host linux. What can't be kept is refused: nothing is silently weaker.

- ``identity = "account"``, the default: the uid of the hidden account, with the rule's capabilities as ambient ones, or none.
- ``identity = "root"``: uid 0, bounded by the rule's capabilities; where the rule names none, by `ROOT`, which is what package
  managers need. It has no module, raw I/O, boot, ptrace, mount or network administration.
- ``read_only`` and ``writable`` confine a task (`elevate.host.confine`): capabilities by which it would write past that are not
  given, and where the rule itself names one the task is refused. A service manager writes for others, so it is not asked.
- What the machine does itself for a task (`package.install`, `service.control`, `file.write`) is uid 0 with what that one kind
  needs: its program and arguments are the broker's own.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType

from elevate.errors import HostError
from elevate.host import seccomp
from elevate.host.accounts import Account
from elevate.host.kernel import CAPABILITIES
from elevate.host.launcher import Jail
from elevate.host.paths import open_place
from elevate.model import InspectedTask, Obligations
from elevate.policy.obligations import UNDOING

_FILES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID")
ROOT = (
    *_FILES,
    *("CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_MKNOD"),
    *("CAP_AUDIT_WRITE", "CAP_SETFCAP"),
)
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "package.install": ROOT,
        "package.remove": ROOT,
        "service.control": (*_FILES, "CAP_KILL", "CAP_SYS_ADMIN"),
        "file.write": _FILES,
    }
)
"""Capabilities of what the machine does itself."""

_KEPT = frozenset({"identity", "capabilities", "network", "read_only", "writable", "interactive"})
_BROKERS = frozenset({"approvals", "approver_groups", "approver_users", "ticket", "gesture_age_seconds", "alone"})


NOTHING = "-"
"""In a list of places: none."""


def jail_for(task: InspectedTask, account: Account, obligations: Obligations) -> Jail:
    """Give the jail of one task.

    Raises:
        HostError: An obligation that this host can't keep, or a capability that the kernel does not know.
    """
    kind = task.task.kind
    wanted = dict(obligations.extra)
    unkept = sorted(wanted.keys() - _KEPT - _BROKERS)
    if unkept:
        raise HostError(f"this host can't keep the obligation {unkept[0]}", hint="take it out of the rule, or use another host")
    read_only = _names(wanted.get("read_only"))
    writable = tuple(path for path in _names(wanted["writable"]) if path != NOTHING) if "writable" in wanted else None
    as_root = wanted.get("identity") == "root" or kind in KINDS
    own = _names(wanted.get("capabilities")) if kind not in KINDS else ()
    names = KINDS.get(kind) or own or (ROOT if as_root else ())
    if read_only or writable is not None:
        _check_confined(task, own, read_only, writable)
        _check_folder(task.cwd)
        names = tuple(name for name in names if name not in UNDOING)
    return Jail(
        uid=0 if as_root else account.uid,
        gid=0 if as_root else account.gid,
        home=account.home,
        account=account.uid,
        capabilities=numbers_of(names),
        network=wanted.get("network", True) is True,
        read_only=read_only,
        writable=writable,
        private=kind != "file.write",
        watch=task.task.own or kind in {"process.run", "package.install"},
    )


def _check_confined(
    task: InspectedTask, capabilities: tuple[str, ...], read_only: tuple[str, ...], writable: tuple[str, ...] | None
) -> None:
    """Refuse what would write past its lists.

    Raises:
        HostError: The machine can't confine, or not this kind of task, or not with these capabilities; or the file that is
            written is not among those that may be.
    """
    kind, file = task.task.kind, task.file
    undoing = sorted(UNDOING.intersection(capabilities))
    if undoing:
        raise HostError(
            f"this host can't keep read_only or writable for a task with {undoing[0]}", hint="take one out of the rule"
        )
    if kind == "service.control" or not seccomp.known():
        raise HostError(f"this host can't keep read_only or writable for {kind}", hint="take them out of the rule")
    if kind == "file.write" and file is not None:
        # SECURITY: the folder comes by descriptor, from outside of the task's mounts.
        inside = writable is None or any(is_below(file.path, _real(place)) for place in writable)
        if not inside or any(is_below(file.path, _real(place)) for place in read_only):
            raise HostError("the rule does not let this file be written", hint="see read_only and writable in the rule")


def _check_folder(cwd: str) -> None:
    """Refuse a start in /dev and below, of which a confined task has one of its own.

    Raises:
        HostError: It is such a folder.
    """
    if is_below(cwd, "/dev"):
        raise HostError("the rule gives the task a /dev of its own, so it can't start there", hint="change to another folder")


def is_below(path: str, place: str) -> bool:
    """Say whether a path is a place or lies below it."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def _real(place: str) -> str:
    """Give where a rule's place really is: the file's path is a real one, too.

    Raises:
        HostError: It is not there, or a link that is not the system's leads to it.
    """
    try:
        fd = open_place(place)
    except OSError as exc:
        raise HostError("a place that the rule names can't be opened", detail=f"{place}: {exc}") from exc
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def numbers_of(names: tuple[str, ...]) -> tuple[int, ...]:
    """Give the numbers of capabilities by their names.

    Raises:
        HostError: A name that is none.
    """
    try:
        return tuple(sorted(CAPABILITIES.index(name.removeprefix("CAP_")) for name in names))
    except ValueError as exc:
        raise HostError("the rule names a capability that is none", detail=", ".join(names)) from exc


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, tuple) else ()
