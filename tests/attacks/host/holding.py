"""Starts that hang in their execution, and what the task's user then does from outside.

The kernel itself holds up the execution: it asks the test whether the program may be opened, and hears nothing.
"""

import os
import select
import shutil
import struct
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from elevate.errors import ElevateError
from elevate.host import kernel
from elevate.host.launcher import Jail, Launched, Launcher, Order
from tests.unit.host.run import PATH

UID, GID = 4_100_000, 4_100_001
FAN_CLASS_CONTENT, FAN_OPEN_EXEC_PERM, FAN_ALLOW, FAN_DENY = 4, 0x40000, 1, 2
EVENT, ANSWER = struct.Struct("=IBBHQii"), struct.Struct("=iI")
LONG = 20.0


def program(script: str) -> Order:
    """Give the order of a shell script as the user of these tests."""
    return Order(argv=("/bin/sh", "-c", script), env=PATH, jail=Jail(uid=UID, gid=GID, home="/mnt"))


def status(pid: int) -> dict[str, list[str]]:
    """Give what the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}


def as_the_user(*argv: str) -> str:
    """Run something as the task's user, with no rights, outside of the task; give what it says."""
    done = subprocess.run(
        argv, user=UID, group=GID, extra_groups=[], capture_output=True, text=True, check=False, timeout=LONG, cwd="/"
    )
    return done.stdout + done.stderr


@dataclass
class Held:
    """A start that hangs in its execution."""

    group: int
    event: int
    process: int
    cgroup: Path
    told: Future[Launched]

    @property
    def launcher(self) -> int:
        """Number of the launcher."""
        return int(status(self.process)["PPid"][0])

    def allow(self) -> None:
        """Let the execution go on."""
        os.write(self.group, ANSWER.pack(self.event, FAN_ALLOW))

    def deny(self) -> None:
        """Let the execution fail."""
        os.write(self.group, ANSWER.pack(self.event, FAN_DENY))


@contextmanager
def held(folder: Path, script: str, *, forked: bool = False) -> Iterator[Held]:
    """Start a script whose interpreter can't be opened for now."""
    copy = folder / "program"
    shutil.copy("/bin/sh", copy)
    try:
        group = kernel.fanotify_init(FAN_CLASS_CONTENT)
        kernel.fanotify_mark(group, str(copy), 0, FAN_OPEN_EXEC_PERM)
    except OSError as exc:
        pytest.skip(f"this kernel asks nobody: {exc}")
    order = program(script)
    if forked and order.jail:
        order = replace(order, jail=replace(order.jail, small=True))
    with Launcher() as launcher, ThreadPoolExecutor(1) as pool, copy.open("rb") as opened:
        prepared = launcher.prepare(replace(order, exec_fd=opened.fileno()))
        told = pool.submit(prepared.go)
        try:
            assert select.select([group], [], [], LONG)[0]
            *_, event, process = EVENT.unpack(os.read(group, EVENT.size))
            yield Held(group, event, process, Path(prepared._waiting.cgroup), told)
        finally:
            os.close(group)  # the kernel lets go of whoever waits
            with suppress(ElevateError):
                told.result(LONG).close()
