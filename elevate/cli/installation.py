"""Whether the machine's broker is installed as this version installs it, and whether only root can change it. It only looks."""

import grp
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elevate.broker.home import Home
from elevate.cli import bundle, service
from elevate.errors import ElevateError
from elevate.store.reader import LedgerReader

SOCKET = Path("run/elevate/broker.sock")
_AGAIN = "install it again: elevate install-service"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: ``ok``, ``note`` or ``wrong``."""

    name: str
    state: str
    found: str


def examine(root: Path = Path("/")) -> list[Finding]:
    """Look at everything below ``root``; nothing where nothing is installed there."""
    expected = service.files(root)
    if not any(os.path.lexists(path) for path in expected):
        return []
    return [
        *(_file(path, content, mode) for path, (content, mode) in expected.items()),
        *(_folder(root / line.split()[1].lstrip("/"), int(line.split()[2], 8)) for line in service.TMPFILES.splitlines()),
        Finding("what the daemon loads", *_loaded()),
        Finding("socket", *_socket(root / SOCKET)),
        Finding("group elevate", *_group()),
        *_log_key(Home(root / service.STATE)),
    ]


def _file(path: Path, content: bytes, mode: int) -> Finding:
    name = f"installed {path.name}"
    if not os.path.lexists(path):
        return Finding(name, "wrong", f"{path} is missing; {_AGAIN}")
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) != mode:
        return Finding(name, "wrong", f"{path} is no file of mode {mode:03o}; {_AGAIN}")
    if open_to_others := service.changeable(path):
        return Finding(name, "wrong", f"{open_to_others} can be changed by others than root")
    found_content = path.read_bytes()
    if found_content != content and not (path.name == bundle.place().name and bundle.is_fresh(found_content)):
        return Finding(
            name, "wrong", f"{path} is not what this elevate writes: it was changed, or another one wrote it; {_AGAIN}"
        )
    return Finding(name, "ok", str(path))


def _folder(path: Path, mode: int) -> Finding:
    name = f"folder {path}"
    if not path.is_dir() or path.is_symlink():
        return Finding(name, "note", "is missing; systemd-tmpfiles --create elevate.conf makes it")
    found = path.stat()
    said = f"uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):03o}"
    if (found.st_uid, stat.S_IMODE(found.st_mode)) != (0, mode):
        return Finding(name, "wrong", f"{said} instead of uid 0, mode {mode:03o}")
    return Finding(name, "ok", said)


def _loaded() -> tuple[str, str]:
    """Look at the interpreter, the packages, all that is in them and all that is above them."""
    for place in service.loaded():
        if found := service.changeable(place) or next(_open_below(place), None):
            return "wrong", f"{found} can be changed by others than root"
    return "ok", ", ".join(map(str, service.packages()))


def _open_below(place: Path) -> Iterator[Path]:
    """Give what is in a folder, at any depth, and others can change."""
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - thousands of them
            if found.st_uid != 0 or (found.st_mode & service.OTHERS_WRITE and not stat.S_ISLNK(found.st_mode)):
                yield Path(folder, name)


def _socket(path: Path) -> tuple[str, str]:
    if not os.path.lexists(path):
        return "note", "is missing: the broker does not run"
    found = path.lstat()
    right = stat.S_ISSOCK(found.st_mode) and found.st_uid == 0
    return ("ok" if right else "wrong"), f"{path}, uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):03o}"


def _group() -> tuple[str, str]:
    try:
        return "ok", f"gid {grp.getgrnam('elevate').gr_gid}, for rules that name it"
    except KeyError:
        return "note", "is missing; systemd-sysusers elevate.conf makes it, where rules name it"


def _log_key(home: Home) -> list[Finding]:
    """Give the log's first key: whether it is the one that was kept elsewhere only a person can say."""
    if os.geteuid() != 0 or not home.ledger.exists():
        return []
    try:
        with LedgerReader(home.ledger) as reader:
            key = reader.meta("first_key")
    except ElevateError as error:
        return [Finding("log key", "wrong", error.message)]
    return [Finding("log key", "ok", f"first key {key}; compare it with the copy that is kept away from this machine")]
