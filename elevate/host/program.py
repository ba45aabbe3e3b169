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
import os
import select
import signal
import socket
import sys
import time

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host import cgroups, forking, jail, kernel, sharing, wire
from elevate.host.becoming import Fields, become, receive
from elevate.host.watch import Watch, wake_on_child
from elevate.host.writes import Writes, watch_writes

CONTROL = 3
_CLOEXEC = 0x40000000


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
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a task as root could send it: whoever has a handler hears what its children send
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    if cgroup is not None:
        jail.settle(cgroup, apart=apart)
    ahead = Ahead(channel)
    if cgroup is not None:
        ahead.tell_born()
    wake = wake_on_child()
    received = receive(channel)
    if received is None:
        return
    order, fds = received
    began = time.monotonic()
    jobs = fds.pop() if order["jobs_fd"] else -1
    pid, error = ahead.start(order, fds)
    for fd in fds:
        os.close(fd)
    with contextlib.suppress(OSError):  # nobody waits any more: the watch sees that, too, and ends the tree
        channel.send(wire.STARTED.pack(pid, error))
    if pid:
        watch = Watch(channel, wake, pid, began, int(order["limit"][0]))
        watch.writes, watch.jobs, watch.terminal = ahead.writes, jobs, ahead.terminal
        watch.run()


class Ahead:
    """The task's process, forked ahead of its order: what a fork costs is paid while nobody waits."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.writes: Writes | None = None
        self.terminal = -1
        self._fork()

    def _fork(self) -> None:
        self.orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answers, write = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                self.orders.close()
                become(theirs, write)
            finally:
                os._exit(127)
        theirs.close()
        os.close(write)

    def tell_born(self) -> None:
        """Tell the process's number; the kernel gives it as the broker knows it."""
        number = wire.CREDENTIALS.pack(self.pid, 0, 0)
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more: the next read sees that
            self.channel.sendmsg([wire.BORN], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, number)])

    def _fork_again(self, order: Fields, fds: list[int]) -> None:
        """Fork once more, on the terminal: only who is born in a session that has one has it, too."""
        self.orders.close()
        os.close(self.answers)
        os.waitpid(self.pid, 0)
        # Kept, because a confined task's /dev may not have it; whoever reads the other end reads until the launcher has ended.
        self.terminal = os.dup(_terminal(order, fds))
        sharing.take(self.terminal)
        self._fork()
        sharing.give(self.terminal, self.pid, foreground=bool(order["foreground"]))
        if order["jail"]:
            self.tell_born()

    def start(self, order: Fields, fds: list[int]) -> tuple[int, int]:
        """Hand the order on; give the process id, or 0 and the errno."""
        try:
            if select.select([self.channel], [], [], 0)[0]:
                return 0, errno.EPIPE + wire.SURROUNDINGS
            if order["terminal"]:
                self._fork_again(order, fds)
            if order["jail"]:
                rules = jail.furnish(order, self.terminal if order["terminal"] else None)
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


def _terminal(order: Fields, fds: list[int]) -> int:
    """Give the descriptor of the task's terminal. The first descriptor is the order's own."""
    return fds[1 + order["targets"].index(order["terminal"][0])]


def main() -> None:
    """Run until the broker closes the control socket."""
    os.closerange(CONTROL + 1, 1 << 30)
    os.set_inheritable(CONTROL, False)  # noqa: FBT003 - positional only
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.umask(0o022)  # the broker's is its own: what is made here for a task must be open to it
    Zygote(socket.socket(fileno=CONTROL)).run()


if __name__ == "__main__":
    main()
