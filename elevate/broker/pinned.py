"""The helpers that root pins: programs of others that carry a task out themselves.

A rule names the helper (``then = { helper = "contoso-updater" }``), and the settings say which program that is. What decides is
what the kernel says of the process: its uid and its program, and never a name that it gives itself. The token's audience is the
helper, so that the host runs nothing with it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from elevate.host.processes import ProcessFacts

PREFIX = "helper:"
MAX_HELPERS = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEMBERS = frozenset({"uid", "executable", "sha256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Helper:
    """One pinned program.

    Attributes:
        executable: Real path of its program.
        sha256: Of that program, in hexadecimal; empty leaves the content open.
    """

    name: str
    uid: int
    executable: str
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse what pins nothing."""
        if not _NAME.fullmatch(self.name):
            raise ValueError("a helper's name is lower-case letters, digits, dots and hyphens")
        if not 0 <= self.uid < 2**32 - 1:
            raise ValueError(f"helpers.{self.name}: uid is the number of a user")
        if not self.executable.startswith("/"):
            raise ValueError(f"helpers.{self.name}: executable is the real path of its program")
        if self.sha256 and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"helpers.{self.name}: sha256 is 64 lower-case hexadecimal characters")

    @property
    def audience(self) -> str:
        """What the token says: whom it is for."""
        return PREFIX + self.name

    def is_process(self, facts: ProcessFacts) -> bool:
        """Say whether a process, by what the kernel says of it, is this helper."""
        pinned = (facts.process.uid, facts.executable) == (self.uid, self.executable)
        return pinned and self.sha256 in {"", facts.executable_sha256}


def read_helpers(tables: object) -> tuple[Helper, ...]:
    """Read the tables ``[helpers.NAME]`` of the settings.

    Raises:
        TypeError: Not tables.
        ValueError: A member is unknown, missing or not allowed.
    """
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        raise TypeError("helpers are tables: [helpers.NAME]")
    if len(tables) > MAX_HELPERS:
        raise ValueError(f"there are more than {MAX_HELPERS} helpers")
    return tuple(_read(name, table) for name, table in sorted(tables.items()))


def _read(name: str, table: Mapping[str, object]) -> Helper:
    if unknown := table.keys() - _MEMBERS:
        raise ValueError(f"helpers.{name}: unknown key {min(unknown)!r}")
    if missing := {"uid", "executable"} - table.keys():
        raise ValueError(f"helpers.{name}: {min(missing)} is missing")
    match {"sha256": ""} | dict(table):
        case {"uid": int(uid), "executable": str(executable), "sha256": str(sha256)} if type(uid) is int:
            return Helper(name=name, uid=uid, executable=executable, sha256=sha256)
        case _:
            raise TypeError(f"helpers.{name}: uid is a number, executable and sha256 are texts")
