"""How host linux looks at a task: one function for each kind, all in one `LinuxInspection`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Protocol

from elevate.errors import CommandNotFoundError, HostError, TaskInvalidError
from elevate.host import limits, services
from elevate.host.budget import Budget
from elevate.host.dpkg import PackageIndex
from elevate.host.environment import SYSTEM_PATH, check_additions
from elevate.host.folders import Folder
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
from elevate.host.launcher import Jail, Launcher, Order
from elevate.host.opening import find_command, may_change, may_reach, open_directory, take_file, take_program
from elevate.host.paths import open_folder
from elevate.host.targets import Target, find_target
from elevate.host.windows.detect import named_like_installer
from elevate.model import BROUGHT, FactValue, InspectedTask, Requester
from elevate.tasks import Task

NOBODY = 65_534
PACKAGE_FD = 60
_SECONDS = 10
_DPKG_DEB, _DPKG = "/usr/bin/dpkg-deb", "/usr/bin/dpkg"
_MAX_SAID = 65_536
_ENV: Mapping[str, str] = MappingProxyType({"PATH": ":".join(SYSTEM_PATH), "LANG": "C.UTF-8"})
_FIELD = re.compile(r"(Package|Version): ([A-Za-z0-9][A-Za-z0-9.+:~_-]{0,127})")


@dataclass(slots=True, kw_only=True)
class LinuxInspection(HostInspection):
    """A `elevate.ports.Inspection` of this machine.

    Attributes:
        command: What the machine itself will execute for the task; empty for a program of the task's.
        run_as: As whom it runs, where that is not the admin account.
        brought: The service that an earlier step brings.
    """

    command: tuple[str, ...] = ()
    run_as: Target | None = None
    brought: services.Brought | None = None

    def check(self) -> None:
        """Make sure that the program is what was hashed, and that the service is there as an earlier step was to bring it."""
        HostInspection.check(self)
        if self.brought is not None:
            self.brought.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """With what the host looks: the package database, how it reads a package, what both may cost, and the steps before."""

    launcher: Launcher
    packages: PackageIndex
    nowhere: str
    budget: Budget = field(default_factory=Budget)
    readers: Budget = field(default_factory=Budget)
    before: tuple[InspectedTask, ...] = ()


class _Look(Protocol):
    def __call__(self, found: LinuxInspection, task: Task, requester: Requester, eyes: Eyes, /) -> None: ...


def inspect(eyes: Eyes, task: Task, requester: Requester, payload: int | None) -> LinuxInspection:
    """Open, resolve and hash what a task names.

    Raises:
        TaskError: It can't be run.
    """
    cwd, cwd_path = open_directory(str(dict(task.params).get("cwd", "/")))
    if not may_reach(cwd_path, requester):
        os.close(cwd)
        # SECURITY: the very answer to a folder that is not there (attacks.md row 18).
        raise TaskInvalidError("the working directory can't be entered")
    bare = task if task.payload is None else replace(task, payload=None)
    empty = InspectedTask(task=bare, argv=(), cwd=cwd_path)
    found = LinuxInspection(task=empty, user=requester.user, cwd=cwd)
    try:
        take_payload(found, task, payload, partial(eyes.budget.take, requester.process.uid))
        (_run if task.own else _KINDS[task.kind])(found, task, requester, eyes)
    except BaseException:
        found.close()
        raise
    return found


def _run(found: LinuxInspection, task: Task, requester: Requester, eyes: Eyes, /) -> None:
    words = task.command
    found.additions = check_additions(additions_of(task))
    found.run_as = find_target(task, requester.user)
    fd, found_as = find_command(words[0], SYSTEM_PATH, found.cwd)
    if "/" in words[0]:
        _must_reach(fd, requester)
    program = found.program = take_program(fd, found_as, requester, eyes.budget)
    check_own(task, program)
    facts: dict[str, FactValue] = {
        **file_facts(program),
        "path": program.name,
        "installer": named_like_installer(program.name),
        **eyes.packages.facts(program.fact.path),
        **(found.run_as.facts() if found.run_as else {}),
    }
    found.task = replace(found.task, argv=(program.name, *words[1:]), file=program.fact, facts=in_order(facts))


def _install(found: LinuxInspection, task: Task, requester: Requester, eyes: Eyes, /) -> None:
    check_scope(task)
    try:
        fd = os.open(str(task["path"]), os.O_PATH | os.O_CLOEXEC, dir_fd=found.cwd)
    except OSError as exc:
        raise CommandNotFoundError("the file was not found", hint="give the path of a file that is there") from exc
    _must_reach(fd, requester)
    package = found.program = take_file(fd, requester, eyes.budget)
    give_back = eyes.readers.take(requester.process.uid, limits.SMALL_BYTES)
    try:
        fields = _describe(eyes, package.fd)
    finally:
        give_back()
    facts: dict[str, FactValue] = {**file_facts(package), "package": fields["Package"], "version": fields["Version"]}
    found.task = replace(found.task, file=package.fact, facts=in_order(facts))
    found.command = (_DPKG, "--install", f"/proc/self/fd/{PACKAGE_FD}")


def _remove(found: LinuxInspection, task: Task, _requester: Requester, eyes: Eyes, /) -> None:
    name = str(task["package"])
    version = eyes.packages.version(name)
    if not version:
        raise TaskInvalidError("the machine has no such package", hint="the name is dpkg's")
    facts: dict[str, FactValue] = {"package": name, "version": version}
    found.task = replace(found.task, facts=in_order(facts))
    found.command = (_DPKG, "--remove", name)


def _no_registry(found: LinuxInspection, task: Task, _requester: Requester, _eyes: Eyes, /) -> None:
    del found, task
    raise TaskInvalidError("this machine has no registry", hint="write the setting's file: file.write")


def _service(found: LinuxInspection, task: Task, _requester: Requester, eyes: Eyes, /) -> None:
    name, action = str(task["service"]), str(task["action"])
    found.command, found.brought = services.command(name, action, eyes.before)
    if asking := services.what_it_starts(found.command):
        status, said = _heard(
            eyes, Order(argv=asking, env={**_ENV, **services.ENV}, jail=_nobody(eyes), time_limit_seconds=_SECONDS)
        )
        if status != 0:
            raise HostError("systemd does not say which service this unit starts")
        services.check_what_it_starts(name, said)
    facts: dict[str, FactValue] = {"action": action, "service": name}
    if found.brought is not None:
        facts[BROUGHT] = f"step {found.brought.step}"
    found.task = replace(found.task, facts=in_order(facts))


def _write(found: LinuxInspection, task: Task, requester: Requester, _eyes: Eyes, /) -> None:
    if found.payload is None:
        raise TaskInvalidError("there is no content to write", hint="pipe it in, or: elevate edit FILE")
    above, _, name = os.path.join(found.task.cwd, str(task["path"])).rpartition("/")
    if name in {"", ".", ".."}:
        raise TaskInvalidError("the path is not one of a file")
    try:
        # A folder that is swapped while its links are resolved is an error of the look-up, too.
        real = os.path.realpath(above or "/")
        path = f"{real.rstrip('/')}/{name}"
        if not may_reach(path, requester):
            raise FileNotFoundError(path)
        # SECURITY: no link is followed any more, so a folder that is swapped meanwhile stops it.
        found.target = Folder(open_folder(real), real)
        fact, there = target_fact(found.target, name, path)
    except OSError as exc:
        raise TaskInvalidError("the file can't be written there: no such folder, or a link", detail=str(exc)) from exc
    facts: dict[str, FactValue] = {"path": path, "writable": may_change(real, requester), **there}
    found.task = replace(found.task, file=fact, facts=in_order(facts))


def _must_reach(path_fd: int, requester: Requester) -> None:
    """Close a file that lies where the requester can't go, and say what is said where nothing is.

    Raises:
        CommandNotFoundError: It does.
    """
    if not may_reach(os.readlink(f"/proc/self/fd/{path_fd}"), requester):
        os.close(path_fd)
        raise CommandNotFoundError("the command was not found")


_KINDS: Mapping[str, _Look] = {
    "process.run": _run,
    "package.install": _install,
    "package.remove": _remove,
    "setting.change": _no_registry,
    "service.control": _service,
    "file.write": _write,
}


def _describe(eyes: Eyes, package: int) -> dict[str, str]:
    """Let a child with no right and no network read a package's fields: a hostile file can't reach the broker."""
    if not os.path.exists(_DPKG_DEB):
        raise HostError("this machine has no dpkg to read packages with")
    order = Order(
        argv=(_DPKG_DEB, "--field", f"/proc/self/fd/{PACKAGE_FD}", "Package", "Version"),
        env=_ENV,
        fds={PACKAGE_FD: package},
        time_limit_seconds=_SECONDS,
        jail=replace(_nobody(eyes), small=True),
    )
    status, text = _heard(eyes, order)
    fields = {match[1]: match[2] for line in text.split("\n") if (match := _FIELD.fullmatch(line))}
    if status != 0 or fields.keys() != {"Package", "Version"}:
        raise TaskInvalidError("the file is not a package", hint="this machine installs Debian packages (.deb)")
    return fields


def _nobody(eyes: Eyes) -> Jail:
    """Give the surroundings of a program that may read what everybody may, and nothing else."""
    return Jail(uid=NOBODY, gid=NOBODY, home=eyes.nowhere, network=False)


def _heard(eyes: Eyes, order: Order) -> tuple[int | None, str]:
    """Run a program of the machine's; give its exit status and what it says."""
    read, write = os.pipe()
    try:
        launched = eyes.launcher.launch(replace(order, fds={1: write, **order.fds}))
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    with os.fdopen(read, "rb") as stream:
        text = stream.read(_MAX_SAID).decode("utf-8", "replace")
    return launched.wait().exit_status, text
