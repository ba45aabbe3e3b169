"""This Linux machine as a host: real elevation, for a broker that runs as root.

Every task has a session, mounts, IPC, a PID namespace and a cgroup of its own; it runs from the descriptor that was opened and
hashed, as the hidden account or as uid 0, with the decision's capabilities and no others. Nothing of the user's surroundings is
there: environment from nothing, scratch home, private /tmp, no run-time folder, no descriptors, no terminal.

What leaves that is what the task was approved to change, and what a task with enough capabilities may itself arrange (a mount
elsewhere, a service, a cron entry): see SECURITY.md.
"""

import grp
import hashlib
import os
import pwd
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from elevate.errors import HostError
from elevate.host import running, snapshot
from elevate.host.accounts import Account, Accounts
from elevate.host.ahead import MadeAhead
from elevate.host.budget import Budget, memory_of_machine
from elevate.host.confinement import jail_for
from elevate.host.dpkg import PackageIndex
from elevate.host.environment import SYSTEM_PATH
from elevate.host.folders import Folder
from elevate.host.inspection import check_window
from elevate.host.launcher import Jail, Launcher, Report
from elevate.host.looking import Eyes, LinuxInspection, inspect
from elevate.host.planning import order_of, plan_for, written_file
from elevate.host.running import TreeRunning
from elevate.host.sealed import reopen
from elevate.host.targets import as_target
from elevate.model import AdminIdentity, Ended, InspectedTask, Requester, Window, Written
from elevate.ports import Clock, Entropy, Inspection, Mandate, Prepared
from elevate.tasks import Task

HOMES = Path("/var/lib/elevate-admin")
_MACHINE_ID = Path("/etc/machine-id")
_NO_UID = 2**32 - 1
_MAX_SESSION = 64
_MAX_COMMAND = 4096


