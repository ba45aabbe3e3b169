"""The launcher program: starts one task, ends its whole tree, and reports. Standard library only.

The broker starts it once (``python -I -S program.py PROCESSES``, control socket as descriptor 3). It stays small and has
one thread, so it may fork. For each socket that it is sent it forks a launcher, which waits, warm, for its only order:

- it becomes the reaper of all its descendants and is not dumpable;
- the task gets a session of its own, exactly the given descriptors and environment, and is executed by descriptor;
- when the first process ends, the time is over or the broker is gone, whatever is left is killed until nothing is left;
- what could not be killed is counted in the report. Nothing is reported that was not checked.

A task that could not be executed is an errno in the answer. There is no second way to start it.
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import gc
import mmap
import os
import select
import sys
import time

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host import cgroups, forking, identity, jail, kernel, limits, mountinfo, sharing, sockets, wire
from elevate.host.becoming import OWN, Fields, become, fail, receive
from elevate.host.lending import Lending, fits
from elevate.host.mountinfo import Mounts, Table
from elevate.host.sockets import Socket
from elevate.host.watch import QUIET_SECONDS, Watch, wake_on_child
from elevate.host.writes import Writes, watch_writes

CONTROL = 3


class Zygote:
    """Forks launchers when those who wait for the end of a task have heard of it, and buries those that had a cgroup."""

    def __init__(self, control: Socket) -> None:
        self.control = control
        self.cgroups: dict[int, str] = {}
        self.asked: dict[int, str | None] = {}
        self.due = 0.0
        self.wake = wake_on_child()
        self.mounts = Mounts()
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)

    def run(self) -> None:
        """Fork a launcher for every socket that comes; when the broker is gone, wait for those that have a cgroup."""
        while self._turn():
            pass
        self._bury()
        while self.cgroups:
            select.select([self.wake], [], [])
            os.read(self.wake, 512)
            self._bury()

    def _turn(self) -> bool:
        """Wait for the next thing to do; False where the broker is gone."""
        ready = [fd for fd, _ in self.poll.poll(max(0.0, self.due - time.monotonic()) * 1000 if self.asked else None)]
        for fd in ready:
            if fd in self.asked:  # its order is there already
                self._fork(fd)
        if self.wake in ready:
            os.read(self.wake, 512)
            self._bury()
        if self.control.fileno() in ready and not self._hear():
            return False
        if self.asked and time.monotonic() >= self.due:
            for fd in list(self.asked):
                self._fork(fd)
        return True

    def _hear(self) -> bool:
        """Take what is asked for; False where the broker is gone."""
        message, fds, _ = sockets.receive(self.control, wire.MAX_NAME, 1)
        if not fds:
            return False
        if not self.asked:
            self.due = time.monotonic() + QUIET_SECONDS
        self.asked[fds[0]] = os.fsdecode(message.removeprefix(wire.JAIL)) if message.startswith(wire.JAIL) else None
        self.poll.register(fds[0], select.POLLIN)
        return True

    def _fork(self, fd: int) -> None:
        """Fork the launcher that was asked for with this socket."""
        cgroup = self.asked.pop(fd)
        table = self.mounts.now()
        self.poll.unregister(fd)
        pid, apart = (os.fork(), False) if cgroup is None else self._fork_apart(cgroup)
        if pid == 0:
            self.control.close()
            # SECURITY: a launcher is known to have ended by its socket, so nobody else may have that.
            for other in (self.wake, *self.asked):
                os.close(other)
            serve(Socket(fileno=fd), cgroup, table, apart=apart)
            os._exit(0)
        if cgroup is not None:
            self.cgroups[pid] = cgroup
        os.close(fd)

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
            while (ended := os.waitpid(-1, os.WNOHANG | os.WUNTRACED))[0] > 0:
                pid, status = ended
                if os.WIFSTOPPED(status):
                    # SECURITY: who is stopped keeps no time limit and hears nobody; and who lends itself can be stopped.
                    os.kill(pid, signal.SIGKILL)
                elif cgroup := self.cgroups.pop(pid, ""):
                    cgroups.end(cgroup)


def serve(channel: Socket, cgroup: str | None, table: Table, *, apart: bool = False) -> None:
    """Wait for the one order, run it, report. With ``cgroup``, empty where there is none, as init of a namespace of its own."""
    # SECURITY: SIGINT is ignored here, too: a task as root could send it, and who has a handler hears what its children send.
    signal.set_wakeup_fd(-1)
    os.setsid()
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    # SECURITY: who could be moved out of its cgroup while it lends itself would not be ended with it.
    lending = _lending(channel, table) if cgroup and cgroups.holds(cgroup) else None
    if cgroup is not None:
        jail.settle(cgroup, table, apart=apart)
    ahead = None if lending else Ahead(channel)
    if ahead:
        ahead.fork()
    wake = wake_on_child()
    allowed = os.sched_getaffinity(0)
    received = receive(channel)
    os.sched_setaffinity(0, allowed)  # the broker let it begin elsewhere; a task has all processors
    if received is None or select.select([channel], [], [], 0)[0]:  # nobody waits for it any more
        return
    order, fds = received
    jobs = fds.pop() if order["jobs_fd"] else -1
    how = lending if lending and fits(order) else ahead or Ahead(channel)
    begins = how.start(order, fds)
    for fd in fds:
        os.close(fd)
    if begins:
        watch = Watch(channel, wake, how.pid, how.begun, int(order["limit"][0]))
        watch.writes, watch.jobs, watch.terminal = how.writes, jobs, how.terminal
        watch.run()


def _lending(channel: Socket, table: Table) -> Lending | None:
    try:
        return Lending(channel, table)
    except OSError:
        return None


class Ahead:
    """The task's process, forked: ahead of its order, where no launcher of this kind lends itself; else when it has come."""

    def __init__(self, channel: Socket) -> None:
        self.channel = channel
        self.orders: Socket | None = None
        self.writes: Writes | None = None
        self.pid = 0
        self.terminal = -1
        self.begun = mmap.mmap(-1, mmap.PAGESIZE)

    def fork(self) -> None:
        """Fork the process, which waits, and tell its number."""
        ours, theirs = sockets.pair()
        self.orders = ours
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.channel.close()
                ours.close()
                become(theirs, self.begun)
            finally:
                os._exit(127)
        theirs.close()
        self._tell_born()

    def _tell_born(self) -> None:
        """Tell the process's number; from a namespace the kernel gives it as the broker knows it."""
        number = wire.CREDENTIALS.pack(self.pid, 0, 0)
        inside = os.getpid() == 1
        credentials = sockets.credentials(number) if inside else []
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more: the next read sees that
            self.channel.sendmsg([wire.BORN.pack(0 if inside else self.pid)], credentials)

    def _fork_on(self, terminal: int, *, foreground: bool) -> None:
        """Fork, once more where it was ahead, on the terminal: only who is born in a session that has one has it, too."""
        if self.orders:
            self.orders.close()
            os.waitpid(self.pid, 0)
        else:
            self.channel.send(wire.BORN.pack(0))  # as often as the other way
        # Kept, because a confined task's /dev may not have it; whoever reads the other end reads until the launcher has ended.
        self.terminal = os.dup(terminal)
        sharing.take(self.terminal)
        self.fork()
        sharing.give(self.terminal, self.pid, foreground=foreground)

    def start(self, order: Fields, fds: list[int]) -> bool:
        """Make what the order needs and hand it on; False where that failed."""
        try:
            if order["terminal"]:
                self._fork_on(_terminal(order, fds), foreground=bool(order["foreground"]))
            elif not self.orders:
                self.fork()
            given = fds
            if order["jail"]:
                rules = jail.furnish(order, self.terminal if order["terminal"] else None)
                given = [*fds, *([rules] if rules >= 0 else [])]
                self.writes = watch_writes(mountinfo.table(), int(order["account"][0])) if order["watch"] else None
                identity.shed()
            if self.orders:
                sockets.send(self.orders, wire.MAGIC, given)
                self.orders.close()
        except OSError as exc:
            fail(fds[1], exc)
            return False
        return True


def _terminal(order: Fields, fds: list[int]) -> int:
    """Give the descriptor of the task's terminal."""
    return fds[OWN + order["targets"].index(order["terminal"][0])]


def main() -> None:
    """Run until the broker closes the control socket."""
    os.closerange(CONTROL + 1, 1 << 30)
    os.set_inheritable(CONTROL, False)  # noqa: FBT003 - positional only
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    gc.disable()  # what it would look through, every child would copy
    gc.freeze()
    kernel.last_capability()  # once for all
    limits.choose_processes(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a launcher: see `serve`
    os.umask(0o022)  # the broker's is its own: what is made here for a task must be open to it
    Zygote(Socket(fileno=CONTROL)).run()


if __name__ == "__main__":
    main()
