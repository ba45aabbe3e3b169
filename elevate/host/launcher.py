"""The broker's side of the launcher: orders go out, reports come back. The broker itself never forks.

One small program (`elevate.host.program`) is started with posix_spawn and forks the launchers; a few wait warm, each is used
once.
An order is sent at most once: where no answer comes after it was taken, nothing is tried again.
"""

import array
import contextlib
import errno
import os
import select
import signal as signals
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, HostError, StartUnknownError
from elevate.host import cgroups, wire
from elevate.host.order import Jail, Order, encode
from elevate.host.report import Report, read_report, receive

_PROGRAM = Path(__file__).with_name("program.py")
_TRIES = 4
START_SECONDS = 30.0
_BURIAL_SECONDS = 2.0

__all__ = ["Jail", "Launched", "Launcher", "Order", "Report"]


class Launched:
    """One started tree. Closing or dropping it ends the tree at once."""

    def __init__(self, waiting: "_Waiting", pid: int, on_end: Callable[[], None]) -> None:
        self.pid = pid
        self._on_end = on_end
        self._channel = waiting.channel
        self._cgroup = waiting.cgroup
        self._report: Report | None = None
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Give a descriptor that turns readable at the end."""
        return self._channel.fileno()

    def wait(self) -> Report:
        """Wait until the whole tree has ended; the same answer every time."""
        with self._lock:
            if self._report is None:
                self._report = read_report(self._channel, self._cgroup)
                self._channel.close()
                self._on_end()
            return self._report

    def kill(self, signal: int) -> None:
        """Send a signal to the task's process group; nothing happens where it has ended."""
        self._say(wire.SIGNAL, signal)

    def end(self, signal: int = signals.SIGTERM) -> None:
        """Ask the task to end; its tree is killed after the grace period."""
        self._say(wire.END, signal)

    def close(self) -> None:
        """End the tree at once where it still runs, with no report."""
        self._channel.close()

    def __del__(self) -> None:
        """Leave nothing running that nobody waits for."""
        self._channel.close()

    def _say(self, verb: int, number: int) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(wire.COMMAND.pack(verb, number))


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A launcher that waits for its order; ``cgroup`` is empty where it has none."""

    channel: socket.socket
    cgroup: str


class Launcher:
    """Starts trees; one for each broker, for all its threads.

    Args:
        warm: Launchers that wait ready.
    """

    def __init__(self, *, warm: int = 2) -> None:
        self._warm = max(1, warm)
        self._lock = threading.Lock()
        self._ready: dict[bool, deque[_Waiting]] = {False: deque(), True: deque()}
        self._control: socket.socket | None = None
        self._pid = 0
        self._base = cgroups.base() if os.geteuid() == 0 else ""
        self._mounts = select.poll()
        self._mountinfo = open("/proc/self/mountinfo", "rb")  # noqa: SIM115 - polled for as long as the launcher is used
        self._mounts.register(self._mountinfo, select.POLLPRI)
        self._closed = False

    def __enter__(self) -> Self:
        """Use as a context; closed at its end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def launch(self, order: Order) -> Launched:
        """Start a tree.

        Raises:
            CommandNotFoundError: The program, or a script's interpreter, is not there.
            CommandNotExecutableError: The program can't be executed.
            StartUnknownError: No answer came; what may have begun is ended.
            HostError: Anything else; nothing runs.
        """
        taken = self._send(order)
        # SECURITY: entering a folder or reading a program can hang for as long as its file system likes.
        taken.channel.settimeout(START_SECONDS)
        known_as = 0
        if order.jail:
            for _ in range(1 if order.terminal is None else 2):  # one with a terminal is born a second time, on it
                known_as = receive(taken.channel, len(wire.BORN))[1]
        answer, _, _ = receive(taken.channel, wire.STARTED.size)
        taken.channel.settimeout(None)
        if len(answer) != wire.STARTED.size:
            taken.channel.close()  # whoever was about to start sees that nobody waits, and ends
            # SECURITY: it may be just that the answer was too late; nobody can say that nothing ran.
            raise StartUnknownError("the launcher ended, or did not answer in time, when it was to start the task")
        pid, number = wire.STARTED.unpack(answer)
        if pid == 0:
            taken.channel.close()
            raise _not_started(order.argv[0], number)
        return Launched(taken, known_as or pid, partial(self._warm_up, jailed=order.jail is not None))

    def close(self) -> None:
        """End the waiting launchers; what is running goes on. Twice is the same as once."""
        with self._lock:
            self._closed = True
            self._drop()
            self._mountinfo.close()

    def _send(self, order: Order) -> _Waiting:
        data, extra = encode(order)
        memory = os.memfd_create("elevate-order", os.MFD_CLOEXEC)
        try:
            os.write(memory, data)
            fds = array.array("i", [memory, *order.fds.values(), *extra])
            for _ in range(_TRIES):
                taken = self._take(jailed=order.jail is not None)
                # SECURITY: a failed send was not taken, so another launcher may be tried; a taken one never is again.
                with contextlib.suppress(OSError):
                    taken.channel.sendmsg([wire.MAGIC], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                    return taken
                taken.channel.close()
        finally:
            os.close(memory)
        raise HostError("no launcher takes the task")

    def _take(self, *, jailed: bool) -> _Waiting:
        with self._lock:
            if self._closed:
                raise HostError("the launcher is closed")
            self._forget_stale()
            return (self._ready[jailed] or self._refilled(jailed=jailed)).popleft()

    def _warm_up(self, *, jailed: bool) -> None:
        """Replace what was taken when a task has ended: the machine has more important work while one starts."""
        with self._lock, contextlib.suppress(HostError):
            if not self._closed:
                self._forget_stale()
                self._refilled(jailed=jailed)

    def _refilled(self, *, jailed: bool) -> deque[_Waiting]:
        """Give the launchers that wait, at least one; a program that has ended is started anew."""
        for _ in range(2):
            try:
                return self._refill(jailed=jailed)
            except OSError:
                self._drop()
        raise HostError("the launcher program can't be started")

    def _refill(self, *, jailed: bool) -> deque[_Waiting]:
        control = self._control or self._spawn()
        ready = self._ready[jailed]
        while len(ready) < self._warm:
            cgroup = f"{self._base}/{os.urandom(8).hex()}" if jailed and self._base else ""
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ready.append(_Waiting(ours, cgroup))
            with theirs:
                if jailed:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                socket.send_fds(control, [wire.JAIL + cgroup.encode() if jailed else wire.PLAIN], [theirs.fileno()])
        return ready

    def _forget_stale(self) -> None:
        """End the warm launchers that have mounts of their own where the machine's have changed since: theirs need not have."""
        changed = self._mounts.poll(0)
        while changed and self._ready[True]:
            self._ready[True].pop().channel.close()

    def _spawn(self) -> socket.socket:
        if self._base:
            cgroups.sweep(self._base)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            python = os.path.realpath(sys.executable)
            self._pid = os.posix_spawn(
                python,
                [python, "-I", "-S", str(_PROGRAM)],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 3),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=sorted(set(range(1, signals.SIGRTMIN - 2)) - {signals.SIGKILL, signals.SIGSTOP}),
            )
        self._control = ours
        return ours

    def _drop(self) -> None:
        for ready in self._ready.values():
            while ready:
                ready.pop().channel.close()
        if self._control is not None:
            self._control.close()
            self._control = None
            _await_end(self._pid)


def _await_end(pid: int) -> None:
    """Wait for the program, which may still bury launchers; not for ever, where a task of its is still running."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            if select.select([fd], [], [], _BURIAL_SECONDS)[0]:
                os.waitpid(pid, 0)
        finally:
            os.close(fd)


def _not_started(program: str, number: int) -> Exception:
    detail = f"{program}: {os.strerror(number % wire.SURROUNDINGS)}"
    if number >= wire.SURROUNDINGS:
        return HostError("the task's surroundings could not be made", detail=detail)
    if number == errno.ENOENT:
        return CommandNotFoundError("the program, or the interpreter it names, is not there", detail=detail)
    if number in {errno.ENOEXEC, errno.EACCES, errno.ETXTBSY}:
        return CommandNotExecutableError("the program can't be executed", detail=detail)
    return HostError("the task could not be started", detail=detail)
