"""The resource limits of a task on host linux: nearly the same for every task, whatever the broker was started with.

What is bounded is bounded for good; a limit that the broker's own surroundings put lower, and that can't be raised here, stays
as low as it is. Standard library only: the launcher program imports this.
"""

import contextlib
import os
import resource

from elevate.host.reading import read

LEAST_PROCESSES = 512
"""The kernel takes no bound of a namespace's below 301."""
_NONE = resource.RLIM_INFINITY
_COUNTED_APART = (6, 14)
_NUMBERS_OF_TREE = "/proc/sys/kernel/pid_max"
_PROCESSES, _FEW_PROCESSES = 16_384, 1_024
_NUMBERS = ("/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max")


def processes(numbers: tuple[str, str] = _NUMBERS) -> int:
    """Give how many processes one account may have: an eighth of what the machine can, within bounds.

    SECURITY: the service may have half of the machine's; one user's tasks take a quarter of that, and others can go on.
    """
    try:
        least = min(int(read(path)) for path in numbers)
    except (OSError, ValueError):
        return _PROCESSES
    return min(_PROCESSES, max(_FEW_PROCESSES, least // 8))


LIMITS: dict[int, tuple[int, int]] = {
    resource.RLIMIT_CORE: (0, 0),
    resource.RLIMIT_NOFILE: (1024, 524_288),
    resource.RLIMIT_NPROC: (processes(),) * 2,
    resource.RLIMIT_STACK: (8 * 2**20, _NONE),
    resource.RLIMIT_MSGQUEUE: (819_200, 819_200),
    resource.RLIMIT_NICE: (0, 0),
    resource.RLIMIT_RTPRIO: (0, 0),
    **dict.fromkeys(
        (resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS, resource.RLIMIT_RSS),
        (_NONE, _NONE),
    ),
}
"""Soft and hard. No dumps, which could hold secrets; descriptors as programs expect them; processes against a fork bomb."""

SMALL_BYTES = 256 * 2**20
SMALL: dict[int, tuple[int, int]] = {
    resource.RLIMIT_AS: (SMALL_BYTES,) * 2,
    resource.RLIMIT_FSIZE: (8 * 2**20,) * 2,
}
"""Of a program that reads what a stranger wrote, who may have written what takes up a machine when it is unpacked."""


def choose_processes(most: int) -> None:
    """Let one account, and one tree, have so many processes; 0 keeps what is the machine's."""
    if most:
        LIMITS[resource.RLIMIT_NPROC] = (most, most)


def trees_are_bounded(release: str = "") -> bool:
    """Say whether the kernel keeps a bound on process numbers for each PID namespace.

    Source: pid_namespaces(7); Linux 6.14.
    """
    parts = (release or os.uname().release).split(".")
    with contextlib.suppress(ValueError, IndexError):
        return (int(parts[0]), int(parts[1].partition("-")[0])) >= _COUNTED_APART
    return False


def bound_tree(path: str = _NUMBERS_OF_TREE) -> None:
    """Bound the processes and threads of this PID namespace, whose /proc is mounted: uid 0 has no other bound of its own.

    SECURITY: before Linux 6.14 the file is the machine's, and must not be written. It bounds what goes wrong: a task as uid 0
    that is not confined can write it, too, as all settings of the kernel.
    """
    if trees_are_bounded():
        _write(path)


def bound_cgroup(folder: str) -> None:
    """Do the same for a task's cgroup, where the kernel counts there and not in the namespace."""
    if not trees_are_bounded():
        with contextlib.suppress(FileNotFoundError):  # no such controller here
            _write(f"{folder}/pids.max")


def _write(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"%d" % LIMITS[resource.RLIMIT_NPROC][1])
    finally:
        os.close(fd)


def set_all(*, small: bool = False) -> None:
    """Set them for this process and all that it starts."""
    for kind, (soft, hard) in (LIMITS | (SMALL if small else {})).items():
        try:
            resource.setrlimit(kind, (soft, hard))
        except (ValueError, OSError):
            most = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (_least(soft, most), _least(hard, most)))


def descriptors() -> int:
    """Give the soft limit of descriptors."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def set_descriptors(soft: int = LIMITS[resource.RLIMIT_NOFILE][0]) -> None:
    """Give any task the usual soft limit, whatever the broker allowed itself; programs size tables by it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_least(soft, hard), hard))


def lose_protection(path: str = "/proc/self/oom_score_adj") -> None:
    """Let the kernel choose this process as any other when memory is short; a service's protection is the broker's alone."""
    if int(read(path)) < 0:
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        os.write(fd, b"0")
        os.close(fd)


def _least(one: int, other: int) -> int:
    """Give the lower of two limits; none is the highest."""
    return other if one == _NONE else one if other == _NONE else min(one, other)
