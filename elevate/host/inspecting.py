"""How the emulated machine looks at a task: one function for each kind, all in one `EmulatedInspection`."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from elevate import canonical
from elevate.errors import CommandNotFoundError, HostError, RefusedError, TaskInvalidError
from elevate.host.environment import SYSTEM_PATH, check_additions
from elevate.host.inspection import (
    HostInspection,
    additions_of,
    check_own,
    check_scope,
    file_facts,
    in_order,
    take_payload,
    target_fact,
)
from elevate.host.launcher import Launcher, Order
from elevate.host.machine import SMAA_PREFIX, Machine
from elevate.host.opening import Opened, find_command, open_directory, take_file, take_program
from elevate.host.registry import MACHINE, SERVICES, UNINSTALL
from elevate.host.windows import facts as windows
from elevate.host.windows.detect import named_like_installer
from elevate.host.windows.tokens import STANDARD, Integrity, may_write
from elevate.model import BROUGHT, Fact, FactValue, InspectedTask, Requester, mode_of
from elevate.tasks import Task

CHORES = Path(__file__).with_name("chores.py")
DESCRIBE_SECONDS = 10
_MAX_DESCRIPTION_BYTES = 4096
ROOTS = "roots.pem"
"""The publishers' roots that the machine trusts; beside the drive, where no task writes."""


@dataclass(slots=True, kw_only=True)
class EmulatedInspection(HostInspection):
    """A `elevate.ports.Inspection` of one machine.

    Attributes:
        chore: Verb and arguments of what the machine does itself; empty for a program.
        brought: The service that an earlier step makes; empty where it is there, or the task is none.
    """

    machine: Machine
    chore: tuple[str, ...] = ()
    brought: str = ""

    def check(self) -> None:
        """Make sure that the program is what was hashed, and that the service is there that an earlier step makes."""
        HostInspection.check(self)
        if self.brought and self.machine.registry.read(MACHINE, rf"{SERVICES}\{self.brought}") is None:
            raise HostError("the service that an earlier step brings is not there", hint="see what that step wrote")

    def chore_fds(self) -> dict[int, int]:
        """Give the descriptors that the chore program wants."""
        source = self.program.fd if self.program else self.payload
        folder = self.target or self.machine.drive
        fds = {4: folder.fd, 5: self.machine.registry_folder.fd}
        return fds if source is None else {3: source, **fds}


@dataclass(frozen=True, slots=True)
class Looking:
    """With what the machine looks at a task: who starts a reader, the time in Unix seconds, and the steps before it."""

    launcher: Launcher
    now: int
    before: tuple[InspectedTask, ...] = ()


def inspect(machine: Machine, looking: Looking, task: Task, requester: Requester, payload: int | None) -> EmulatedInspection:
    """Open, resolve and hash what a task names.

    Raises:
        TaskError: It can't be run.
    """
    bare = replace(task, payload=None)
    cwd, cwd_path = open_directory(machine.to_real(str(dict(task.params).get("cwd", "/"))))
    empty = InspectedTask(task=bare, argv=(), cwd=cwd_path)
    found = EmulatedInspection(machine=machine, task=empty, user=requester.user, cwd=cwd)
    try:
        take_payload(found, task, payload)
        (_run if task.own else _KINDS[task.kind])(found, task, requester, looking)
    except BaseException:
        found.close()
        raise
    return found


def _run(found: EmulatedInspection, task: Task, requester: Requester, looking: Looking) -> None:
    if {"run_as", "run_as_group"} & dict(task.params).keys():
        raise RefusedError("this machine runs tasks as the admin account only", hint="leave the user out")
    words = task.command
    found.additions = check_additions(additions_of(task))
    system = f"{found.machine.drive.path}/Windows/System32"
    fd, found_as = find_command(found.machine.to_real(words[0]), (system, *SYSTEM_PATH), found.cwd)
    program = found.program = take_program(fd, found_as, requester)
    _protect(found.machine, program)
    check_own(task, program)
    facts: dict[str, FactValue] = {
        **file_facts(program),
        "path": found.machine.rule_path(program.name),
        "installer": named_like_installer(program.name),
        **_owner(found.machine, program.fact.path),
        **_windows(found.machine, looking, program),
    }
    found.task = replace(found.task, argv=(program.name, *words[1:]), file=program.fact, facts=in_order(facts))


