"""As whom a task runs, where that is not the admin account: another user of the machine, or another group.

The user database says who that is: name, number, groups. What is uid 0 or gid 0 under any name or number, and the hidden admin
accounts, are nobody whom one can ask for. Capabilities such a task has none.

Source: sudo(8), -u and -g; CVE-2019-14287.
"""

import grp
import os
import pwd
import re
from dataclasses import dataclass, replace

from elevate.errors import RefusedError
from elevate.host.accounts import PREFIX
from elevate.host.order import Jail
from elevate.model import FactValue
from elevate.tasks import Task

_NUMBER = re.compile("#(0|[1-9][0-9]{0,9})")
_MAX_NUMBER = 2**32 - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A user as whom a task runs.

    Attributes:
        gid: The first group: the user's own, or the one that was asked for.
        groups: All groups, as the machine says.
        asked_group: Name of the group that was asked for; empty where none was.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    asked_group: str = ""

    def facts(self) -> dict[str, FactValue]:
        """Give what rules, prompt and log are told."""
        named: dict[str, FactValue] = {"run_as": self.name, "run_as_uid": self.uid}
        others = sorted(_group_name(number) for number in self.groups if number != self.gid)
        named["run_as_groups"] = ", ".join([_group_name(self.gid), *others])
        return named | ({"run_as_group": self.asked_group} if self.asked_group else {})

    def environment(self) -> dict[str, str]:
        """Give what the task has in its environment in place of the admin account's."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def find_target(task: Task, requester: str) -> Target | None:
    """Give the user as whom the task asks to run; None where it asks for nobody but the admin account.

    Args:
        task: A ``process.run``.
        requester: Name of the asking user, as whom it runs where it asks for a group alone.

    Raises:
        RefusedError: There is no such user or group, or nobody can ask for it.
    """
    asked = dict(task.params)
    user, group = str(asked.get("run_as", "")), str(asked.get("run_as_group", ""))
    if not user and not group:
        return None
    entry = _user(user or requester)
    chosen = _group(group) if group else None
    first = chosen.gr_gid if chosen else entry.pw_gid
    numbers = {first, *os.getgrouplist(entry.pw_name, entry.pw_gid)}
    return Target(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=first,
        groups=tuple(sorted(numbers)),
        home=entry.pw_dir,
        asked_group=chosen.gr_name if chosen else "",
    )


def as_target(jail: Jail, target: Target | None) -> Jail:
    """Give the jail with the other user in it, who has no capabilities; where there is none, as it was."""
    if target is None:
        return jail
    return replace(jail, uid=target.uid, gid=target.gid, groups=target.groups, capabilities=())


def _user(asked: str) -> pwd.struct_passwd:
    try:
        entry = pwd.getpwuid(_number(asked)) if asked.startswith("#") else pwd.getpwnam(asked)
    except KeyError as exc:
        raise RefusedError("there is no such user", hint="see: getent passwd") from exc
    # SECURITY: root under another name or number would be an admin that no rule bounds.
    if entry.pw_uid == 0:
        raise RefusedError("that user is root", hint="leave the user out; the rule says the identity")
    if entry.pw_name.startswith(PREFIX):
        raise RefusedError("nobody can ask for a hidden admin account", hint="leave the user out; the rule says the identity")
    return entry


def _group(asked: str) -> grp.struct_group:
    try:
        entry = grp.getgrgid(_number(asked)) if asked.startswith("#") else grp.getgrnam(asked)
    except KeyError as exc:
        raise RefusedError("there is no such group", hint="see: getent group") from exc
    if entry.gr_gid == 0:
        raise RefusedError("that group is root's", hint="leave the group out; the rule says the identity")
    return entry


def _number(asked: str) -> int:
    """Give the number after ``#``. SECURITY: in one form only, and never -1, which is "leave it as it is" to the kernel."""
    if not _NUMBER.fullmatch(asked) or int(asked[1:]) > _MAX_NUMBER:
        raise KeyError(asked)
    return int(asked[1:])


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"#{number}"
