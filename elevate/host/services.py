"""The machine's service managers: who is asked to start or stop a service, and with which words.

A service is never run as a child of a task. systemd is asked over D-Bus through systemctl, runit through sv, supervisor through
supervisorctl, each by its own fixed path and a list of arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from elevate.errors import HostError, TaskInvalidError

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
        knows: Whether it has a service of this name.
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
        words = self.actions.get(action)
        if words is None:
            raise TaskInvalidError(f"{self.name} has no way to {action} a service")
        return (self.program, *(service if word == "{}" else word for word in words))


def _systemd_knows(service: str) -> bool:
    name = service if "." in service.rpartition("@")[2] else f"{service}.service"
    template = f"{name.partition('@')[0]}@.{name.rpartition('.')[2]}" if "@" in name else name
    return any(Path(folder, one).exists() for folder in _UNITS for one in (name, template))


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


def command(service: str, action: str) -> tuple[str, ...]:
    """Give the command that does ``action`` with ``service`` on this machine.

    Raises:
        HostError: No manager runs here.
        TaskInvalidError: None has such a service, or it can't do that.
    """
    running = managers()
    if not running:
        raise HostError("no service manager runs on this machine", hint="systemd, runit and supervisor are known")
    owner = next((manager for manager in running if manager.knows(service)), running[0])
    return owner.command(service, action)
