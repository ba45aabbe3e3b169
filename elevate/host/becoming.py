"""From an order to the task: the forked process takes what it is given, and executes. Standard library only."""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import errno
import fcntl
import mmap
import os
import time

from elevate.host import confine, jail, kernel, limits, sharing, sockets, wire
from elevate.host.identity import Identity
from elevate.host.sockets import Socket

OWN = 3
"""So many of an order's descriptors are the launcher's own: the order, where to answer, and where to wait for the byte."""

Fields = dict[str, list[bytes]]


def receive(channel: Socket) -> tuple[Fields, list[int]] | None:
    """Take the order and its descriptors; None where the broker is gone."""
    try:
        data, fds, whole = sockets.receive(channel, len(wire.MAGIC) + 1, wire.MAX_DESCRIPTORS)
    except ConnectionResetError:  # gone, with something of ours unread
        return None
    if not data:
        return None
    if data != wire.MAGIC or not fds or not whole:
        raise ValueError("not an order")
    size = min(os.fstat(fds[0]).st_size, wire.MAX_ORDER_BYTES)  # a buffer for the largest would cost more than all the rest
    return wire.unpack(os.pread(fds[0], size, 0)), fds


def become(orders: Socket, begun: mmap.mmap) -> None:
    """Wait as the task's process; then become the task, or say why not. Without an order, or without the byte, just end."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    reset_signals()
    os.umask(0o022)
    kernel.new_session_keyring()
    received = receive(orders)
    if received is None:
        return
    order, fds = received
    if not order["terminal"]:
        os.setsid()
    signals = fds[1:OWN]
    try:
        program = prepare(order, fds, signals)
    except (OSError, ValueError) as exc:
        fail(signals[0], exc)
        return
    environment = dict(entry.split(b"=", 1) for entry in order["env"])
    # SECURITY: where fs.suid_dumpable is 1, its new user could else trace it while it waits. The execution resets this.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    # INVARIANT: nothing of the task before the byte that the broker sends when the redemption is durable.
    if os.read(signals[1], len(wire.GO)) == wire.GO:
        wire.BEGUN.pack_into(begun, 0, time.monotonic(), time.clock_gettime_ns(wire.COARSE))
        os.write(signals[0], wire.EXECUTES)
        try:
            os.execve(program, order["argv"], environment)  # noqa: S606 - no shell
        except OSError as exc:
            os.write(signals[0], number_of(exc))


def prepare(order: Fields, fds: list[int], signals: list[int]) -> int | bytes:
    """Take the given descriptors, directory, user and capabilities, and no further privileges; give what is to be executed.

    ``signals`` holds the descriptors for the answer and for the byte, which move with the others.
    """
    targets = [int(number) for number in order["targets"]]
    others = [*signals, *fds[OWN + len(targets) :]]
    placed = place(targets, fds[OWN : OWN + len(targets)], others)
    signals[:], rest = placed[:2], iter(placed[2:])
    directory = next(rest) if order["cwd_fd"] else None
    program = next(rest) if order["exec_fd"] else None
    limits.set_descriptors()
    confined = bool(order["jail"]) and confine.wanted(order)
    if confined:
        program = confine.own_views(program, targets)
    if order["jail"]:
        # As root: a folder that only the caller can enter is one that whoever acts for the caller may stand in.
        jail.enter(order, directory)
        Identity(order).become()
    elif directory is not None:
        os.fchdir(directory)
    else:
        os.chdir(order["cwd"][0])
    if order["no_new_privs"]:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if confined:
        confine.close(next(rest, None))
    return order["argv"][0] if program is None else readable(program)


def fail(answer: int, error: OSError | ValueError) -> None:
    """Say that nothing is executed, and why."""
    with contextlib.suppress(OSError):
        os.write(answer, wire.FAILED + number_of(error))


def number_of(error: OSError | ValueError) -> bytes:
    """Give an error as one byte that is never 0; a file system of somebody's own can answer with numbers that are no errno."""
    number = error.errno if isinstance(error, OSError) else None
    return bytes([min(number or errno.EINVAL, 0xFF)])


def place(targets: list[int], sources: list[int], others: list[int]) -> list[int]:
    """Put each source at its target, the others above them all and closed on exec, nothing else; give the others' places."""
    floor = max([2, *targets]) + 1
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor + len(sources) + len(others) + 1) for fd in [*others, *sources]]
    keep = list(range(floor, floor + len(others)))
    for fd, number in zip(high, keep + targets, strict=True):
        os.dup2(fd, number, inheritable=number not in keep)
    for number in {0, 1, 2} - set(targets):
        os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), number, inheritable=True)
    for number in set(range(floor)) - set(targets) - {0, 1, 2}:
        with contextlib.suppress(OSError):
            os.close(number)
    os.closerange(floor + len(others), 1 << 30)
    return keep


def readable(program: int) -> int:
    """Leave a script's descriptor open for its interpreter, which reads it as /dev/fd/N; a binary's closes on exec."""
    if is_script(program):
        os.set_inheritable(program, True)  # noqa: FBT003 - positional only
    return program


def is_script(program: int) -> bool:
    """Say whether a program is one that an interpreter reads."""
    with contextlib.suppress(OSError):
        return os.pread(program, 2, 0) == b"#!"
    return False


def reset_signals() -> None:
    """Give the task the dispositions and the mask of a fresh process."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, *sharing.IGNORED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
