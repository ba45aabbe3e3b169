"""From an order to the task: the forked process takes what it is given, and executes. Standard library only."""

import contextlib
import errno
import fcntl
import os
import signal
import socket

from elevate.host import confine, jail, kernel, limits, sharing, wire

_CLOEXEC = 0x40000000

Fields = dict[str, list[bytes]]


def receive(channel: socket.socket) -> tuple[Fields, list[int]] | None:
    """Take the order and its descriptors; None where the broker is gone."""
    try:
        data, fds, flags, _ = socket.recv_fds(channel, len(wire.MAGIC) + 1, wire.MAX_DESCRIPTORS, flags=_CLOEXEC)
    except ConnectionResetError:  # gone, with something of ours unread
        return None
    if not data:
        return None
    if data != wire.MAGIC or not fds or flags & socket.MSG_CTRUNC:
        raise ValueError("not an order")
    return wire.unpack(os.pread(fds[0], wire.MAX_ORDER_BYTES + 1, 0)), fds


def become(orders: socket.socket, write: int) -> None:
    """Wait as the task's process; then become the task, or say why not. Without an order just end."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    reset_signals()
    os.umask(0o022)
    kernel.new_session_keyring()
    received = receive(orders)
    if received is None:
        return
    if not received[0]["terminal"]:
        os.setsid()
    answer, code = [write, False], errno.EINVAL
    try:
        execute(*received, answer)
    except OSError as exc:
        code = exc.errno or code
    finally:
        os.write(answer[0], bytes([code & 0xFF, answer[1]]))


def execute(order: Fields, fds: list[int], answer: list[int]) -> None:
    """Take the given descriptors, directory, user and capabilities, and no further privileges; then execute by descriptor.

    ``answer`` holds the descriptor for the errno, which moves with the others, and whether only the execution was left.
    """
    targets = [int(number) for number in order["targets"]]
    answer[0], *others = place(targets, fds[1 : 1 + len(targets)], [answer[0], *fds[1 + len(targets) :]])
    rest = iter(others)
    directory = next(rest) if order["cwd_fd"] else None
    program = next(rest) if order["exec_fd"] else None
    limits.set_descriptors()
    confined = bool(order["jail"]) and confine.wanted(order)
    if confined:
        program = confine.own_views(program, targets)
    if order["jail"]:
        jail.become(order)
        jail.enter(order, directory)
    elif directory is not None:
        os.fchdir(directory)
    else:
        os.chdir(order["cwd"][0])
    if order["no_new_privs"]:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if confined:
        confine.close(next(rest, None))
    environment = dict(entry.split(b"=", 1) for entry in order["env"])
    answer[1] = True
    os.execve(order["argv"][0] if program is None else readable(program), order["argv"], environment)  # noqa: S606 - no shell


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
    # SECURITY: there is no way back to a path here (attacks.md row 10).
    with contextlib.suppress(OSError):
        if os.pread(program, 2, 0) == b"#!":
            os.set_inheritable(program, True)  # noqa: FBT003 - positional only
    return program


def reset_signals() -> None:
    """Give the task the dispositions and the mask of a fresh process."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, *sharing.IGNORED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
