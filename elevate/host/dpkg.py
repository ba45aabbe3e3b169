"""What Debian's package database says of a program: which package brought it, in which version.

The index holds the files in the folders where commands are, is built once and again when the database changes. Of other files
of the system's nothing is known here; files outside of the system's folders belong to no package.
"""

import re
import threading
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
            package = self._owners.get(path)
            version = self._versions.get(package or "")
        if package and version:
            return {"package": package, "version": version}
        inside = known and path.rpartition("/")[0] in _COMMANDS
        found = Fact.ABSENT if inside else Fact.UNDETERMINED
        return {"package": found, "version": found}

    def version(self, package: str) -> str:
        """Give an installed package's version; empty where it is not installed."""
        with self._lock:
            self._refresh()
            return self._versions.get(package, "")

    def files(self, package: str) -> list[str]:
        """Give the paths that a package brought; empty where it is not installed."""
        for path in (self._root / "info").glob(f"{package}*.list"):
            if path.name.removesuffix(".list").partition(":")[0] == package:
                return path.read_text(errors="replace").splitlines()
        return []

    def _refresh(self) -> bool:
        try:
            found = (self._root / "status").stat()
        except OSError:
            return False
        now = (found.st_mtime_ns, found.st_size)
        if now != self._built_from:
            self._versions = _versions((self._root / "status").read_text(errors="replace"))
            self._owners = {
                _MERGED.sub(r"/usr/\1/", line): path.name.removesuffix(".list").partition(":")[0]
                for path in (self._root / "info").glob("*.list")
                for line in path.read_text(errors="replace").splitlines()
                if line.rpartition("/")[0] in _COMMANDS
            }
            self._built_from = now
        return True


def _versions(status: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for block in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line.startswith(("Package: ", "Version: ", "Status: "))
        )
        if fields.get("Status", "").endswith(" installed") and "Version" in fields:
            found[fields.get("Package", "")] = fields["Version"]
    return found
