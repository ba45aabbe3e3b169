"""The machine's service managers: who is asked to start or stop a service, and with which words.

A service is never run as a child of a task. systemd is asked over D-Bus through systemctl, runit through sv, supervisor through
supervisorctl, each by its own fixed path and a list of arguments.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from elevate.errors import HostError, TaskInvalidError
from elevate.host.folders import Folder
from elevate.model import InspectedTask
from elevate.params import MAX_PAYLOAD_BYTES

_WRITTEN = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where people and packages put units."""
_MADE = tuple(f"/run/systemd/{name}" for name in ("generator.early", "generator", "generator.late", "transient"))
"""Where systemd and its generators do, as for a System V script."""
_TRIGGERS = {"socket": "service", "timer": "service", "path": "service", "automount": "mount"}
"""Kinds of units that start another one, and of which kind that is where the unit names none."""
_KINDS = frozenset({"service", *_TRIGGERS, "mount", "target", "swap", "slice", "scope", "device"})

SYSTEM_BUS = Path("/run/dbus/system_bus_socket")
ENV: Mapping[str, str] = MappingProxyType({"SYSTEMCTL_FORCE_BUS": "1"})
"""As root systemctl speaks to systemd's private socket, but only where it sees systemd's process; a task sees its own only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """One service manager.

    Attributes:
        program: Its own command.
        actions: Action to arguments; ``{}`` stands for the service.
        knows: Whether it has a service of this name; raises TaskInvalidError for what is but another name of one.
    """

    name: str
    program: str
    actions: Mapping[str, tuple[str, ...]]
    knows: Callable[[str], bool]

    def command(self, service: str, action: str) -> tuple[str, ...]:
        """Give the command for one action.

        Raises:
            TaskInvalidError: It has no such service, or can't do that.
        """
        if not self.knows(service):
            raise TaskInvalidError("the machine has no such service")
        return self.words(service, action)

    def words(self, service: str, action: str) -> tuple[str, ...]:
        """Give the same for a service that need not be there yet.

        Raises:
            TaskInvalidError: It can't do that.
        """
        words = self.actions.get(action)
        if words is None:
            raise TaskInvalidError(f"{self.name} has no way to {action} a service")
        return (self.program, *(service if word == "{}" else word for word in words))


def _unit(service: str) -> str:
    """Give the name by which systemd knows a service: whole, with its kind."""
    return service if service.rpartition(".")[2] in _KINDS else f"{service}.service"


def _unit_files(service: str, folders: Sequence[str]) -> tuple[str, ...]:
    """Give the paths at which systemd looks for a service: first by its own name, then by that of its template."""
    name = _unit(service)
    template = f"{name.partition('@')[0]}@.{name.rpartition('.')[2]}"
    return tuple(f"{folder}/{one}" for one in ((name, template) if "@" in name else (name,)) for folder in folders)


def _systemd_knows(service: str) -> bool:
    file = next((path for path in map(Path, _unit_files(service, (*_WRITTEN, *_MADE))) if path.exists()), None)
    if file is None:
        return False
    own = file.resolve().name
    # SECURITY: a rule names a service by its own name; a deny for that must not be passed by with another one.
    if own != file.name and own.rpartition(".")[2] == file.suffix[1:]:
        raise TaskInvalidError(f"{service} is another name of {own}", hint=f"ask for {own}")
    return True


SYSTEMD = Manager(
    name="systemd",
    program="/usr/bin/systemctl",
    actions={
        action: ("--no-ask-password", "--no-pager", action, "--", "{}")
        for action in ("start", "stop", "restart", "reload", "enable", "disable")
    },
    knows=_systemd_knows,
)
RUNIT = Manager(
    name="runit",
    program="/usr/bin/sv",
    actions={
        "start": ("start", "{}"),
        "stop": ("stop", "{}"),
        "restart": ("restart", "{}"),
        "reload": ("reload", "{}"),
    },
    knows=lambda service: Path("/etc/service", service).exists() or Path("/etc/sv", service).exists(),
)
SUPERVISOR = Manager(
    name="supervisor",
    program="/usr/bin/supervisorctl",
    actions={
        "start": ("start", "{}"),
        "stop": ("stop", "{}"),
        "restart": ("restart", "{}"),
        "reload": ("signal", "HUP", "{}"),
    },
    knows=lambda service: any(
        f"[program:{service}]" in path.read_text(errors="replace") for path in Path("/etc/supervisor/conf.d").glob("*.conf")
    ),
)


def managers() -> tuple[Manager, ...]:
    """Give the managers that run on this machine, in the order in which they are asked."""
    found = []
    if Path("/run/systemd/system").is_dir() and Path(SYSTEMD.program).exists() and SYSTEM_BUS.exists():
        found.append(SYSTEMD)
    if Path("/etc/service").is_dir() and Path(RUNIT.program).exists():
        found.append(RUNIT)
    if Path("/etc/supervisor/conf.d").is_dir() and Path(SUPERVISOR.program).exists():
        found.append(SUPERVISOR)
    return tuple(found)


def what_it_starts(command: Sequence[str]) -> tuple[str, ...]:
    """Give the command that tells which units a unit starts when it is triggered; empty where it is none that starts others."""
    if not command or command[0] != SYSTEMD.program or command[-1].rpartition(".")[2] not in _TRIGGERS:
        return ()
    return (SYSTEMD.program, "--no-pager", "show", "--value", "--property=Triggers", "--", command[-1])


def check_what_it_starts(unit: str, said: str) -> None:
    """Make sure that a unit starts what it is named after, and nothing else.

    SECURITY: a deny or a require for a service is for the units of its name, too; others must not lead to it.

    Raises:
        TaskInvalidError: It does not.
    """
    stem, _, kind = unit.rpartition(".")
    others = [name for name in said.split() if name != f"{stem}.{_TRIGGERS[kind]}"]
    if others:
        raise TaskInvalidError(
            f"{unit} starts {others[0]}, which has another name", hint="a rule for systemctl itself can do it"
        )


def command(service: str, action: str, before: Sequence[InspectedTask] = ()) -> "tuple[tuple[str, ...], Brought | None]":
    """Give the command that does ``action`` with ``service`` on this machine, and which step brings the service.

    Raises:
        HostError: No manager runs here.
        TaskInvalidError: None has such a service, or it can't do that.
    """
    running = managers()
    if not running:
        raise HostError("no service manager runs on this machine", hint="systemd, runit and supervisor are known")
    owner = next((manager for manager in running if manager.knows(service)), None)
    if owner is not None:
        return owner.words(service, action), None
    brought = _brought(service, before) if SYSTEMD in running else None
    if brought is None:
        raise TaskInvalidError("the machine has no such service")
    return SYSTEMD.words(service, action), brought


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A service that is not there yet: an earlier step writes the file that systemd knows it by.

    Attributes:
        step: Its number, from 1.
        sha256: Of what it writes there, in hexadecimal.
    """

    step: int
    path: str
    sha256: str

    def check(self) -> None:
        """Make sure that the file is there and as that step was to write it: what starts is what was agreed to.

        Raises:
            HostError: It is not.
        """
        folder, _, name = self.path.rpartition("/")
        try:
            with Folder.open(Path(folder)) as opened:
                found = hashlib.sha256(opened.read(name, max_bytes=MAX_PAYLOAD_BYTES)).hexdigest()
        except OSError:
            found = ""
        if found != self.sha256:
            raise HostError(f"the service is not as step {self.step} was to bring it", hint=f"see {self.path}")


def _brought(service: str, before: Sequence[InspectedTask]) -> Brought | None:
    name = _unit(service)
    files = _unit_files(name, _WRITTEN) if name.endswith(".service") else ()
    found = [
        Brought(step=number, path=step.file.path, sha256=step.payload.sha256)
        for number, step in enumerate(before, 1)
        if step.task.kind == "file.write" and step.file and step.payload and step.file.path in files
    ]
    if len({one.path for one in found}) > 1:
        # SECURITY: which of them systemd takes is its own affair; what starts must be what was agreed to.
        raise TaskInvalidError(f"more than one step brings {name}, in different places", hint="write its unit in one place")
    return found[-1] if found else None
