"""The broker's side of the launcher: orders go out, reports come back. The broker itself never forks.

One small program (`elevate.host.program`) is started with posix_spawn and forks the launchers; a few wait warm, each is used
once.
An order is let go at most once (`elevate.host.launched`): where no answer comes after that, nothing is tried again.
"""

import array
import contextlib
import os
import select
import signal as signals
import socket
import sys
import threading
from collections import deque
from functools import partial
from pathlib import Path
from typing import Self

from elevate.errors import HostError
from elevate.host import cgroups, kernel, wire
from elevate.host.launched import Launched, Prepared, Signals, Waiting
from elevate.host.order import Jail, Order, encode
from elevate.host.report import Report

_PROGRAM = Path(__file__).with_name("program.py")
_TRIES = 4
MAX_WARM = 8
_ENOUGH = 16
"""Orders in a row after which those that none of them needed are no longer replaced."""
_BURIAL_SECONDS = 2.0

__all__ = ["Jail", "Launched", "Launcher", "Order", "Prepared", "Report"]


class _Pool:
    """The launchers of one kind that wait; as many as the load asks for, within bounds."""

    def __init__(self, least: int) -> None:
        self.ready: deque[Waiting] = deque()
        self.used = False
        self.least = self.wanted = least
        self._taken = 0
        self._spare = MAX_WARM

    def take(self) -> Waiting:
        """Take one; what is left then tells how many are to wait the next time."""
        one = self.ready.popleft()
        self.used = True
        self._taken += 1
        self._spare = min(self._spare, len(self.ready))
        if self._taken == _ENOUGH:
            self.wanted = max(self.least, self.wanted - self._spare)
            self._taken, self._spare = 0, MAX_WARM
        return one

    def missed(self) -> None:
        """Count that there was none when one was to be taken, if not for the first time."""
        if self.used:
            self.wanted = min(self.wanted + 1, MAX_WARM)
            self._taken, self._spare = 0, MAX_WARM

    def drop(self) -> None:
        """End them all."""
        self.used = False
        while self.ready:
            self.ready.pop().channel.close()


