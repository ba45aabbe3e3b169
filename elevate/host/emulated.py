r"""The emulated machine as a host: Windows' Administrator protection on any computer, without root.

It is no security boundary, and says so (``emulated = True``): every process of it runs as the user who runs the broker. What
it is faithful to is who a task believes to be, where it reads and writes, and how it begins and ends.

- A task is `process.run`, a real child process; the other kinds are done by the machine itself, in a child process, too.
- The identity is the hidden account ``ADMIN_<user>`` at high integrity, with a profile and a hive of its own that persist.
- System32 stands first on the fixed PATH. Drive C: is the only place that the machine's own kinds write to.
- The machine's access lists are a model: what lies in Windows or Program Files counts as not writable by a standard user.
"""

import contextlib
import grp
import os
import pwd
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from elevate.errors import HostError
from elevate.host import running, scratch, snapshot
from elevate.host.ahead import MadeAhead
from elevate.host.budget import unbounded
from elevate.host.environment import SYSTEM_PATH
from elevate.host.inspecting import EmulatedInspection, Looking, inspect
from elevate.host.inspection import check_window
from elevate.host.launcher import Launcher, Order, Report
from elevate.host.machine import Machine
from elevate.host.running import TreeRunning
from elevate.host.sealed import reopen
from elevate.host.windows import reg, tokens
from elevate.model import AdminIdentity, Ended, InspectedTask, Requester, Window
from elevate.ports import Clock, Entropy, Inspection, Mandate, Prepared
from elevate.tasks import Task

MEDIUM_INTEGRITY = int(tokens.STANDARD.integrity)
HIGH_INTEGRITY = int(tokens.ADMIN.integrity)
CHORES = Path(__file__).with_name("chores.py")
_NO_UID = 2**32 - 1
_SESSION = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatedUser:
    """One user of the machine, with the hidden admin account once there is one."""

    name: str
    uid: int
    sid: str
    groups: tuple[str, ...]
    smaa: AdminIdentity | None


