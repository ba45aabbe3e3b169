"""What host linux executes for each kind of task, with which descriptors, and what a written file is afterwards."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from elevate.errors import HostError
from elevate.host import services
from elevate.host.folders import Folder
from elevate.host.inspection import target_fact
from elevate.host.launcher import Jail, Order
from elevate.host.looking import PACKAGE_FD, LinuxInspection
from elevate.model import InspectedTask, Written, mode_of

CHORES = Path(__file__).with_name("chores.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is executed for one kind of task, and with which descriptors."""

    argv: tuple[str, ...]
    fds: Mapping[int, int] = field(default_factory=dict)
    exec_fd: int | None = None
    cwd: str = "/"
    cwd_fd: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def order_of(plan: Plan, env: Mapping[str, str], jail: Jail, limit: int, out: int, err: int) -> Order:
    """Give the order, with these standard output and error."""
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


def plan_for(inspection: LinuxInspection, stdin: list[int]) -> Plan:
    """Say what is executed for a task; ``stdin`` holds its declared input, or nothing.

    Raises:
        HostError: There is nothing.
    """
    task = inspection.task
    match "process.run" if task.task.own else task.task.kind:
        case "process.run" if inspection.program is not None:
            fds = dict(enumerate(stdin))
            return Plan(argv=task.argv, fds=fds, exec_fd=inspection.program.fd, cwd=task.cwd, cwd_fd=inspection.cwd)
        case "package.install" if inspection.program is not None:
            env = {"DEBIAN_FRONTEND": "noninteractive"}
            return Plan(argv=inspection.command, fds={PACKAGE_FD: inspection.program.fd}, env=env)
        case "package.remove":
            return Plan(argv=inspection.command, env={"DEBIAN_FRONTEND": "noninteractive"})
        case "service.control":
            return Plan(argv=inspection.command, env=services.ENV)
        case "file.write" if inspection.target is not None and task.file is not None:
            name = task.file.path.rpartition("/")[2]
            argv = (os.path.realpath(sys.executable), "-I", "-S", str(CHORES), "write", name, mode_of(task))
            return Plan(argv=argv, fds={3: stdin[0], 4: inspection.target.fd})
        case _:
            raise HostError("there is nothing to execute")


def written_file(target: Folder, task: InspectedTask) -> tuple[Written, ...]:
    """Give the file of a `file.write` where it is another one now."""
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