class Launcher:
    """Starts trees; one for each broker, for all its threads.

    Args:
        warm: Launchers that wait ready.
        processes: How many one task, and one account, may have; 0 for what suits the machine.
    """

    def __init__(self, *, warm: int = 2, processes: int = 0) -> None:
        self._processes = processes
        self._warm = max(1, warm)
        self._lock = threading.Lock()
        self._pools = {jailed: _Pool(self._warm) for jailed in (False, True)}
        self._mounts_seen = 1
        self._control: socket.socket | None = None
        self._pid = 0
        self._base = cgroups.base() if os.geteuid() == 0 else ""
        self._orphaned: list[str] = []
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
            ElevateError: As `Prepared.go`.
        """
        return self.prepare(order).go()

    def prepare(self, order: Order) -> Prepared:
        """Let a launcher make all that an order needs, up to its execution, which waits for `Prepared.go`.

        Raises:
            HostError: No launcher takes it.
        """
        ends = Signals()
        try:
            taken, mounts = self._send(order, ends)
        except BaseException:
            ends.close()
            raise
        finally:
            ends.sent()
        jailed = order.jail is not None
        return Prepared(taken, order, ends, partial(self._warm_up, jailed=jailed), partial(self._fresh, mounts))

    def close(self) -> None:
        """End the waiting launchers; what is running goes on. Twice is the same as once."""
        with self._lock:
            self._closed = True
            self._drop()
            self._mountinfo.close()

    def _send(self, order: Order, ends: Signals) -> tuple[Waiting, int]:
        data, extra = encode(order)
        memory = os.memfd_create("elevate-order", os.MFD_CLOEXEC)
        try:
            os.write(memory, data)
            fds = array.array("i", [memory, *ends.theirs, *order.fds.values(), *extra])
            for _ in range(_TRIES):
                taken, mounts = self._take(jailed=order.jail is not None)
                _aside(taken)
                # SECURITY: a failed send was not taken, so another launcher may be tried; a taken one never is again.
                with contextlib.suppress(OSError):
                    taken.channel.sendmsg([wire.MAGIC], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                    return taken, mounts if order.jail else 0
                taken.channel.close()
        finally:
            os.close(memory)
        raise HostError("no launcher takes the task")

    def _take(self, *, jailed: bool) -> tuple[Waiting, int]:
        """Give a launcher that waits, and which of the machine's mounts it has."""
        with self._lock:
            if self._closed:
                raise HostError("the launcher is closed")
            self._forget_stale()
            pool = self._pools[jailed]
            if not pool.ready:
                pool.missed()
                self._refilled(pool, jailed=jailed)
            return pool.take(), self._mounts_seen

    def _fresh(self, mounts: int) -> bool:
        """Say whether a launcher that was taken has the machine's mounts still; one without any of its own always does."""
        with self._lock:
            if not self._closed:
                self._forget_stale()
            return mounts in {0, self._mounts_seen}

    def _warm_up(self, *, jailed: bool) -> None:
        """Replace what was taken when a task has ended: the machine has more important work while one starts."""
        with self._lock, contextlib.suppress(HostError):
            if not self._closed:
                self._forget_stale()
                self._refilled(self._pools[jailed], jailed=jailed)
                # Of launchers whose program was killed: nobody else buries them.
                self._orphaned = cgroups.remove_empty(self._orphaned)

    def _refilled(self, pool: _Pool, *, jailed: bool) -> None:
        """Let as many wait as are wanted, at least one; a program that has ended is started anew."""
        for _ in range(2):
            try:
                return self._refill(pool, jailed=jailed)
            except OSError:
                self._drop()
        raise HostError("the launcher program can't be started")

    def _refill(self, pool: _Pool, *, jailed: bool) -> None:
        control = self._control or self._spawn()
        while len(pool.ready) < pool.wanted:
            cgroup = f"{self._base}/{os.urandom(8).hex()}" if jailed and self._base else ""
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            pool.ready.append(Waiting(ours, cgroup))
            with theirs:
                if jailed:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                socket.send_fds(control, [wire.JAIL + cgroup.encode() if jailed else wire.PLAIN], [theirs.fileno()])

    def _forget_stale(self) -> None:
        """End the warm launchers that have mounts of their own where the machine's have changed since: theirs need not have."""
        if self._mounts.poll(0):
            self._mounts_seen += 1
            self._pools[True].drop()

    def _spawn(self) -> socket.socket:
        if self._base:
            self._orphaned = cgroups.sweep(self._base)
            cgroups.bound(self._base)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            python = os.path.realpath(sys.executable)
            self._pid = os.posix_spawn(
                python,
                [python, "-I", "-S", str(_PROGRAM), str(self._processes)],
                {"LD_BIND_NOW": "1"},  # what is looked up once, every child has
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
        for pool in self._pools.values():
            pool.drop()
        if self._control is not None:
            self._control.close()
            self._control = None
            _await_end(self._pid)


def _aside(waiting: Waiting) -> None:
    """Let a launcher begin on another processor than this thread's, which goes on working; it may use all again at once.

    The kernel wakes it here, and may keep it waiting, or this thread when it has slept, while another processor idles.
    """
    with contextlib.suppress(OSError):
        if waiting.cgroup and (elsewhere := os.sched_getaffinity(0) - {kernel.processor()}):
            for pid in cgroups.members(waiting.cgroup):
                os.sched_setaffinity(pid, elsewhere)


def _await_end(pid: int) -> None:
    """Wait for the program, which may still bury launchers; not for ever, where a task of its is still running."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        fd = os.pidfd_open(pid)
        try:
            if select.select([fd], [], [], _BURIAL_SECONDS)[0]:
                os.waitpid(pid, 0)
        finally:
            os.close(fd)
