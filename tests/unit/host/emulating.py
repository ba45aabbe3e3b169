"""An emulated machine of a test's own, and how to run a task on it as the broker does."""

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from elevate.host.emulated import EmulatedHost
from elevate.host.launcher import Launcher
from elevate.host.linux import LinuxHost
from elevate.model import Ended, InspectedTask, Obligations, ProcessIdentity, Requester
from elevate.ports import Host, Inspection, Mandate, Running
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy


@dataclass
class Done:
    """What one task left: how it ended, and what it said."""

    ended: Ended
    out: str
    err: str
    inspected: InspectedTask


H = TypeVar("H", bound=Host)


@dataclass
class Acting(Generic[H]):
    """A host, and the user who asks."""

    host: H
    requester: Requester
    sessions: Iterator[str] = field(default_factory=lambda: (f"session-{number:08}" for number in range(10**8)))
    obligations: Obligations | None = None

    def begin(self, inspection: Inspection, *, limit: int = 60, session: str = "") -> Running:
        """Start what was inspected."""
        return self.host.start(
            inspection,
            Mandate(
                identity=self.host.provision(self.requester),
                session=session or next(self.sessions),
                time_limit_seconds=limit,
                obligations=self.obligations or Obligations(),
            ),
        )

    def start(self, inspection: Inspection, *, limit: int = 60, session: str = "") -> Done:
        """Start, read both outputs to their ends, wait."""
        running = self.begin(inspection, limit=limit, session=session)
        texts = {running.stdout: "", running.stderr: ""}

        def read(fd: int) -> None:
            with os.fdopen(fd, "rb") as stream:
                texts[fd] = stream.read().decode()

        readers = [threading.Thread(target=read, args=(fd,)) for fd in texts]
        for reader in readers:
            reader.start()
        ended = running.wait()
        for reader in readers:
            reader.join()
        return Done(ended, texts[running.stdout], texts[running.stderr], inspection.task)

    def do(self, task: Task, payload: int | None = None, *, limit: int = 60) -> Done:
        """Inspect and run one task."""
        inspection = self.host.inspect(task, self.requester, payload)
        try:
            return self.start(inspection, limit=limit)
        finally:
            inspection.close()

    def sh(self, script: str, *, cwd: str = "/") -> Done:
        """Run a shell script as admin."""
        return self.do(Task.run(["/bin/sh", "-c", script], cwd=cwd))


class Emulated(Acting[EmulatedHost]):
    """An emulated machine and the user who asks."""

    def as_user(self, uid: int) -> "Emulated":
        """Give the same machine with another user's eyes."""
        return Emulated(self.host, requester_of(self.host, uid), self.sessions)

    @property
    def drive(self) -> Path:
        """Drive C: as it really is."""
        return Path(self.host.machine.drive.path)


def requester_of(host: EmulatedHost | LinuxHost, uid: int) -> Requester:
    """Give a requester as the broker makes one from kernel facts."""
    name, sid, groups = host.user_for(uid)
    process = ProcessIdentity(uid=uid, pid=os.getpid(), start_time=1, boot_id="boot")
    return Requester(user=name, sid=sid, groups=groups, machine=host.name, process=process)


@contextmanager
def emulated(folder: Path, launcher: Launcher, *, seed: int = 0) -> Iterator[Emulated]:
    """Make a machine in ``folder``."""
    host = EmulatedHost.create(folder, launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(seed))
    try:
        yield Emulated(host, requester_of(host, os.getuid()))
    finally:
        host.close()


def ordinary(requester: Requester) -> Requester:
    """Give the same requester as an ordinary user, whoever runs the tests."""
    return replace(requester, process=replace(requester.process, uid=65_534))


def readable_within(fd: int, seconds: float) -> bool:
    """Say whether a descriptor turns readable in time."""
    return bool(select.select([fd], [], [], seconds)[0])
