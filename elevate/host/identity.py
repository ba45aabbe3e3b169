"""Who a task is on host linux: user, groups, capabilities and limits, set, and then read back.

A forked process becomes that for good (`Identity.become`). A launcher that spawns the process (`elevate.host.lending`) takes it
for the moment of the execution (`narrow`, `arm`, `turn`) and comes back (`shed`). What is not as ordered stops the task.

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
_PASSED_ON = ("CapInh", "CapAmb")
_LEAST, _BEFORE = kernel.Capabilities(_KEPT), kernel.Capabilities((*_KEPT, _SHEDDING))


class Identity:
    """Who an order's task is."""

    def __init__(self, order: Fields) -> None:
        self.uid, self.gid = int(order["uid"][0]), int(order["gid"][0])
        self._groups = sorted(int(number) for number in order["groups"])
        self._numbers = tuple(int(number) for number in order["capabilities"])
        self._passed_on = self._numbers if self.uid else ()
        self._network = order["network"] == [b"1"]
        self._small = bool(order["small"])

    def narrow(self) -> None:
        """Take network, limits and groups, and bound, for good, what is executed from now on."""
        if not self._network:
            kernel.unshare(kernel.CLONE_NEWNET)
        limits.set_all(small=self._small)
        kernel.bound(self._numbers)
        kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
        os.setgroups(self._groups)

    def become(self) -> None:
        """Take user, groups and capabilities, for good, and check that it is so."""
        self.narrow()
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
        os.setresgid(self.gid, self.gid, self.gid)
        # SECURITY: where fs.suid_dumpable is 1, whoever has the user could trace this process from the change of the effective
        # one on; not while the saved one is root, and that is no longer so only when nobody can.
        os.setresuid(self.uid, self.uid, 0)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        os.setresuid(self.uid, self.uid, self.uid)
        kernel.Capabilities(self._numbers, inheritable=self._passed_on).take()
        self._raise_ambient()
        self._check((self.uid,) * 3, (self.gid,) * 3, "CapPrm")

    def arm(self) -> None:
        """Keep what the task has, what `turn` needs, and what the launcher keeps; make `turn` ready."""
        kept = (*self._numbers, *_KEPT, _SHEDDING)
        kernel.Capabilities((*kept, *_TURNING), inheritable=self._passed_on).take()
        self._raise_ambient()
        self._turned = kernel.Capabilities(kept, effective=self._numbers, inheritable=self._passed_on)
        self._check((0, 0, 0), (0, 0, 0))

    def turn(self) -> None:
        """Be who the task is to be, and check that it is so; `shed` comes back.

        SECURITY: an execution makes the effective user the saved one, and gives the ambient capabilities, to uid 0 all of the
        bounding set. So the saved user and what is permitted beyond the order's capabilities never get to the task. And by the
        saved user nobody of the same user can trace this process or set its limits, whatever fs.suid_dumpable says.
        """
        os.setresgid(self.gid, self.gid, 0)
        os.setresuid(self.uid, self.uid, 0)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        self._turned.take()
        self._check((self.uid, self.uid, 0), (self.gid, self.gid, 0), "CapEff")

    def _raise_ambient(self) -> None:
        for number in self._passed_on:
            kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_RAISE, number)

    def _check(self, uids: tuple[int, ...], gids: tuple[int, ...], *own: str) -> None:
        """Stop the task where what was set is not so (attacks.md row 30)."""
        if (os.getresuid(), os.getresgid(), sorted(os.getgroups())) != (uids, gids, self._groups):
            raise JailError(errno.EPERM, "user or groups are not as ordered")
        wanted, passed_on = kernel.mask(self._numbers), kernel.mask(self._passed_on)
        if kernel.capabilities_of((*own, "CapBnd", *_PASSED_ON)) != [*(wanted for _ in own), wanted, passed_on, passed_on]:
            raise JailError(errno.EPERM, "capabilities are not as ordered")


class CountedFor:
    """Meanwhile the kernel counts for this user what it counts for each; root in all else, and all capabilities stay."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def __enter__(self) -> None:
        """Be the user, as the effective one."""
        if self._uid == 0:
            return
        self._bits = kernel.prctl(kernel.PR_GET_SECUREBITS)
        kernel.prctl(kernel.PR_SET_SECUREBITS, self._bits | kernel.SECURE_NO_FIXUP)
        try:
            os.seteuid(self._uid)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        """Be as before."""
        if self._uid == 0:
            return
        os.seteuid(0)
        kernel.prctl(kernel.PR_SET_SECUREBITS, self._bits)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # each change of a user may set it


def shed() -> None:
    """Give up, as the launcher, all rights but to end the tree and to find files by handle.

    SECURITY: a task with SYS_PTRACE can take hold of the launcher; it must not get further capabilities by that, nor by letting
    it execute something: being uid 0 gives none any more.
    """
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    _BEFORE.take()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_SECUREBITS, kernel.SECURE_NO_ROOT)
    _LEAST.take()
