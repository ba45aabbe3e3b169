r"""What the machine itself does for an approved task: install a package, control a service, write a file.

A program of its own, started by the launcher as ``python -I -S chores.py VERB …`` with nothing but these descriptors: 3
the package or the content, 4 drive C: (for ``write`` the folder of the target), 5 the registry. It says on standard output
what it does. Exit status 0, or 1 with one line on standard error; then nothing was changed.

Standard library only.
"""

import json
import os
import resource
import shutil
import sys
from typing import IO

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host.folders import Folder
from elevate.host.packages import Entry, Package, PackageError, describe, entries
from elevate.host.registry import MACHINE, SERVICES, UNINSTALL, Registry, Values

SOURCE, DRIVE, REGISTRY = 3, 4, 5
_MEMORY_BYTES = 2 << 30
_CPU_SECONDS = 120
_DISABLED, _MANUAL, _AUTOMATIC = 4, 3, 2


class ChoreError(Exception):
    """It can't be done; one line says why."""


def _source() -> IO[bytes]:
    """Open the source again, with an offset of its own: whoever holds the descriptor can't move it."""
    return os.fdopen(os.open(f"/proc/self/fd/{SOURCE}", os.O_RDONLY | os.O_CLOEXEC), "rb")


def say_package() -> None:
    """Print a package's name and version as JSON."""
    with _source() as file:
        package = describe(file)
    print(json.dumps({"name": package.name, "version": package.version, "kind": package.kind}))


def install() -> None:
    """Unpack a package beside its place, then swap it in; the older one goes last."""
    drive = Folder(DRIVE, "C:")
    with _source() as file, drive.enter("Program Files") as programs:
        package = describe(file)
        before = _installed(package)
        print(_headline(package, before), flush=True)
        new = f".new-{os.urandom(6).hex()}"
        try:
            with programs.make(new, 0o755) as folder:
                size = sum(_put(folder, entry) for entry in entries(file, package))
            _swap(programs, new, package, size)
        finally:
            if programs.exists(new):
                shutil.rmtree(new, dir_fd=programs.fd)
    print(f"installed {package.name} {package.version} in C:\\Program Files\\{package.name}")


def _headline(package: Package, before: str) -> str:
    what = f"{package.name} {package.version}"
    if not before:
        return f"installing {what}"
    return (
        f"installing {what} again"
        if before == package.version
        else f"changing {package.name} from {before} to {package.version}"
    )


def _installed(package: Package) -> str:
    values = Registry(Folder(REGISTRY, "registry")).read(MACHINE, rf"{UNINSTALL}\{package.name}")
    return str(values["DisplayVersion"]) if values else ""


def _put(folder: Folder, entry: Entry) -> int:
    here = Folder(os.dup(folder.fd), folder.path)
    for step in entry.steps[:-1]:
        with here:
            here = here.enter(step) if here.exists(step) else here.make(step, 0o755)
    with here:
        fd = here.open_file(entry.steps[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755 if entry.executable else 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(entry.data)
    return len(entry.data)


def _swap(programs: Folder, new: str, package: Package, size: int) -> None:
    old = f".old-{os.urandom(6).hex()}"
    replaced = programs.exists(package.name)
    if replaced:
        os.rename(package.name, old, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
    try:
        os.rename(new, package.name, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        _register(package, size)
    except BaseException:
        if programs.exists(package.name):
            os.rename(package.name, new, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        if replaced:
            os.rename(old, package.name, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        raise
    if replaced:
        shutil.rmtree(old, dir_fd=programs.fd)


def remove(name: str) -> None:
    """Take a package's folder away, and its entry."""
    drive, registry = Folder(DRIVE, "C:"), Registry(Folder(REGISTRY, "registry"))
    with drive.enter("Program Files") as programs:
        old = f".old-{os.urandom(6).hex()}"
        os.rename(name, old, src_dir_fd=programs.fd, dst_dir_fd=programs.fd)
        registry.remove(MACHINE, rf"{UNINSTALL}\{name}")
        shutil.rmtree(old, dir_fd=programs.fd)
    print(f"removed {name}")


def setting(key: str, name: str, value: str, kind: str) -> None:
    """Set one value below HKLM."""
    data = int(value) if kind == "number" else value
    Registry(Folder(REGISTRY, "registry")).write(MACHINE, key, {name: data})
    print(f"set HKLM\\{key}\\{name}")


def _register(package: Package, size: int) -> None:
    values: Values = {
        "DisplayName": package.name,
        "DisplayVersion": package.version,
        "Comments": package.summary,
        "InstallLocation": rf"C:\Program Files\{package.name}",
        "EstimatedSize": -(-size // 1024),
        "InstalledBy": os.environ["USERNAME"],
    }
    Registry(Folder(REGISTRY, "registry")).write(MACHINE, rf"{UNINSTALL}\{package.name}", values)


def service(name: str, action: str) -> None:
    """Change a service's state in the registry; no process stands behind an emulated service."""
    registry = Registry(Folder(REGISTRY, "registry"))
    key = rf"{SERVICES}\{name}"
    values = registry.read(MACHINE, key)
    if values is None:
        raise ChoreError("the service is not there any more")
    changes = _after(action, values)
    registry.write(MACHINE, key, changes)
    before = ", ".join(f"{field} {values.get(field)}" for field in changes)
    after = ", ".join(f"{field} {value}" for field, value in changes.items())
    print(f"{name}: {before} -> {after} (emulated: kept in the registry, no process behind it)")


def _after(action: str, values: Values) -> Values:
    match action:
        case "start" | "restart" if values.get("Start") == _DISABLED:
            raise ChoreError("the service is disabled")
        case "reload" if values.get("State") != "running":
            raise ChoreError("the service is not running")
        case "start" | "restart" | "reload":
            return {"State": "running"}
        case "stop":
            return {"State": "stopped"}
        case "enable":
            return {"Start": _AUTOMATIC}
        case "disable":
            return {"Start": _DISABLED}
        case _:
            raise ChoreError("unknown action")


def write(name: str, mode: str) -> None:
    """Write a file: whole or not at all."""
    with _source() as source:
        data = source.read()
    folder = Folder(DRIVE, "target")
    folder.replace(name, data, mode=int(mode, 8), owner=_owner(folder, name))
    print(f"wrote {len(data)} bytes to {name}")


def _owner(folder: Folder, name: str) -> tuple[int, int] | None:
    """Give whose the file is that is there: it stays theirs, as its readers expect. None where none is, or nobody may say so.

    Raises:
        OSError: It is a link, or no plain file.
    """
    if not folder.exists(name):
        return None
    fd = folder.open_file(name)
    try:
        found = os.fstat(fd)
    finally:
        os.close(fd)
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 else None


_CHORES = {
    "describe": say_package,
    "install": install,
    "remove": remove,
    "setting": setting,
    "service": service,
    "write": write,
}


def main(argv: list[str]) -> int:
    """Do one chore."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    try:
        _CHORES[argv[0]](*argv[1:])  # type: ignore[operator] # the broker gives each verb its arguments
    except (PackageError, ChoreError, OSError, MemoryError) as exc:
        print(f"elevate: error: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
