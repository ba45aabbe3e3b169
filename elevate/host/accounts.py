"""The hidden admin accounts of host linux: ``ADMIN_<user>``, one for each user, made at the first elevation.

A system account with no password, no shell, no home that persists, expired for every login service; it does not show on login
screens. Which account belongs to whom stands in a file of the broker's own; an account of that name that is not in it, or that
was changed since, is never used.
"""

import hashlib
import json
import os
import pwd
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from elevate.errors import ElevateError, HostError
from elevate.host.folders import Folder
from elevate.host.launcher import Launcher, Order

PREFIX = "ADMIN_"
SHELLS = ("/usr/sbin/nologin", "/sbin/nologin")
STATE = "accounts.json"
_MAX_NAME = 32
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,255}")
_USERADD = ("/usr/sbin/useradd", "--badname", "--system", "--no-create-home", "--user-group")
_USERDEL, _IN_USE = "/usr/sbin/userdel", 8
"""And its status where a process runs as the account. Source: userdel(8)."""
_SCREENS = Path("/var/lib/AccountsService/users")
_SOURCES = ("/etc/group", "/etc/passwd", "/etc/nsswitch.conf")
_KNOWN_SECONDS = 60
"""So long an account that was in no further group is not looked up anew, where none of `_SOURCES` has changed: a look-up walks
through every source of groups that the machine has. What it guards against gives a task nothing."""
_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One pair: a user, and the account in whose name this user's tasks run."""

    user: str
    user_uid: int
    name: str
    uid: int
    gid: int
    home: str
    made_at: int


_Stamp = tuple[tuple[int, ...], ...]