class EmulatedHost:
    """A `elevate.ports.Host` in a folder.

    Args:
        folder: What `create` made.
        launcher: Starts the tasks; the caller closes it.
        clock: For the time at which an account is made.
        entropy: Not used yet for a machine that is there.

    Raises:
        HostError: The folder is not a machine's, or others can write to it.
    """

    emulated = True
    keeps: frozenset[str] = frozenset()

    def __init__(self, folder: Path, *, launcher: Launcher, clock: Clock, entropy: Entropy) -> None:
        self.machine = Machine.open(folder)
        self.name = f"emulated:{self.machine.name}"
        self._launcher = launcher
        self._clock = clock
        self._entropy = entropy

    @classmethod
    def create(cls, folder: Path, *, launcher: Launcher, clock: Clock, entropy: Entropy) -> Self:
        """Make a new machine and open it.

        Raises:
            HostError: Something is there already, or it can't be made.
        """
        Machine.create(folder, entropy=entropy).close()
        return cls(folder, launcher=launcher, clock=clock, entropy=entropy)

    def close(self) -> None:
        """Close the machine's folders; twice is the same as once."""
        self.machine.close()

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count nothing: a user's own broker is that user's. See `elevate.ports.Host.hold`."""
        del uid
        return unbounded(size)

    def user_for(self, uid: int) -> tuple[str, str, tuple[str, ...]]:
        """Give name, SID and groups of the real user ``uid``, who becomes a user of the machine at the first call.

        Groups are the machine's and the real ones, sorted.

        Raises:
            HostError: No uid can be that number.
        """
        if not 0 <= uid < _NO_UID:
            raise HostError("that is no uid")
        try:
            entry = pwd.getpwuid(uid)
            name, real = entry.pw_name, os.getgrouplist(entry.pw_name, entry.pw_gid)
        except KeyError:
            name, real = f"uid{uid}", []
        record = self.machine.add_user(name, uid)
        return record["name"], record["sid"], tuple(sorted({*record["groups"], *_group_names(real)}))

    def users(self) -> tuple[EmulatedUser, ...]:
        """Give the users and their hidden accounts, in name order."""
        return tuple(self._described(name, record) for name, record in sorted(self.machine.users().items()))

    def _described(self, name: str, record: Mapping[str, Any]) -> EmulatedUser:
        return EmulatedUser(
            name=name,
            uid=record["uid"],
            sid=record["sid"],
            groups=tuple(record["groups"]),
            smaa=self.machine.smaa(name, made_at=None) if "smaa" in record else None,
        )

    def inspect(
        self, task: Task, requester: Requester, payload: int | None = None, *, before: Sequence[InspectedTask] = ()
    ) -> EmulatedInspection:
        """Look at a task: open, resolve, hash. See `elevate.ports.Host.inspect`."""
        looking = Looking(self._launcher, self._clock.read().unix, tuple(before))
        return inspect(self.machine, looking, task, requester, payload)

    def provision(self, requester: Requester) -> AdminIdentity:
        """Give the requester's hidden admin account; make it at the first elevation.

        Raises:
            HostError: The machine does not know this user by this SID.
        """
        known = self.machine.users().get(requester.user)
        if known is None or known["sid"] != requester.sid:
            raise HostError("the machine does not know this user")
        return self.machine.smaa(requester.user, made_at=self._clock.read().unix)

    def prepare(self, inspection: Inspection, mandate: Mandate) -> MadeAhead[EmulatedInspection]:
        """Let a launcher get ready, make the session's folder, look at the drive. See `elevate.ports.Host.prepare`."""
        known = self._known(inspection)
        return MadeAhead(known, mandate, self._prepare(known, mandate, self._user(known, mandate), None, None))

    def start(
        self,
        inspection: Inspection,
        mandate: Mandate,
        *,
        window: Window | None = None,
        streams: tuple[int, int] | None = None,
        ahead: Prepared | None = None,
    ) -> TreeRunning:
        """Start the inspected task as the mandate says, in a session that has never been. See `elevate.ports.Host.start`."""
        known = self._known(inspection)
        user = self._user(known, mandate)
        known.begin()
        if isinstance(ahead, MadeAhead) and window is None and streams is None and ahead.holds(known, mandate):
            return ahead.tree.go()
        if ahead is not None:
            ahead.close()
        return self._prepare(known, mandate, user, window, streams).go()

    def _known(self, inspection: Inspection) -> EmulatedInspection:
        if not isinstance(inspection, EmulatedInspection) or inspection.machine is not self.machine:
            raise HostError("this host did not inspect the task")
        return inspection

    def _user(self, inspection: EmulatedInspection, mandate: Mandate) -> EmulatedUser:
        name = inspection.user
        record = self.machine.users().get(name)
        user = None if record is None else self._described(name, record)
        if user is None or user.smaa is None or user.smaa != mandate.identity:
            raise HostError("the identity is not the requester's hidden account")
        return user

    def _prepare(
        self,
        inspection: EmulatedInspection,
        mandate: Mandate,
        user: EmulatedUser,
        window: Window | None,
        streams: tuple[int, int] | None,
    ) -> scratch.PreparedWithin:
        session = mandate.session
        # Capabilities and the like mean nothing on a machine that is no boundary.
        check_window(inspection, mandate.obligations, window)
        env = self._environment(user, mandate.identity, session=session) | dict(inspection.additions)
        env["ELEVATE_INTEGRITY"] = str(int(self._integrity(inspection)))
        before: snapshot.Snapshot = {}
        stdin = [reopen(inspection.payload)] if inspection.payload is not None else []
        try:
            order = partial(_order, inspection, env, stdin, mandate.time_limit_seconds)
            finish = partial(self._finish, before, session)
            tree = running.prepare(self._launcher, order, finish, window=window, streams=streams)
        finally:
            for fd in stdin:
                os.close(fd)
        with contextlib.ExitStack() as undo:
            undo.callback(tree.close)
            # The launcher makes itself ready meanwhile; nothing of the task runs before it is let go.
            scratch.make(self.machine, session)
            undo.callback(scratch.remove, self.machine, session)
            before |= snapshot.take(self._watched())
            return scratch.PreparedWithin(tree, undo.pop_all())

    def _watched(self) -> tuple[str, ...]:
        return (self.machine.drive.path, self.machine.registry_folder.path)

    def _finish(self, before: snapshot.Snapshot, session: str, report: Report) -> Ended:
        left = report.leftover + scratch.remove(self.machine, session)
        after = snapshot.take(self._watched())
        return Ended(
            exit_status=report.exit_status,
            signal=report.signal,
            timed_out=report.timed_out,
            leftover=left,
            written=snapshot.compare(before, after),
            watched=tuple(sorted(before.keys() & after.keys())),
            duration_ms=report.duration_ms,
        )

    def _integrity(self, inspection: EmulatedInspection) -> tokens.Integrity:
        steps = self.machine.below_drive(inspection.program.fact.path) if inspection.program else None
        label = self.machine.label(steps) if steps else None
        return tokens.ADMIN.integrity if label is None else tokens.of_new_process(tokens.ADMIN.integrity, label)

    def _environment(self, user: EmulatedUser, identity: AdminIdentity, *, session: str) -> dict[str, str]:
        if not _SESSION.fullmatch(session):
            raise HostError("the session's id is not one")
        drive = self.machine.drive.path
        return {
            "PATH": ":".join((f"{drive}/Windows/System32", *SYSTEM_PATH)),
            "HOME": identity.home,
            "USER": identity.name,
            "LOGNAME": identity.name,
            "USERNAME": identity.name,
            "USERPROFILE": rf"C:\Users\{identity.name}",
            "SYSTEMROOT": r"C:\Windows",
            "PROGRAMFILES": r"C:\Program Files",
            "PROGRAMDATA": r"C:\ProgramData",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "TMPDIR": f"{self.machine.folder.path}/scratch/{session}",
            "ELEVATE_USER": user.name,
            "ELEVATE_UID": str(user.uid),
            "ELEVATE_USER_SID": user.sid,
            "ELEVATE_ADMIN_SID": identity.sid,
            "ELEVATE_SESSION": session,
            "ELEVATE_MACHINE": self.name,
            "ELEVATE_DRIVE_C": drive,
            "ELEVATE_PYTHON": os.path.realpath(sys.executable),
            "ELEVATE_REG": reg.__file__,
        }


def _order(inspection: EmulatedInspection, env: Mapping[str, str], stdin: list[int], limit: int, out: int, err: int) -> Order:
    task = inspection.task
    if inspection.chore:
        python = os.path.realpath(sys.executable)
        fds = {1: out, 2: err, **inspection.chore_fds()}
        argv = (python, "-I", "-S", str(CHORES), *inspection.chore)
        return Order(argv=argv, env=env, fds=fds, time_limit_seconds=limit)
    if inspection.program is None:
        raise HostError("there is nothing to execute")
    fds = {0: stdin[0], 1: out, 2: err} if stdin else {1: out, 2: err}
    return Order(
        argv=task.argv, env=env, cwd_fd=inspection.cwd, fds=fds, exec_fd=inspection.program.fd, time_limit_seconds=limit
    )


def _group_names(numbers: list[int]) -> list[str]:

    names: list[str] = []
    for number in numbers:
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return names