class LinuxHost:
    """A `elevate.ports.Host` over the machine itself.

    Args:
        folder: Where the pairs of accounts are kept; made by `create`.
        launcher: Starts the tasks; the caller closes it.
        clock: For the time at which an account is made.
        entropy: As every host; this one draws nothing.
        homes: Where the scratch homes are mounted.

    Raises:
        HostError: The broker is not root, or the folder is not its own.
    """

    emulated = False
    keeps = frozenset({"network", "read_only", "writable"})

    def __init__(self, folder: Path, *, launcher: Launcher, clock: Clock, entropy: Entropy, homes: Path = HOMES) -> None:
        if os.geteuid() != 0:
            raise HostError("host linux needs a broker that runs as root", hint="use the emulated machine")
        try:
            self._folder = Folder.open(folder)
            nowhere = _make_places(homes)
        except OSError as exc:
            raise HostError("the host's folder can't be used", detail=str(exc)) from exc
        self.name = f"linux:{_machine()}"
        self.accounts = Accounts(self._folder, homes, launcher)
        self._launcher = launcher
        self._clock = clock
        self._entropy = entropy
        memory = memory_of_machine()
        budget, readers = Budget.of(memory), Budget.of_readers(memory)
        self._eyes = Eyes(launcher=launcher, packages=PackageIndex(), nowhere=nowhere, budget=budget, readers=readers)

    @classmethod
    def create(cls, folder: Path, *, launcher: Launcher, clock: Clock, entropy: Entropy, homes: Path = HOMES) -> Self:
        """Make the folder and open it.

        Raises:
            HostError: Something is there already, or it can't be made.
        """
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as exc:
            raise HostError("the host's folder can't be made", detail=str(exc)) from exc
        return cls(folder, launcher=launcher, clock=clock, entropy=entropy, homes=homes)

    def close(self) -> None:
        """Close the folder; twice is the same as once."""
        self._folder.close()

    def user_for(self, uid: int) -> tuple[str, str, tuple[str, ...]]:
        """Give name, identifier (``uid@machine``) and groups, sorted, of a user.

        Raises:
            HostError: No such user.
        """
        entry = _user(uid)
        names = sorted(filter(None, map(_group, os.getgrouplist(entry.pw_name, entry.pw_gid))))
        return entry.pw_name, self._sid(uid), tuple(names)

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count memory against what inputs and copies may take up. See `elevate.ports.Host.hold`."""
        return self._eyes.budget.take(uid, size)

    def _sid(self, uid: int) -> str:
        return f"{uid}@{self.name}"

    def inspect(
        self, task: Task, requester: Requester, payload: int | None = None, *, before: Sequence[InspectedTask] = ()
    ) -> LinuxInspection:
        """Look at a task: open, resolve, hash. See `elevate.ports.Host.inspect`."""
        eyes = replace(self._eyes, before=tuple(before)) if before else self._eyes
        return inspect(eyes, task, requester, payload)

    def provision(self, requester: Requester) -> AdminIdentity:
        """Give the requester's hidden admin account; make it at the first elevation.

        Raises:
            HostError: The requester is not who the machine says, or the account can't be made or was changed.
        """
        name = _user(requester.process.uid).pw_name
        if (name, self._sid(requester.process.uid)) != (requester.user, requester.sid):
            raise HostError("the machine does not know this user")
        account = self.accounts.make(name, requester.process.uid, made_at=self._clock.read().unix)
        return self._identity(account)

    def prepare(self, inspection: Inspection, mandate: Mandate) -> MadeAhead[LinuxInspection]:
        """Let a launcher make what the task needs, up to its execution. See `elevate.ports.Host.prepare`."""
        known = self._known(inspection)
        return MadeAhead(known, mandate, self._prepare(known, mandate, self._account(known, mandate), None, None))

    def start(
        self,
        inspection: Inspection,
        mandate: Mandate,
        *,
        window: Window | None = None,
        streams: tuple[int, int] | None = None,
        ahead: Prepared | None = None,
    ) -> TreeRunning:
        """Start the inspected task as the mandate's account, or as uid 0 in its name. See `elevate.ports.Host.start`."""
        known = self._known(inspection)
        account = self._account(known, mandate)
        known.begin()
        if isinstance(ahead, MadeAhead) and window is None and streams is None and ahead.holds(known, mandate):
            return ahead.tree.go()
        if ahead is not None:
            ahead.close()
        return self._prepare(known, mandate, account, window, streams).go()

    def _known(self, inspection: Inspection) -> LinuxInspection:
        if not isinstance(inspection, LinuxInspection):
            raise HostError("this host did not inspect the task")
        return inspection

    def _account(self, inspection: LinuxInspection, mandate: Mandate) -> Account:
        if not 0 < len(mandate.session) <= _MAX_SESSION:
            raise HostError("the session has no id")
        account = self.accounts.find(inspection.user)
        if account is None or self._identity(account) != mandate.identity:
            raise HostError("the identity is not the requester's admin account")
        return account

    def _prepare(
        self,
        inspection: LinuxInspection,
        mandate: Mandate,
        account: Account,
        window: Window | None,
        streams: tuple[int, int] | None,
    ) -> running.TreePrepared:
        check_window(inspection, mandate.obligations, window)
        jail = as_target(jail_for(inspection.task, account, mandate.obligations), inspection.run_as)
        env = self._environment(account, jail, mandate.session)
        env |= inspection.run_as.environment() if inspection.run_as else {}
        env |= {"SUDO_COMMAND": " ".join(inspection.task.argv or inspection.command)[:_MAX_COMMAND], **inspection.additions}
        stdin = [reopen(inspection.payload)] if inspection.payload is not None else []
        try:
            plan = plan_for(inspection, stdin)
            order = partial(order_of, plan, {**env, **plan.env}, jail, mandate.time_limit_seconds)
            return running.prepare(self._launcher, order, partial(self._finish, inspection), window=window, streams=streams)
        finally:
            for fd in stdin:
                os.close(fd)

    def _finish(self, inspection: LinuxInspection, report: Report) -> Ended:
        written, watched = self._written(inspection, report)
        return Ended(
            exit_status=report.exit_status,
            signal=report.signal,
            timed_out=report.timed_out,
            leftover=report.leftover,
            written=written,
            watched=watched,
            duration_ms=report.duration_ms,
        )

    def _written(self, inspection: LinuxInspection, report: Report) -> tuple[tuple[Written, ...], tuple[str, ...]]:
        if inspection.target is not None and not inspection.closed:
            return written_file(inspection.target, inspection.task), (inspection.target.path or "/",)
        return snapshot.describe(report.written), (report.watched,) if report.watched else ()

    def _identity(self, account: Account) -> AdminIdentity:
        return AdminIdentity(name=account.name, sid=self._sid(account.uid), uid=account.uid, home=account.home)

    def _environment(self, account: Account, jail: Jail, session: str) -> dict[str, str]:
        name = "root" if jail.uid == 0 else account.name
        return {
            "PATH": ":".join(SYSTEM_PATH),
            "HOME": account.home,
            "USER": name,
            "LOGNAME": name,
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",  # noqa: S108 - the task's own
            "SUDO_USER": account.user,
            "SUDO_UID": str(account.user_uid),
            "SUDO_GID": str(pwd.getpwuid(account.user_uid).pw_gid),
            "ELEVATE_USER": account.user,
            "ELEVATE_UID": str(account.user_uid),
            "ELEVATE_ADMIN": account.name,
            "ELEVATE_SESSION": session,
            "ELEVATE_MACHINE": self.name,
        }


def _make_places(homes: Path) -> str:
    """Make the folder of the scratch homes, and the home of those who have none."""
    nowhere = homes / "nobody"
    homes.mkdir(mode=0o755, parents=True, exist_ok=True)
    Folder.open(homes).close()
    nowhere.mkdir(mode=0o700, exist_ok=True)
    return str(nowhere)


def _machine() -> str:
    text = _MACHINE_ID.read_text().strip() if _MACHINE_ID.exists() else os.uname().nodename
    return hashlib.sha256(f"elevate:{text}".encode()).hexdigest()[:16]


def _user(uid: int) -> pwd.struct_passwd:
    if not 0 <= uid < _NO_UID:
        raise HostError("that is no uid")
    try:
        return pwd.getpwuid(uid)
    except KeyError as exc:
        raise HostError("the machine does not know this user", detail=str(uid)) from exc


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""
