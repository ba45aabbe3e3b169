"""From a decision's obligations to a task's jail on host linux. What can't be kept is refused: nothing is silently weaker.

- ``identity = "account"``, the default: the uid of the hidden account, with the rule's capabilities as ambient ones, or none.
- ``identity = "root"``: uid 0, bounded by the rule's capabilities; where the rule names none, by `ROOT`, which is what package
  managers need. It has no module, raw I/O, boot, ptrace, mount or network administration.
- What the machine does itself for a task (`package.install`, `service.control`, `file.write`) is uid 0 with what that one kind
  needs: its program and arguments are the broker's own.
"""

from collections.abc import Mapping
from types import MappingProxyType

from elevate.errors import HostError
from elevate.host.accounts import Account
from elevate.host.kernel import CAPABILITIES
from elevate.host.launcher import Jail
from elevate.model import Obligations

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

_KEPT = frozenset({"identity", "capabilities", "network", "read_only", "interactive"})
_BROKERS = frozenset({"approvals", "approver_groups", "approver_users", "ticket", "gesture_age_seconds"})


def jail_for(kind: str, account: Account, obligations: Obligations) -> Jail:
    """Give the jail of one task.

    Raises:
        HostError: An obligation that this host can't keep, or a capability that the kernel does not know.
    """
    wanted = dict(obligations.extra)
    unkept = sorted(wanted.keys() - _KEPT - _BROKERS)
    if unkept:
        raise HostError(f"this host can't keep the obligation {unkept[0]}", hint="take it out of the rule, or use another host")
    as_root = wanted.get("identity") == "root" or kind in KINDS
    names = KINDS.get(kind) or _names(wanted.get("capabilities")) or (ROOT if as_root else ())
    return Jail(
        uid=0 if as_root else account.uid,
        gid=0 if as_root else account.gid,
        home=account.home,
        capabilities=numbers_of(names),
        network=wanted.get("network", True) is True,
        read_only=_names(wanted.get("read_only")),
        private=kind != "file.write",
        watch=kind in {"process.run", "package.install"},
    )


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
