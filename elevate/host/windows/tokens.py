r"""What is in an access token: groups, privileges and integrity level, for the standard user and for the hidden account.

Under Administrator protection an administrator signs in with the first only; there is no second, filtered half of it that
waits. The second is made for one task and goes with it.

Source: Microsoft Learn, "Well-known SIDs", "Privilege Constants", "Mandatory Integrity Control".
"""

from dataclasses import dataclass
from enum import IntEnum

EVERYONE, USERS, ADMINISTRATORS = "S-1-1-0", "S-1-5-32-545", "S-1-5-32-544"
INTERACTIVE, AUTHENTICATED, LOCAL_ACCOUNT = "S-1-5-4", "S-1-5-11", "S-1-5-113"


class Integrity(IntEnum):
    """How much a process or an object is trusted; the last part of its label's SID."""

    UNTRUSTED = 0
    LOW = 4096
    MEDIUM = 8192
    HIGH = 12288
    SYSTEM = 16384

    @property
    def sid(self) -> str:
        """The label's SID."""
        return f"S-1-16-{self.value}"


def may_write(subject: Integrity, target: Integrity) -> bool:
    """Say whether a process may write an object: never up, whatever an access list says."""
    return subject >= target


def of_new_process(user: Integrity, file: Integrity) -> Integrity:
    """Give a new process's level: the lower of its user's and its file's."""
    return min(user, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One access token.

    Attributes:
        groups: Name and SID of each group.
        privileges: Name of each privilege, and whether it is enabled at the start.
    """

    groups: tuple[tuple[str, str], ...]
    privileges: tuple[tuple[str, bool], ...]
    integrity: Integrity


_COMMON_GROUPS = (
    ("Everyone", EVERYONE),
    (r"BUILTIN\Users", USERS),
    (r"NT AUTHORITY\INTERACTIVE", INTERACTIVE),
    (r"NT AUTHORITY\Authenticated Users", AUTHENTICATED),
    (r"NT AUTHORITY\Local account", LOCAL_ACCOUNT),
)
_COMMON_PRIVILEGES = (
    ("SeShutdownPrivilege", False),
    ("SeChangeNotifyPrivilege", True),
    ("SeUndockPrivilege", False),
    ("SeIncreaseWorkingSetPrivilege", False),
    ("SeTimeZonePrivilege", False),
)

STANDARD = Token(groups=_COMMON_GROUPS, privileges=_COMMON_PRIVILEGES, integrity=Integrity.MEDIUM)
"""What every user signs in with, administrators too."""

ADMIN = Token(
    groups=(*_COMMON_GROUPS, (r"BUILTIN\Administrators", ADMINISTRATORS)),
    privileges=(
        *_COMMON_PRIVILEGES,
        ("SeIncreaseQuotaPrivilege", False),
        ("SeSecurityPrivilege", False),
        ("SeTakeOwnershipPrivilege", False),
        ("SeLoadDriverPrivilege", False),
        ("SeSystemProfilePrivilege", False),
        ("SeSystemtimePrivilege", False),
        ("SeProfileSingleProcessPrivilege", False),
        ("SeIncreaseBasePriorityPrivilege", False),
        ("SeCreatePagefilePrivilege", False),
        ("SeBackupPrivilege", False),
        ("SeRestorePrivilege", False),
        ("SeDebugPrivilege", False),
        ("SeSystemEnvironmentPrivilege", False),
        ("SeRemoteShutdownPrivilege", False),
        ("SeManageVolumePrivilege", False),
        ("SeImpersonatePrivilege", True),
        ("SeCreateGlobalPrivilege", True),
        ("SeCreateSymbolicLinkPrivilege", False),
        ("SeDelegateSessionUserImpersonatePrivilege", False),
    ),
    integrity=Integrity.HIGH,
)
"""What a task of the hidden account has, and nothing else."""


def whoami() -> str:
    """Give the emulated ``whoami``: a shell script that prints the identity that the task was started with."""
    groups = "\n".join(f"    printf '%s %s\\n' '{name}' {sid}" for name, sid in ADMIN.groups)
    privileges = "\n".join(
        f"    printf '%-45s %s\\n' {name} {'Enabled' if enabled else 'Disabled'}" for name, enabled in ADMIN.privileges
    )
    return _WHOAMI.format(groups=groups, privileges=privileges)


_WHOAMI = r"""#!/bin/sh
# The emulated whoami: prints the identity that the task was started with.
case "${{1:-}}" in
'') printf '%s\n' "$USERNAME" ;;
/user) printf '%s %s\n' "$USERNAME" "$ELEVATE_ADMIN_SID" ;;
/groups)
{groups}
    printf 'Mandatory Label %s\n' "S-1-16-$ELEVATE_INTEGRITY" ;;
/priv)
{privileges}
    ;;
*) printf 'whoami: unknown option %s\n' "$1" >&2; exit 1 ;;
esac
"""
