"""What Debian's package database says of a program: which package brought it, in which version.

The index holds the files in the folders where commands are, is built once and again when the database changes. Of other files
of the system's nothing is known here; files outside of the system's folders belong to no package.
"""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from elevate.model import Fact, FactValue

_ROOT = Path("/var/lib/dpkg")
_COMMANDS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/games", "/lib", "/usr/libexec"})
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib", "/etc/", "/opt/", "/boot/")
_MERGED = re.compile(r"^/(bin|sbin|lib)/")


class PackageIndex:
    """Package and version by path.

    Args:
        root: The database's folder.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        self._root = root
        self._status = str(root / "status")
        self._lock = threading.Lock()
        self._built_from: tuple[int, int] | None = None
        self._owners: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def facts(self, path: str) -> dict[str, FactValue]:
        """Say which package a file belongs to: ``package`` and ``version``."""
        if not path.startswith(_SYSTEM) or path.startswith("/usr/local/"):
            return {"package": Fact.ABSENT, "version": Fact.ABSENT}
        with self._lock:
            known = self._refresh()
            package = self._owners.get(path) if known else None
            version = self._versions.get(package or "")
        if package and version:
            return {"package": package, "version": version}
        inside = known and path.rpartition("/")[0] in _COMMANDS
        found = Fact.ABSENT if inside else Fact.UNDETERMINED
        return {"package": found, "version": found}

    def version(self, package: str) -> str:
        """Give an installed package's version; empty where it is not installed."""
        with self._lock:
            return self._versions.get(package, "") if self._refresh() else ""

    def files(self, package: str) -> list[str]:
        """Give the paths that a package brought; empty where it is not installed."""
        for path in (self._root / "info").glob(f"{package}*.list"):
            if path.name.removesuffix(".list").partition(":")[0] == package:
                return path.read_text(errors="replace").splitlines()
        return []

    def _refresh(self) -> bool:
        """Read the database where it has changed; False where that can't be done, as while dpkg is at work on it."""
        try:
            found = os.stat(self._status)
            now = (found.st_mtime_ns, found.st_size)
            if now != self._built_from:
                self._versions = _versions(self._root / "status")
                self._owners = dict(_commands(self._root / "info"))
                self._built_from = now
        except OSError:
            return False
        return True


def _versions(status: Path) -> dict[str, str]:
    """Give the versions of what is installed; line by line, for the file has megabytes."""
    found: dict[str, str] = {}
    package, installed = "", False
    with status.open(errors="replace") as file:
        for line in file:
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "Package":
                package, installed = value, False
            elif name == "Status":
                installed = value.endswith(" installed")
            elif name == "Version" and installed:
                found[package] = value
    return found


def _commands(info: Path) -> Iterator[tuple[str, str]]:
    """Give each command's path and the package that brought it."""
    for path in info.glob("*.list"):
        package = path.name.removesuffix(".list").partition(":")[0]
        with path.open(errors="replace") as file:
            for line in file:
                if line.rstrip("\n").rpartition("/")[0] in _COMMANDS:
                    yield _MERGED.sub(r"/usr/\1/", line.rstrip("\n")), package
