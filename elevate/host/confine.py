"""A task that may not write everywhere: the rule has a list of what is read-only, or one of what alone is writable.

Mounts keep it, and with them go the ways round a mount: no device but the harmless ones, /proc and /sys read-only, nothing that
the machine mounts later, no local socket and no file by handle (`elevate.host.seccomp`). Where the kernel has landlock, that
holds it once more. A task with a capability against which these can't keep it is refused before; the policy names them.

Standard library only: the launcher program imports this.
"""

import errno
import fcntl
import os
import stat

from elevate.host import kernel, landlock, mounts, seccomp
from elevate.host.paths import open_place

NODES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
_KERNELS = ("/proc", "/sys")
_QUIET = kernel.MS_NOSUID | kernel.MS_NOEXEC
_TERMINALS = "newinstance,ptmxmode=0666,mode=0620,gid=5"

Fields = dict[str, list[bytes]]


def wanted(order: Fields) -> bool:
    """Say whether a task's order has a list of either kind."""
    return bool(order["read_only"] or order["limited"])


def furnish(order: Fields, terminal: int | None) -> None:
    """Make the mounts of a confined task, before its scratch folders come over them; see `elevate.host.jail.furnish`."""
    read_only = [os.fsdecode(path) for path in order["read_only"]]
    writable = [os.fsdecode(path) for path in order["writable"]]
    all_read_only = "/" in read_only or (bool(order["limited"]) and "/" not in writable)
    # SECURITY: what the machine mounts from now on would come with flags of its own.
    kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    devices = [_node(name, f"/dev/{name}") for name in NODES]
    devices += [] if terminal is None else [_node("console", os.readlink(f"/proc/self/fd/{terminal}"))]
    places = [open_place(path) for path in writable if path != "/" and "/" not in read_only]
    trees = [mounts.clone(place) for place in places]
    _change_all(mounts.NO_DEVICES | (mounts.READ_ONLY if all_read_only else 0))
    for place, tree in zip(places, trees, strict=True):
        mounts.attach(tree, place)
        mounts.change(tree, mounts.NO_DEVICES)
    _own_devices(devices)
    _pin(read_only)
    for path in (*_KERNELS, *read_only):
        if path != "/":
            mounts.cover_read_only(path)
    for fd in (*places, *trees):
        os.close(fd)


def rules(order: Fields, scratch: list[str]) -> int:
    """Give the descriptor of a confined task's landlock rules, made when all mounts are there; -1 where the kernel has none."""
    if not order["limited"]:
        return landlock.ruleset(None)
    return landlock.ruleset([*map(os.fsdecode, order["writable"]), *scratch, "/dev"])


def close(rules: int | None) -> None:
    """Put this process under the filter, and under its rules where there are some; for good, with all that it starts."""
    if rules is not None:
        landlock.restrict(rules)
        os.close(rules)
    seccomp.install()


def own_views(program: int | None, targets: list[int]) -> int | None:
    """Take every plain file that the task is given anew, by the task's own mounts; give the program's new descriptor."""
    for number in targets:
        new = own_view(number)
        if new != number:
            os.dup2(new, number, inheritable=True)
            os.close(new)
    return program if program is None else own_view(program)


def own_view(fd: int) -> int:
    """Give the same file by a descriptor of the task's own mounts: the broker's are not read-only.

    Raises:
        OSError: It has no name, or another file has it by now.
    """
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or _sealed(fd):
        return fd
    path = os.readlink(f"/proc/self/fd/{fd}")
    new = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not os.path.samestat(os.fstat(new), found):
        os.close(new)
        raise OSError(errno.ESTALE, "the file is another one in the task's own view", path)
    return new


def _sealed(fd: int) -> bool:
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    except OSError:
        return False


def landlock_offered() -> str:
    """Say which version of landlock this kernel has; empty where it has none that is of use."""
    found = landlock.version()
    return f"version {found}: holds read_only and writable beside the mounts" if found >= landlock.LEAST else ""


def filter_offered() -> str:
    """Say whether a filter is known for this machine; empty where none is: then no task is confined."""
    return "read_only and writable can be kept" if seccomp.known() else ""


def _pin(paths: list[str]) -> None:
    """Mount every folder above these over itself, as it is.

    SECURITY: what is a mount can't be renamed; else a task moves the folder above away, and another one has the name.
    """
    above: set[str] = set()
    for path in paths:
        place = open_place(path)
        above |= set(_folders_above(os.readlink(f"/proc/self/fd/{place}")))
        os.close(place)
    for folder in sorted(above):
        place = open_place(folder)
        tree = mounts.clone(place)
        mounts.attach(tree, place)
        os.close(tree)
        os.close(place)


def _folders_above(path: str) -> list[str]:
    steps = path.split("/")[1:-1]
    return ["/" + "/".join(steps[: number + 1]) for number in range(len(steps))]


def _change_all(flags: int) -> None:
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        mounts.change(root, flags)
    finally:
        os.close(root)


def _node(name: str, path: str) -> tuple[str, int]:
    place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return name, mounts.clone(place)
    finally:
        os.close(place)


def _own_devices(devices: list[tuple[str, int]]) -> None:
    """Put a new /dev over the machine's: nodes that were kept, links, and what terminals the task itself makes."""
    kernel.mount("elevate", "/dev", "tmpfs", _QUIET | kernel.MS_NODEV, "mode=755,size=64k")
    for folder in ("pts", "shm"):
        os.mkdir(f"/dev/{folder}", 0o755)
    for name, target in _LINKS.items():
        os.symlink(target, f"/dev/{name}")
    for name, tree in devices:
        os.close(os.open(f"/dev/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        place = os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC)
        mounts.attach(tree, place)
        mounts.change(tree, mounts.NO_SUID, mounts.NO_DEVICES)
        os.close(place)
        os.close(tree)
    kernel.mount("devpts", "/dev/pts", "devpts", _QUIET, _TERMINALS)