class Accounts:
    """The pairs of one machine.

    Args:
        folder: Where the pairs are kept; the caller keeps it open.
        homes: Folder of the empty places on which scratch homes are mounted.
        launcher: Starts useradd and userdel.
    """

    def __init__(self, folder: Folder, homes: Path, launcher: Launcher) -> None:
        self._folder = folder
        self._homes = homes
        self._launcher = launcher
        self._apart: dict[Account, tuple[_Stamp, float]] = {}

    def pairs(self) -> tuple[Account, ...]:
        """Give all pairs, in the users' name order."""
        found = self._state().get("accounts", {})
        return tuple(Account(**record) for _, record in sorted(found.items()))

    def find(self, user: str) -> Account | None:
        """Give a user's account; None where there is none yet.

        Raises:
            HostError: The system's account has a shell, another number or another home by now.
        """
        record = self._state().get("accounts", {}).get(user)
        if record is None:
            return None
        account = Account(**record)
        _check(account)
        return account

    def make(self, user: str, uid: int, *, made_at: int) -> Account:
        """Give a user's account; make it where there is none.

        Raises:
            HostError: The user is a hidden account or has no plain name, the account's name is taken, it could not be made, or
                is not what was made.
        """
        with self._folder.locked():
            account = self.find(user)
            if account is None:
                account = self._make(user, uid, made_at)
                self._save((*self.pairs(), account))
            self._check_groups(account)
        if account.user_uid != uid:
            hint = f"as root: elevate account remove {user}; the next elevation makes a new one"
            raise HostError("the admin account was made for a user of this name with another uid", hint=hint)
        return account

    def remove(self, user: str) -> None:
        """Remove a user's account; one that the system has no more is forgotten.

        Raises:
            HostError: There is none, a task runs as it, it was changed since it was made, or it could not be removed.
        """
        with self._folder.locked():
            account = next((one for one in self.pairs() if one.user == user), None)
            if account is None:
                raise HostError("this user has no admin account", hint="see: elevate account list")
            if _entry(account.name) is not None:
                _check(account)
                self._run((_USERDEL, account.name))
            (_SCREENS / account.name).unlink(missing_ok=True)
            if Path(account.home).exists():
                Path(account.home).rmdir()
            self._save(tuple(one for one in self.pairs() if one.user != user))

    def _make(self, user: str, uid: int, made_at: int) -> Account:
        if not _USER.fullmatch(user) or user.startswith(PREFIX):
            raise HostError("this user can't have an admin account")
        name = account_name(user)
        comment = f"admin account of {user}, made by elevate"
        self._begin(name, comment)
        home = self._homes / name
        shell = next((shell for shell in SHELLS if Path(shell).exists()), SHELLS[0])
        self._run((*_USERADD, "--home-dir", str(home), "--shell", shell, "--comment", comment, name))
        # useradd keeps no expiry for a system account.
        self._run(("/usr/sbin/usermod", "--expiredate", "1970-01-02", name))
        entry = _entry(name)
        if entry is None:
            raise HostError("the admin account was not made")
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _SCREENS.is_dir():
            (_SCREENS / name).write_text("[User]\nSystemAccount=true\n")
        return Account(user=user, user_uid=uid, name=name, uid=entry.pw_uid, gid=entry.pw_gid, home=str(home), made_at=made_at)

    def _begin(self, name: str, comment: str) -> None:
        """Note which account is about to be made; take away what a crash left of it before.

        Raises:
            HostError: An account of that name is there, and it is not one that was being made.
        """
        entry = _entry(name)
        if entry is not None and (self._state().get("making") != name or entry.pw_gecos != comment):
            # SECURITY: whoever made it may hold its credentials.
            raise HostError("an account with the admin account's name is there already", detail=name)
        self._save(self.pairs(), making=name)
        if entry is not None:
            self._run((_USERDEL, name))

    def _run(self, argv: tuple[str, ...]) -> None:
        try:
            report = self._launcher.launch(Order(argv=argv, env=_ENV, time_limit_seconds=60)).wait()
        except ElevateError as exc:
            raise HostError("the system's accounts can't be changed", detail=str(exc)) from exc
        if report.exit_status == _IN_USE and argv[0] == _USERDEL:
            raise HostError("a task runs as this admin account", hint="let it end, or end it: elevate cancel REQUEST")
        if report.exit_status != 0:
            raise HostError("the system's accounts can't be changed", detail=f"{argv[0]} ended with {report.exit_status}")

    def _check_groups(self, account: Account) -> None:
        now, stamp = time.monotonic(), tuple(map(_stamp, _SOURCES))
        known, until = self._apart.get(account, ((), 0.0))
        if known != stamp or now >= until:
            _check_groups(account)
            self._apart[account] = stamp, now + _KNOWN_SECONDS

    def _state(self) -> Mapping[str, Any]:
        try:
            data = self._folder.read(STATE)
        except FileNotFoundError:
            return {}
        return _parsed(data)

    def _save(self, accounts: tuple[Account, ...], *, making: str = "") -> None:
        records = {one.user: {name: getattr(one, name) for name in Account.__slots__} for one in accounts}
        state = {"version": 1, "accounts": records} | ({"making": making} if making else {})
        text = json.dumps(state, indent=1, sort_keys=True)
        self._folder.replace(STATE, text.encode() + b"\n")


@lru_cache(maxsize=4)
def _parsed(data: bytes) -> Mapping[str, Any]:
    """Read the same bytes once; nobody changes what comes out."""
    found: Mapping[str, Any] = json.loads(data)
    return found


def account_name(user: str) -> str:
    """Give the name of a user's account; a long name is cut and told apart by its hash."""
    name = PREFIX + user
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 9]}_{hashlib.sha256(user.encode()).hexdigest()[:8]}"


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _check(account: Account) -> None:
    """Refuse an account that somebody gave a shell, another number or another home."""
    entry = _entry(account.name)
    same = entry is not None and (entry.pw_uid, entry.pw_gid, entry.pw_dir) == (account.uid, account.gid, account.home)
    if not same or entry is None or entry.pw_uid == 0 or entry.pw_shell not in SHELLS:
        hint = f"as root: userdel {account.name}; elevate account remove {account.user}; the next elevation makes a new one"
        raise HostError("the admin account was changed since it was made, or removed", hint=hint, detail=account.name)


def _stamp(path: str) -> tuple[int, ...]:
    """Give what changes with a file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check_groups(account: Account) -> None:
    """Refuse an account that somebody put into further groups. No task of its has them; whoever did it wanted them to."""
    # What the account would be a member of; whole lists of groups are long where they come from a directory, or not given.
    others = set(os.getgrouplist(account.name, account.gid)) - {account.gid}
    if others:
        raise HostError("the admin account is in further groups", detail=f"{account.name}: {', '.join(map(str, others))}")
