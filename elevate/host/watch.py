"""How the launcher waits for the end of one task, and ends what is left of its tree.

As init of a PID namespace one call kills everything in it; else the descendants are looked up and killed until there is no
child left, which, because the launcher is the reaper of all orphans, means that nothing is left. Standard library only.
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import mmap
import os
import select
import time

from elevate.host import sharing, sockets, wire
from elevate.host.reading import read_record
from elevate.host.sockets import Socket
from elevate.host.writes import Writes

GRACE_SECONDS = 2.0
WAIT_SECONDS = 150.0
"""For the byte on which the task begins: longer than any token lives. Whoever is to send it gives up before."""
CLEANUP_SECONDS = 5.0
QUIET_SECONDS = 0.004
"""How long a task's end is left to those who wait for it."""
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
_KILLED = (os.CLD_KILLED, os.CLD_DUMPED)
_FORKED_ONLY = 0x40


def _nothing(*_: object) -> None:
    """Do nothing: that the signal came is what counts."""


def wake_on_child() -> int:
    """Give a descriptor that turns readable when a child has ended."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    if signal.getsignal(signal.SIGCHLD) is not _nothing:  # else it has this from whoever forked it
        signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


class Watch:
    """Waits for the end of one task, hears the broker meanwhile, and ends the tree."""

    def __init__(self, channel: Socket, wake: int, pid: int, begun: mmap.mmap | bytearray, limit: int) -> None:
        self.writes: Writes | None = None
        self.jobs = self.terminal = -1
        self.channel = channel
        self.wake = wake
        self.pid = pid
        self.begun = begun
        self.limit = limit
        self.made = time.monotonic()
        self.until = 0.0
        self.timed_out = False
        self.ending = False
        self.status: int | None = None
        self.executed = True

    def run(self) -> None:
        """Wait, end the tree, report."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        if self.writes:
            for fd in self.writes.fds:
                poll.register(fd, select.POLLIN)
        while self.status is None and not self._over():
            ready = [fd for fd, _ in poll.poll(self._pause() * 1000 + 1)]
            if self.writes:
                self.writes.read()
            if self.wake in ready:
                os.read(self.wake, 512)
                self._reap()
            if self.channel.fileno() in ready and not self._hear():
                break
        left = self._end_tree()
        code = -signal.SIGKILL if self.status is None else os.waitstatus_to_exitcode(self.status)
        began = self._began()
        took = int((time.monotonic() - began) * 1e6) if began else 0
        report = wire.REPORT.pack(max(code, -1) if self.executed else wire.NEVER, max(-code, 0), self.timed_out, left, took)
        with contextlib.suppress(OSError):
            sockets.send(self.channel, report, self._written())
        # The kernel wakes whoever hears it on this very processor, to wait there until all that this process has is freed.
        time.sleep(QUIET_SECONDS)

    def _written(self) -> list[int]:
        """Give what was written, in a memory file; nothing where nobody watched."""
        if self.writes is None:
            return []
        self.writes.began_ns = max(self.writes.began_ns, wire.BEGUN.unpack_from(self.begun)[1])
        fd = os.memfd_create("elevate-written", os.MFD_CLOEXEC)
        os.write(fd, self.writes.end())
        return [fd]

    def _began(self) -> float:
        """Give when the task began, by the monotonic clock; 0 while its process waits for the byte."""
        began: float = wire.BEGUN.unpack_from(self.begun)[0]
        return began

    def _deadline(self) -> float:
        if self.until:
            return self.until
        began = self._began()
        return began + self.limit if began else self.made + WAIT_SECONDS

    def _pause(self) -> float:
        """Give how long there is nothing to look at; nobody tells that the task begins, so a whole time limit at most."""
        return min(max(0.0, self._deadline() - time.monotonic()), self.limit)

    def _over(self) -> bool:
        if time.monotonic() < self._deadline():
            return False
        if self.ending or not self._began():
            return True
        self.timed_out = True
        self._end(signal.SIGTERM)
        return False

    def _end(self, number: int) -> None:
        self.until = min(self._deadline(), time.monotonic()) + GRACE_SECONDS
        self.ending = True
        self._signal(number)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)

    def _hear(self) -> bool:
        """Do what the broker says; False where it is gone."""
        try:
            data = self.channel.recv(wire.COMMAND.size)
        except OSError:
            return False
        if len(data) != wire.COMMAND.size:
            return False
        verb, number = wire.COMMAND.unpack(data)
        if verb == wire.END and not self.ending:
            self._end(number)
        else:
            if number == signal.SIGCONT and self.jobs >= 0:
                sharing.to_foreground(self.terminal, self.pid)
            self._signal(number)
        return True

    def _reap(self) -> bool:
        """Collect all who have ended; False where no child is left."""
        while True:
            try:
                stops = self.jobs >= 0 or not self._began()
                # Looked at before it is buried: then nobody can tell any more whether it had executed.
                one = os.waitid(os.P_ALL, 0, _LOOK | (os.WSTOPPED if stops else 0))
                if one is None:
                    return True
                if one.si_pid == self.pid and one.si_code in _KILLED:
                    self.executed = has_executed(self.pid)
                pid, status = os.waitpid(one.si_pid, os.WNOHANG | (os.WUNTRACED if stops else 0))
            except ChildProcessError:
                return False
            if os.WIFSTOPPED(status):
                self._stopped(pid, os.WSTOPSIG(status))
            elif pid == self.pid:
                self.status = status

    def _stopped(self, pid: int, number: int) -> None:
        if not self._began():
            # SECURITY: whoever has the task's user can stop it while it waits for the byte. Nothing of it ran; nothing will.
            os.kill(pid, signal.SIGKILL)
        elif pid == self.pid and not self.ending:
            with contextlib.suppress(OSError):  # nobody hears it any more
                os.write(self.jobs, bytes([number]))

    def _end_tree(self) -> int:
        """Kill until nothing is left; give the number that would not go."""
        until = time.monotonic() + CLEANUP_SECONDS
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while self._reap():
            if time.monotonic() > until:
                return len(descendants(os.getpid()))
            for pid in [-1] if os.getpid() == 1 else descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if poll.poll(2):
                os.read(self.wake, 512)
        return 0


def has_executed(pid: int) -> bool:
    """Say of a process that has ended, but was not buried, whether it executed something after it was forked.

    Source: proc_pid_stat(5); the kernel's PF_FORKNOEXEC.
    """
    with contextlib.suppress(OSError):
        flags = int(read_record(f"/proc/{pid}/stat").rpartition(b") ")[2].split(b" ", 7)[6])
        return not flags & _FORKED_ONLY
    return True


def descendants(root: int) -> list[int]:
    """Give all living descendants of a process, nearest first. Orphans are its children, because it is their reaper."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]
