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
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from elevate.errors import HostError
from elevate.host import running, services, snapshot
from elevate.host.accounts import Account, Accounts
from elevate.host.confinement import jail_for
from elevate.host.dpkg import PackageIndex
from elevate.host.environment import SYSTEM_PATH
from elevate.host.folders import Folder
from elevate.host.inspection import check_window, target_fact
from elevate.host.launcher import Jail, Launcher, Order, Report
from elevate.host.looking import PACKAGE_FD, Eyes, LinuxInspection, inspect
from elevate.host.running import TreeRunning
from elevate.host.sealed import reopen
from elevate.host.targets import as_target
from elevate.model import AdminIdentity, Ended, InspectedTask, Obligations, Requester, Window, Written, mode_of
from elevate.ports import Clock, Entropy, Inspection
from elevate.tasks import Task

HOMES = Path("/var/lib/elevate-admin")
CHORES = Path(__file__).with_name("chores.py")
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
        self._eyes = Eyes(launcher=launcher, packages=PackageIndex(), nowhere=nowhere)

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

    def _sid(self, uid: int) -> str:
        return f"{uid}@{self.name}"

    def inspect(
        self, task: Task, requester: Requester, payload: int | None = None, *, before: Sequence[InspectedTask] = ()
    ) -> LinuxInspection:
        """Look at a task: open, resolve, hash. See `elevate.ports.Host.inspect`."""
        return inspect(replace(self._eyes, before=tuple(before)), task, requester, payload)

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

    def start(  # noqa: PLR0913 - each is a choice of its own, by name
        self,
        inspection: Inspection,
        identity: AdminIdentity,
        *,
        session: str,
        time_limit_seconds: int,
        obligations: Obligations | None = None,
        window: Window | None = None,
        streams: tuple[int, int] | None = None,
    ) -> TreeRunning:
        """Start the inspected task as ``identity``, or as uid 0 in its name. See `elevate.ports.Host.start`."""
        if not isinstance(inspection, LinuxInspection) or not 0 < len(session) <= _MAX_SESSION:
            raise HostError("this host did not inspect the task, or the session has no id")
        account = self.accounts.find(inspection.user)
        if account is None or self._identity(account) != identity:
            raise HostError("the identity is not the requester's admin account")
        obligations = obligations or Obligations()
        check_window(inspection, obligations, window)
        jail = as_target(jail_for(inspection.task, account, obligations), inspection.run_as)
        inspection.begin()
        env = self._environment(account, jail, session) | (inspection.run_as.environment() if inspection.run_as else {})
        env |= {"SUDO_COMMAND": " ".join(inspection.task.argv or inspection.command)[:_MAX_COMMAND], **inspection.additions}
        stdin = [reopen(inspection.payload)] if inspection.payload is not None else []
        try:
            plan = _plan(inspection, stdin)
            order = partial(_order, plan, {**env, **plan.env}, jail, time_limit_seconds)
            return running.start(self._launcher, order, partial(self._finish, inspection), window=window, streams=streams)
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
            return _written_file(inspection.target, inspection.task), (inspection.target.path or "/",)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is executed for one kind of task, and with which descriptors."""

    argv: tuple[str, ...]
    fds: Mapping[int, int] = field(default_factory=dict)
    exec_fd: int | None = None
    cwd: str = "/"
    cwd_fd: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def _order(plan: _Plan, env: Mapping[str, str], jail: Jail, limit: int, out: int, err: int) -> Order:
    return Order(
        argv=plan.argv,
        env=env,
        cwd=plan.cwd,
        cwd_fd=plan.cwd_fd,
        fds={**plan.fds, 1: out, 2: err},
        exec_fd=plan.exec_fd,
        time_limit_seconds=limit,
        jail=jail,
    )


def _plan(inspection: LinuxInspection, stdin: list[int]) -> _Plan:
    task = inspection.task
    match "process.run" if task.task.own else task.task.kind:
        case "process.run" if inspection.program is not None:
            fds = dict(enumerate(stdin))
            return _Plan(argv=task.argv, fds=fds, exec_fd=inspection.program.fd, cwd=task.cwd, cwd_fd=inspection.cwd)
        case "package.install" if inspection.program is not None:
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            return _Plan(argv=inspection.command, fds={PACKAGE_FD: inspection.program.fd}, env=env)
        case "package.remove":
            return _Plan(argv=inspection.command, env={"DEBIAN_FRONTEND": "noninteractive"})
        case "service.control":
            return _Plan(argv=inspection.command, env=services.ENV)
        case "file.write" if inspection.target is not None and task.file is not None:
            name = task.file.path.rpartition("/")[2]
            argv = (os.path.realpath(sys.executable), "-I", "-S", str(CHORES), "write", name, mode_of(task))
            return _Plan(argv=argv, fds={3: stdin[0], 4: inspection.target.fd})
        case _:
            raise HostError("there is nothing to execute")


def _written_file(target: Folder, task: InspectedTask) -> tuple[Written, ...]:
    before = task.file
    if before is None:
        return ()
    try:
        after, there = target_fact(target, before.path.rpartition("/")[2], before.path)
    except OSError:
        return (Written(path=before.path, change="changed"),)
    if after == before and there.items() <= dict(task.facts).items():
        return ()
    change = "created" if not before.sha256 else "changed"
    return (Written(path=after.path, change=change, sha256=after.sha256, size=after.size),)


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
