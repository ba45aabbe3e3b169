"""settings.toml of a broker: Windows' own names and values for Administrator protection, and the few things of ours.

What changes the mode counts from the next start on, as on Windows; `Settings` are read once.
"""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from elevate.errors import PolicyError

MAX_BYTES = 65_536
LEGACY = 1
ADMINISTRATOR_PROTECTION = 2
HOSTS = ("emulated", "linux")

_ALLOWED: dict[str, tuple[int, ...]] = {
    "TypeOfAdminApprovalMode": (LEGACY, ADMINISTRATOR_PROTECTION),
    "ConsentPromptBehaviorEnhancedAdmin": (1, 2),
    "EnableLUA": (0, 1),
    "ValidateAdminCodeSignatures": (0, 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the owner of the broker set.

    Attributes:
        windows: Administrator protection's settings by their registry names.
        allow_simulated_gestures: A scripted sensor may satisfy rules here.
        remote: Requests from remote sessions are allowed.
        host: ``emulated``, or ``linux``: this machine itself, for a broker that is root.
    """

    windows: dict[str, int] = field(
        default_factory=lambda: {
            "TypeOfAdminApprovalMode": ADMINISTRATOR_PROTECTION,
            "ConsentPromptBehaviorEnhancedAdmin": 1,
            "EnableLUA": 1,
            "ValidateAdminCodeSignatures": 0,
        }
    )
    allow_simulated_gestures: bool = False
    remote: bool = False
    host: str = "emulated"

    @property
    def protected(self) -> bool:
        """Administrator protection is on and not inert."""
        return self.windows["TypeOfAdminApprovalMode"] == ADMINISTRATOR_PROTECTION and self.windows["EnableLUA"] == 1

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read settings.toml; a file that is not there gives the defaults.

        Raises:
            PolicyError: Not TOML, an unknown key or a value that is not allowed.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return cls()
        if len(data) > MAX_BYTES:
            raise PolicyError(f"{path.name}: over {MAX_BYTES} bytes")
        try:
            return cls._of(tomllib.loads(data.decode()))
        except (ValueError, TypeError) as exc:
            raise PolicyError(f"{path.name}: {exc}", hint="correct the file and start the broker again") from exc

    @classmethod
    def _of(cls, members: dict[str, object]) -> Self:
        unknown = members.keys() - {"windows", "allow_simulated_gestures", "remote", "host"}
        if unknown:
            raise ValueError(f"unknown key {min(unknown)!r}")
        return cls(
            windows=cls().windows | _windows(members.get("windows", {})),
            allow_simulated_gestures=_flag(members, "allow_simulated_gestures"),
            remote=_flag(members, "remote"),
            host=_host(members.get("host", HOSTS[0])),
        )


def _windows(table: object) -> dict[str, int]:
    if not isinstance(table, dict):
        raise TypeError("windows is a table: [windows]")
    for name, value in table.items():
        if name not in _ALLOWED:
            raise ValueError(f"unknown setting {name!r}; known are {', '.join(_ALLOWED)}")
        if type(value) is not int or value not in _ALLOWED[name]:
            raise ValueError(f"{name} can be {' or '.join(map(str, _ALLOWED[name]))}")
    return table


def _host(value: object) -> str:
    if value not in HOSTS:
        raise ValueError(f"host can be {' or '.join(HOSTS)}")
    return str(value)


def _flag(members: dict[str, object], name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise TypeError(f"{name} is true or false")
    return value
