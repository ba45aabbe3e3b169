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

_UNITS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


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


def _unit_files(service: str) -> tuple[str, ...]:
    """Give the paths at which systemd looks for a service."""
    name = service if "." in service.rpartition("@")[2] else f"{service}.service"
    template = f"{name.partition('@')[0]}@.{name.rpartition('.')[2]}" if "@" in name else name
    return tuple(f"{folder}/{one}" for folder in _UNITS for one in (name, template))


def _systemd_knows(service: str) -> bool:
    file = next((path for path in map(Path, _unit_files(service)) if path.exists()), None)
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
    files = _unit_files(service)
    for number, step in reversed(list(enumerate(before, 1))):
        if step.task.kind == "file.write" and step.file and step.payload and step.file.path in files:
            return Brought(step=number, path=step.file.path, sha256=step.payload.sha256)
    return None
