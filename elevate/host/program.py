"""The launcher program: starts one task, ends its whole tree, and reports. Standard library only.

The broker starts it once (``python -I -S program.py``, control socket as descriptor 3). It stays small and has one thread, so
it may fork. For each socket that it is sent it forks a launcher, which waits, warm, for its only order:

- it becomes the reaper of all its descendants and is not dumpable;
- the task gets a session of its own, exactly the given descriptors and environment, and is executed by descriptor;
- when the first process ends, the time is over or the broker is gone, whatever is left is killed until nothing is left;
- what could not be killed is counted in the report. Nothing is reported that was not checked.

A task that could not be executed is an errno in the first answer. There is no second way to start it.
"""

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import sys
import time

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host import cgroups, confine, forking, jail, kernel, limits, wire
from elevate.host.watch import Watch, wake_on_child
from elevate.host.writes import Writes, watch_writes

CONTROL = 3
_CLOEXEC = 0x40000000
_TIOCSCTTY = 0x540E

Fields = dict[str, list[bytes]]


class Zygote:
    """Forks launchers, and buries those that had a cgroup."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.cgroups: dict[int, str] = {}
        self.wake = wake_on_child()

    def run(self) -> None:
        """Fork a launcher for every socket that comes; when the broker is gone, wait for those that have a cgroup."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self.wake in ready:
                os.read(self.wake, 512)
                self._bury()
            if self.control.fileno() in ready and not self._hear():
                break
        while self.cgroups:
            select.select([self.wake], [], [])
            os.read(self.wake, 512)
            self._bury()

    def _hear(self) -> bool:
        """Fork once; False where the broker is gone."""
        message, fds, _, _ = socket.recv_fds(self.control, wire.MAX_NAME, 1, flags=_CLOEXEC)
        if not fds:
            return False
        cgroup = os.fsdecode(message.removeprefix(wire.JAIL)) if message.startswith(wire.JAIL) else None
        pid, apart = (os.fork(), False) if cgroup is None else self._fork_apart(cgroup)
        if pid == 0:
            self.control.close()
            os.close(self.wake)
            serve(socket.socket(fileno=fds[0]), cgroup, apart=apart)
            os._exit(0)
        if cgroup is not None:
            self.cgroups[pid] = cgroup
        os.close(fds[0])
        return True

    def _fork_apart(self, cgroup: str) -> tuple[int, bool]:
        """Fork the first process of a new PID namespace; say whether it has its cgroup and mounts already."""
        with contextlib.suppress(OSError):
            return forking.apart(cgroup), True
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if pid:
            kernel.setns(own, kernel.CLONE_NEWPID)
        os.close(own)
        return pid, False

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
                if cgroup := self.cgroups.pop(pid, ""):
                    cgroups.end(cgroup)


def serve(channel: socket.socket, cgroup: str | None, *, apart: bool = False) -> None:
    """Wait for the one order, run it, report. With ``cgroup``, empty where there is none, as init of a namespace of its own."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if cgroup is not None:
        jail.settle(cgroup, apart=apart)
    ahead = Ahead(channel)
    if cgroup is not None:
        # The kernel gives the process's number as the broker knows it.
        number = wire.CREDENTIALS.pack(ahead.pid, 0, 0)
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more: the next read sees that
            channel.sendmsg([wire.BORN], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, number)])
    wake = wake_on_child()
    received = receive(channel)
    if received is None:
        return
    order, fds = received
    began = time.monotonic()
    pid, error = ahead.start(order, fds)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(OSError):  # nobody waits any more: the watch sees that, too, and ends the tree
        channel.send(wire.STARTED.pack(pid, error))
    if pid:
        watch = Watch(channel, wake, pid, began, int(order["limit"][0]))
        watch.writes = ahead.writes
        watch.run()


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


class Ahead:
    """The task's process, forked ahead of its order: what a fork costs is paid while nobody waits."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answers, write = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                channel.close()
                self.orders.close()
                become(theirs, write)
            finally:
                os._exit(127)
        theirs.close()
        os.close(write)
        self.writes: Writes | None = None

    def start(self, order: Fields, fds: list[int]) -> tuple[int, int]:
        """Hand the order on; give the process id, or 0 and the errno."""
        try:
            if select.select([self.channel], [], [], 0)[0]:
                return 0, errno.EPIPE + wire.SURROUNDINGS
            if order["jail"]:
                rules = jail.furnish(order, _terminal(order, fds))
                fds = [*fds, *([rules] if rules >= 0 else [])]
                self.writes = watch_writes() if order["watch"] else None
                jail.shed()
            socket.send_fds(self.orders, [wire.MAGIC], fds)
        except OSError as exc:
            return 0, (exc.errno or errno.EINVAL) + wire.SURROUNDINGS
        self.orders.close()
        if not self._hear():
            os.kill(self.pid, signal.SIGKILL)
            return 0, errno.EPIPE + wire.SURROUNDINGS
        failed = os.read(self.answers, 2)
        os.close(self.answers)
        if not failed:
            return self.pid, 0
        return 0, failed[0] if failed[1:] == b"\1" else failed[0] + wire.SURROUNDINGS

    def _hear(self) -> bool:
        """Wait for the child's answer; False where the broker gives up first: what nobody waits for must not begin."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.answers, select.POLLIN)
        return self.channel.fileno() not in [fd for fd, _ in poll.poll()]


def _terminal(order: Fields, fds: list[int]) -> int | None:
    """Give the descriptor of the task's terminal; None where it has none. The first descriptor is the order's own."""
    return fds[1 + order["targets"].index(order["terminal"][0])] if order["terminal"] else None


def become(orders: socket.socket, write: int) -> None:
    """Wait as the task's process; then become the task, or say why not. Without an order just end."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    reset_signals()
    os.umask(0o022)
    kernel.new_session_keyring()
    received = receive(orders)
    if received is None:
        return
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
    if order["terminal"]:
        fcntl.ioctl(int(order["terminal"][0]), _TIOCSCTTY, 0)
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
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main() -> None:
    """Run until the broker closes the control socket."""
    os.closerange(CONTROL + 1, 1 << 30)
    os.set_inheritable(CONTROL, False)  # noqa: FBT003 - positional only
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.umask(0o022)  # the broker's is its own: what is made here for a task must be open to it
    Zygote(socket.socket(fileno=CONTROL)).run()


if __name__ == "__main__":
    main()
