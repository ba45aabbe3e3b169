"""Who answers for a process: in a user namespace one person can have thousands of uids (subuid(5)).

What is counted for each user is counted for whoever made the namespace, or it would be no bound at all.

Source: user_namespaces(7), ioctl_nsfs(2); attacks.md row 49.
"""

import fcntl
import os
import struct
from functools import cache

from elevate.errors import HostError

MAX_NESTED = 32
"""The kernel's own bound on user namespaces in one another."""
_NS_GET_PARENT, _NS_GET_OWNER_UID = 0xB702, 0xB704


def answerable(pid: int, uid: int) -> int:
    """Give the uid that answers for a process: its own, or that of who made the outermost user namespace below ours.

    Args:
        pid: The process.
        uid: Its user, as we see it.

    Raises:
        HostError: It can't be looked at; a broker that is not root serves only its own user, and then it is that one.
    """
    try:
        namespace = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        if os.geteuid():
            return uid
        raise HostError("the requesting process can't be looked at", detail=f"process {pid}: {exc}") from exc
    try:
        ours = _ours()
        return uid if os.path.samestat(os.fstat(namespace), ours) else _owner(namespace, ours) or uid
    except OSError as exc:
        raise HostError("the requesting process can't be looked at", detail=f"its user namespace: {exc}") from exc
    finally:
        os.close(namespace)


@cache
def _ours() -> os.stat_result:
    return os.stat("/proc/self/ns/user")


def _owner(namespace: int, ours: os.stat_result) -> int:
    here = os.dup(namespace)
    try:
        for _ in range(MAX_NESTED + 1):
            above = fcntl.ioctl(here, _NS_GET_PARENT)
            if os.path.samestat(os.fstat(above), ours):
                os.close(above)
                (found,) = struct.unpack("=I", fcntl.ioctl(here, _NS_GET_OWNER_UID, bytes(4)))
                return int(found)
            os.dup2(above, here, inheritable=False)
            os.close(above)
    finally:
        os.close(here)
    raise HostError("the requesting process can't be looked at", detail="its user namespace is none of ours")