def _install(found: EmulatedInspection, task: Task, requester: Requester, looking: Looking) -> None:
    check_scope(task)
    program = found.program = take_file(_open(found, str(task["path"])), requester)
    _protect(found.machine, program)
    name, version = _describe(looking.launcher, program.fd)
    facts: dict[str, FactValue] = {**file_facts(program), "package": name, "version": version}
    found.task = replace(found.task, file=program.fact, facts=in_order(facts))
    found.chore = ("install",)


def _remove(found: EmulatedInspection, task: Task, *_: object) -> None:
    name = str(task["package"])
    values = found.machine.registry.read(MACHINE, rf"{UNINSTALL}\{name}")
    if values is None or "InstallLocation" not in values:
        raise TaskInvalidError("the machine has no such package", hint="the name is the one it was installed by")
    facts: dict[str, FactValue] = {"package": str(values["DisplayName"]), "version": str(values["DisplayVersion"])}
    found.task = replace(found.task, facts=in_order(facts))
    found.chore = ("remove", str(values["DisplayName"]))


def _setting(found: EmulatedInspection, task: Task, *_: object) -> None:
    key, name, value = str(task["key"]), str(task["name"]), str(task["value"])
    if task["type"] == "number" and not re.fullmatch(r"[0-9]{1,19}", value):
        raise TaskInvalidError("the setting's value is not a number")
    # SECURITY: the registry takes any case for the same; rules see one.
    setting = "HKLM" + rf"{key}\{name}".lower().removeprefix("hklm")
    previous = _setting_now(found.machine, key.removeprefix("HKLM\\"), name)
    found.task = replace(found.task, facts=(("previous", previous), ("setting", setting), ("value", value)))
    found.chore = ("setting", key.removeprefix("HKLM\\"), name, value, str(task["type"]))


def _setting_now(machine: Machine, key: str, name: str) -> FactValue:
    values = machine.registry.read(MACHINE, key) or {}
    return next((value for known, value in values.items() if known.lower() == name.lower()), Fact.ABSENT)


def _service(found: EmulatedInspection, task: Task, _requester: Requester, looking: Looking) -> None:
    name, action = str(task["service"]), str(task["action"])
    # SECURITY: Windows takes any case; rules go by the machine's own, else a deny is passed by with capitals.
    known = found.machine.registry.spelled(MACHINE, rf"{SERVICES}\{name}").rpartition("\\")[2]
    facts: dict[str, FactValue] = {"action": action, "service": known or name}
    if not known:
        facts[BROUGHT] = f"step {_brings(name, looking.before)}"
        found.brought = name
    found.task = replace(found.task, facts=in_order(facts))
    found.chore = ("service", name, action)


def _brings(service: str, before: tuple[InspectedTask, ...]) -> int:
    """Give the number of the step that makes a service's key.

    Raises:
        TaskInvalidError: None does.
    """
    key = rf"HKLM\{SERVICES}\{service}".lower()
    for number, step in enumerate(before, 1):
        if step.task.kind == "setting.change" and str(step.task["key"]).lower() == key:
            return number
    raise TaskInvalidError("the machine has no such service", hint="the name is the short one, as Spooler")


