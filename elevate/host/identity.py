"""Who a task is on host linux: user, groups, capabilities and limits, set, and then read back.

A forked process becomes that for good (`become`). A launcher that spawns the process (`elevate.host.lending`) takes it for the
moment of the execution (`narrow`, `arm`, `turn`) and comes back (`shed`). What is not exactly as ordered stops the task.

Standard library only.
"""

import errno
import os

from elevate.host import kernel, limits
from elevate.host.jail import Fields, JailError

_KEPT = tuple(kernel.CAPABILITIES.index(name) for name in ("DAC_READ_SEARCH", "KILL"))
"""Of the launcher, while the task runs."""
_SHEDDING = kernel.CAPABILITIES.index("SETPCAP")
_TURNING = tuple(kernel.CAPABILITIES.index(name) for name in ("SETUID", "SETGID"))


def narrow(order: Fields) -> None:
    """Take network, limits and groups of the order, and bound, for good, what is executed from now on."""
    numbers = _capabilities(order)
    if order["network"] != [b"1"]:
        kernel.unshare(kernel.CLONE_NEWNET)
    limits.set_all(small=bool(order["small"]))
    for number in range(kernel.last_capability() + 1):
        if number not in numbers:
            kernel.prctl(kernel.PR_CAPBSET_DROP, number)
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    os.setgroups(_groups(order))


def become(order: Fields) -> None:
    """Take user, groups and capabilities of the order, for good, and check that it is so."""
    uid, gid, numbers = _uid(order), _gid(order), _capabilities(order)
    narrow(order)
    kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kernel.set_capabilities(numbers, inheritable=numbers if uid else ())
    if uid:
        _raise_ambient(numbers)
    _check(order, (uid, uid, uid), (gid, gid, gid), "CapPrm")


def arm(order: Fields) -> None:
    """Keep what the order's user has, what `turn` needs, and what the launcher keeps."""
    numbers = _capabilities(order)
    kept = (*numbers, *_KEPT, _SHEDDING, *_TURNING)
    kernel.set_capabilities(kept, inheritable=numbers if _uid(order) else ())
    if _uid(order):
        _raise_ambient(numbers)


def turn(order: Fields) -> None:
    """Be who the task is to be, and check that it is so; `shed` comes back.

    SECURITY: an execution makes the effective user the saved one, and gives the ambient capabilities, to uid 0 all of the
    bounding set. So the saved user and what is permitted beyond the order's capabilities never get to the task. And by the
    saved user nobody of the same user can trace this process or set its limits, whatever fs.suid_dumpable says.
    """
    uid, gid, numbers = _uid(order), _gid(order), _capabilities(order)
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kept = (*numbers, *_KEPT, _SHEDDING)
    kernel.set_capabilities(kept, effective=numbers, inheritable=numbers if uid else ())
    _check(order, (uid, uid, 0), (gid, gid, 0), "CapEff")


def shed() -> None:
    """Give up, as the launcher, all rights but to end the tree and to find files by handle.

    SECURITY: a task with SYS_PTRACE can take hold of the launcher; it must not get further capabilities by that, nor by letting
    it execute something: being uid 0 gives none any more.
    """
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.set_capabilities((*_KEPT, _SHEDDING))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECUREBITS, kernel.SECURE_NO_ROOT)
    kernel.set_capabilities(_KEPT)


def _check(order: Fields, uids: tuple[int, ...], gids: tuple[int, ...], own: str) -> None:
    """Stop the task where what was set is not so (attacks.md row 30)."""
    if (os.getresuid(), os.getresgid(), sorted(os.getgroups())) != (uids, gids, _groups(order)):
        raise JailError(errno.EPERM, "user or groups are not as ordered")
    wanted = sum(1 << number for number in _capabilities(order))
    passed_on = wanted if _uid(order) else 0
    if kernel.capabilities_of((own, "CapBnd", "CapInh", "CapAmb")) != [wanted, wanted, passed_on, passed_on]:
        raise JailError(errno.EPERM, "capabilities are not as ordered")


def _raise_ambient(numbers: tuple[int, ...]) -> None:
    for number in numbers:
        kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_RAISE, number)


def _uid(order: Fields) -> int:
    return int(order["uid"][0])


def _gid(order: Fields) -> int:
    return int(order["gid"][0])


def _groups(order: Fields) -> list[int]:
    return sorted(int(number) for number in order["groups"])


def _capabilities(order: Fields) -> tuple[int, ...]:
    return tuple(int(number) for number in order["capabilities"])
