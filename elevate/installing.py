"""Install a package: for the whole machine, which takes an elevation, or for this user alone, which never does.

::

    receipt = elevate.install("contoso-notes-1.2.0.whl", scope="user")     # nobody is asked; nothing is elevated
    elevate.uninstall("contoso-notes")

For the user alone a package is unpacked below ``~/.local/share/elevate/programs``, by this very process with the user's own
rights. The receipt says what was written, and lies beside it; removing goes by the receipt. It is refused in an elevated
process: there "this user" is the hidden account, and what lands in its profile nobody finds again.
"""

import contextlib
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from elevate.canonical import Json
from elevate.errors import CommandNotFoundError, RefusedError, TaskInvalidError
from elevate.host.folders import Folder
from elevate.host.packages import Entry, Package, PackageError, describe, entries
from elevate.library import connect, invoking_user
from elevate.receipt import Receipt
from elevate.tasks import Task
from elevate.wire import home

Scope = Literal["user", "machine"]
PLACE = ".local/share/elevate/programs"
RECEIPT = ".receipt.json"
_RAISED = ("ELEVATE_USER", "SUDO_UID", "PKEXEC_UID", "DOAS_USER")
"""What the ways up leave in the environment of what they start."""


def install(path: str | os.PathLike[str], *, scope: Scope = "machine", reason: str = "") -> Receipt:
    """Install a package and give the receipt.

    Args:
        path: Of the package.
        scope: ``machine`` asks the machine's broker for one elevation; ``user`` asks nobody.
        reason: Why; for the machine.

    Raises:
        RefusedError: For the user: this process is elevated. For the machine: as `elevate.Connection.elevate`.
        TaskError: It is no package that can be installed so.
    """
    if scope == "user":
        return _install_own(Path(path))
    with connect() as broker, broker.elevate(Task.install(os.path.abspath(path)), reason=reason) as grant:  # noqa: PTH100 - links stay
        return Receipt.read(grant.run().receipt)


def uninstall(name: str) -> Receipt:
    """Remove what `install` put there for this user alone, and nothing that was put there since.

    Raises:
        RefusedError: This process is elevated.
        TaskInvalidError: There is no such package of this user's.
    """
    _check_plain()
    with _programs() as programs:
        try:
            with programs.enter(name) as folder:
                kept = json.loads(folder.read(RECEIPT))
                left = [path for path in kept["files"] if not _take(folder, tuple(path.split("/")), kept["files"][path])]
                os.unlink(RECEIPT, dir_fd=folder.fd)
                _prune(folder)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise TaskInvalidError("this user has no such package", hint="the name is the one that the receipt says") from exc
        if not left:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=programs.fd)
        gone = [(f"{name}/{path}", "removed", "", 0) for path in kept["files"] if path not in left]
        return _receipt(programs, f"remove {name}", name, gone)


def _install_own(path: Path) -> Receipt:
    _check_plain()
    try:
        with path.open("rb") as file, _programs() as programs:
            package = describe(file)
            written = list(_unpack(programs, package, entries(file, package)))
            return _receipt(programs, f"install {path.name}", package.name, written)
    except FileNotFoundError as exc:
        raise CommandNotFoundError("the file was not found", hint="give the path of a file that is there") from exc
    except PackageError as exc:
        hint = "for one user alone wheels and .tar.gz packages are installed; others need scope='machine'"
        raise TaskInvalidError(f"the package can't be installed: {exc}", hint=hint) from exc
    except OSError as exc:
        raise TaskInvalidError(f"the package can't be installed: {exc.strerror or exc}") from exc


def _check_plain() -> None:
    """Refuse where "this user" would be another than the person."""
    if invoking_user() or os.getuid() != os.geteuid() or any(name in os.environ for name in _RAISED):
        raise RefusedError("an installation for the user alone is never elevated", hint="run it as the user, without elevation")


@contextlib.contextmanager
def _programs() -> Iterator[Folder]:
    place = Path(home(os.getuid()), PLACE)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Folder.open(place) as folder:
        yield folder


def _unpack(programs: Folder, package: Package, files: Iterator[Entry]) -> Iterator[tuple[str, str, str, int]]:
    """Unpack beside the place, and swap it in; an older one goes last."""
    new, old = f".new-{os.urandom(6).hex()}", f".old-{os.urandom(6).hex()}"
    digests: dict[str, str] = {}
    try:
        with programs.make(new, 0o755) as folder:
            for entry in files:
                _put(folder, entry)
                digests["/".join(entry.steps)] = digest = hashlib.sha256(entry.data).hexdigest()
                yield f"{package.name}/{'/'.join(entry.steps)}", "created", digest, len(entry.data)
            said = {"name": package.name, "version": package.version, "files": digests}
            folder.replace(RECEIPT, json.dumps(said).encode())
        replaced = programs.exists(package.name)
        if replaced:
            os.rename(package.name, old, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        os.rename(new, package.name, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        if replaced:
            _discard(programs, old)
    finally:
        if programs.exists(new):
            _discard(programs, new)


def _discard(programs: Folder, name: str) -> None:
    """Remove a folder and what is in it, or the link that stands there in its place."""
    try:
        os.unlink(name, dir_fd=programs.fd)
    except IsADirectoryError:
        programs.remove(name)


def _put(folder: Folder, entry: Entry) -> None:
    if entry.steps == (RECEIPT,):
        raise PackageError("a file of the package has the name of the receipt")
    here = Folder(os.dup(folder.fd), folder.path)
    for step in entry.steps[:-1]:
        with here:
            here = here.enter(step) if here.exists(step) else here.make(step, 0o755)
    with here:
        fd = here.open_file(entry.steps[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if entry.executable else 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(entry.data)


def _take(folder: Folder, steps: tuple[str, ...], digest: str) -> bool:
    """Remove one file, where it is as it was installed; say whether it is gone."""
    try:
        with folder.walk_to(steps[:-1]) as inner:
            if hashlib.sha256(inner.read(steps[-1], max_bytes=2**30)).hexdigest() != digest:
                return False
            os.unlink(steps[-1], dir_fd=inner.fd)
    except FileNotFoundError:
        return True
    return True


def _prune(folder: Folder) -> None:
    """Remove the folders that are empty now, the deepest first."""
    for _, names, _, fd in os.fwalk(".", topdown=False, dir_fd=folder.fd):
        for name in names:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=fd)


def _receipt(programs: Folder, task: str, name: str, written: list[tuple[str, str, str, int]]) -> Receipt:
    user = pwd.getpwuid(os.getuid()).pw_name  # `home` has looked: the user database knows the uid
    listed: list[Json] = [
        {"path": f"{programs.path}/{path}", "change": change, "sha256": digest, "size": size}
        for path, change, digest, size in written
    ]
    undo: list[Json] = [
        {"step": 1, "do": "remove", "path": f"{programs.path}/{path}", "sha256": digest}
        for path, change, digest, _ in reversed(written)
        if change == "created"
    ]
    return Receipt.read(
        {
            "request": "",
            "session": "",
            "host": f"user:{name}",
            "task": task,
            "user": user,
            "identity": {"name": user, "sid": f"uid {os.getuid()}"},
            "exit_status": 0,
            "signal": None,
            "timed_out": False,
            "duration_ms": 0,
            "written": listed,
            "written_count": len(listed),
            "undo": undo,
            "undo_count": len(undo),
        }
    )