def _write(found: EmulatedInspection, task: Task, *_: object) -> None:
    if found.payload is None:
        raise TaskInvalidError("there is no content to write", hint="pipe it in, or: elevate edit FILE")
    path = os.path.join(found.task.cwd, found.machine.to_real(str(task["path"])))
    steps = found.machine.below_drive(path)
    if not steps or {"", ".", ".."} & set(steps):
        raise TaskInvalidError("the emulated machine writes files on drive C: only", hint=r"give a path as C:\ProgramData\name")
    try:
        found.target = found.machine.drive.walk_to(steps[:-1])
        fact, there = target_fact(found.target, steps[-1], path)
    except OSError as exc:
        raise TaskInvalidError("the file can't be written there: no such folder, or a link", detail=str(exc)) from exc
    writable = _standard_user_writes(found.machine, steps)
    facts: dict[str, FactValue] = {"path": found.machine.rule_path(path), "writable": writable, **there}
    found.task = replace(found.task, file=fact, facts=in_order(facts))
    found.chore = ("write", steps[-1], mode_of(found.task))


_KINDS: Mapping[str, Callable[[EmulatedInspection, Task, Requester, Looking], None]] = {
    "process.run": _run,
    "package.install": _install,
    "package.remove": _remove,
    "setting.change": _setting,
    "service.control": _service,
    "file.write": _write,
}


def _open(found: EmulatedInspection, path: str) -> int:
    try:
        return os.open(found.machine.to_real(path), os.O_PATH | os.O_CLOEXEC, dir_fd=found.cwd)
    except OSError as exc:
        raise CommandNotFoundError("the file was not found", hint="give the path of a file that is there") from exc


def _owner(machine: Machine, path: str) -> dict[str, FactValue]:
    """Say which package of the machine's a file belongs to."""
    steps = machine.below_drive(path) or ()
    if len(steps) > 2 and steps[0] == "Program Files":  # noqa: PLR2004 - folder, package, file
        values = machine.registry.read(MACHINE, rf"{UNINSTALL}\{steps[1]}")
        if values is not None:
            return {"package": str(values["DisplayName"]), "version": str(values["DisplayVersion"])}
    return {"package": Fact.ABSENT, "version": Fact.ABSENT}


def _windows(machine: Machine, looking: Looking, file: Opened) -> dict[str, FactValue]:
    """Say what a Windows program tells of itself; nothing of any other file."""
    roots = machine.folder.read(ROOTS) if machine.folder.exists(ROOTS) else b""
    return windows.of_file(looking.launcher, file.fd, file.name, roots=roots, now=looking.now)


def _protect(machine: Machine, file: Opened) -> None:
    """On the machine's drive its own access lists count, not the real ones; a copy was made all the same."""
    steps = machine.below_drive(file.fact.path)
    if steps is not None:
        file.writable = _standard_user_writes(machine, steps)


def _standard_user_writes(machine: Machine, steps: tuple[str, ...]) -> bool:
    admins = steps[0] == "Users" and steps[1:2] and steps[1].startswith(SMAA_PREFIX)
    label = machine.label(steps) or Integrity.MEDIUM
    return steps[0] not in {"Windows", "Program Files"} and not admins and may_write(STANDARD.integrity, label)


def _describe(launcher: Launcher, package: int) -> tuple[str, str]:
    """Let a child read the package's metadata: a hostile archive can't reach the broker."""
    python = os.path.realpath(sys.executable)
    read, write = os.pipe()
    try:
        order = Order(
            argv=(python, "-I", "-S", str(CHORES), "describe"),
            env={},
            fds={1: write, 3: package},
            time_limit_seconds=DESCRIBE_SECONDS,
        )
        launched = launcher.launch(order)
    finally:
        os.close(write)
        text = b""
    with os.fdopen(read, "rb") as stream:
        text = stream.read(_MAX_DESCRIPTION_BYTES)
    if launched.wait().exit_status != 0:
        raise TaskInvalidError("the file is not a package", hint="the emulated machine installs wheels and .tar.gz packages")
    return _parse(text)


def _parse(text: bytes) -> tuple[str, str]:
    try:
        found = canonical.decode(text, max_bytes=_MAX_DESCRIPTION_BYTES)
    except ValueError as exc:
        raise HostError("the package's description can't be read") from exc
    match found:
        case {"name": str(name), "version": str(version)}:
            return name, version
        case _:
            raise HostError("the package's description can't be read")
