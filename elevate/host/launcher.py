"""The broker's side of the launcher: orders go out, reports come back. The broker itself never forks.

One small program (`elevate.host.program`) is started with posix_spawn and forks the launchers; a few wait warm, each is used
once.
An order is sent at most once: where no answer comes after it was taken, nothing is tried again.
"""

import array
import contextlib
import errno
import os
import signal as signals
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, HostError
from elevate.host import wire

_PROGRAM = Path(__file__).with_name("program.py")
_TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a launcher is asked to start.

    Attributes:
        argv: The whole command; the first word is an absolute path.
        env: The whole environment.
        cwd: Path of the working directory, or a descriptor of it.
        fds: Number in the task to descriptor here. 0, 1 and 2 are /dev/null where not given.
        exec_fd: Descriptor of the program; None executes the path ``argv[0]``, for programs of elevate's own.
        time_limit_seconds: The tree is ended after this.
        controlling_terminal: Standard input of the task becomes its controlling terminal.
        no_new_privs: No setuid or file capabilities anywhere in the tree.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str | int = "/"
    fds: Mapping[int, int] = field(default_factory=dict)
    exec_fd: int | None = None
    time_limit_seconds: int = 3600
    controlling_terminal: bool = False
    no_new_privs: bool = True

    def __post_init__(self) -> None:
        """Refuse what could only go wrong later."""
        if not self.argv or not self.argv[0].startswith("/"):
            raise HostError("an order needs an absolute program")
        if any("=" in name or not name for name in self.env):
            raise HostError("an environment name can't be empty or hold '='")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a launched tree ended.

    Attributes:
        exit_status: 0 to 255; None where a signal ended the first process.
        signal: Its number; None where it exited.
        leftover: Processes that could not be ended; at least 1 where the launcher itself was killed.
    """

    exit_status: int | None
    signal: int | None
    timed_out: bool
    leftover: int
    duration_ms: int = 0


class Launched:
    """One started tree. Closing or dropping it ends the tree at once."""

    def __init__(self, channel: socket.socket, pid: int) -> None:
        self.pid = pid
        self._channel = channel
        self._report: Report | None = None
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Give a descriptor that turns readable at the end."""
        return self._channel.fileno()

    def wait(self) -> Report:
        """Wait until the whole tree has ended; the same answer every time."""
        with self._lock:
            if self._report is None:
                self._report = _report(self._channel)
                self._channel.close()
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


class Launcher:
    """Starts trees; one for each broker, for all its threads.

    Args:
        warm: Launchers that wait ready.
    """

    def __init__(self, *, warm: int = 2) -> None:
        self._warm = max(1, warm)
        self._lock = threading.Lock()
        self._ready: deque[socket.socket] = deque()
        self._control: socket.socket | None = None
        self._pid = 0
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
            HostError: Anything else; nothing runs.
        """
        channel = self._send(order)
        try:
            answer = channel.recv(wire.STARTED.size)
        except OSError:
            answer = b""
        if len(answer) != wire.STARTED.size:
            channel.close()
            raise HostError("the launcher ended before it started the task")
        pid, number = wire.STARTED.unpack(answer)
        if pid == 0:
            channel.close()
            raise _not_started(order.argv[0], number)
        return Launched(channel, pid)

    def close(self) -> None:
        """End the waiting launchers; what is running goes on. Twice is the same as once."""
        with self._lock:
            self._closed = True
            self._drop()

    def _send(self, order: Order) -> socket.socket:
        data, extra = _encode(order)
        memory = os.memfd_create("elevate-order", os.MFD_CLOEXEC)
        try:
            os.write(memory, data)
            fds = array.array("i", [memory, *order.fds.values(), *extra])
            for _ in range(_TRIES):
                channel = self._take()
                # SECURITY: a failed send was not taken, so another launcher may be tried; a taken one never is again.
                with contextlib.suppress(OSError):
                    channel.sendmsg([wire.MAGIC], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
                    return channel
                channel.close()
        finally:
            os.close(memory)
        raise HostError("no launcher takes the task")

    def _take(self) -> socket.socket:
        with self._lock:
            if self._closed:
                raise HostError("the launcher is closed")
            for _ in range(2):
                try:
                    return self._refill().popleft()
                except OSError:
                    self._drop()
        raise HostError("the launcher program can't be started")

    def _refill(self) -> deque[socket.socket]:
        """Keep one more than the warm ones waiting: the one that is taken now."""
        control = self._control or self._spawn()
        while len(self._ready) <= self._warm:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._ready.append(ours)
            with theirs:
                socket.send_fds(control, [b"launcher"], [theirs.fileno()])
        return self._ready

    def _spawn(self) -> socket.socket:
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
        for channel in self._ready:
            channel.close()
        self._ready.clear()
        if self._control is not None:
            self._control.close()
            self._control = None
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)


def _encode(order: Order) -> tuple[bytes, list[int]]:
    """Give an order's bytes, and the descriptors that follow the declared ones."""
    cwd = order.cwd
    fields = {
        "argv": [os.fsencode(word) for word in order.argv],
        "env": [os.fsencode(f"{name}={value}") for name, value in order.env.items()],
        "cwd": [] if isinstance(cwd, int) else [os.fsencode(cwd)],
        "cwd_fd": [b"1"] if isinstance(cwd, int) else [],
        "exec_fd": [] if order.exec_fd is None else [b"1"],
        "targets": [str(number).encode() for number in order.fds],
        "limit": [str(order.time_limit_seconds).encode()],
        "terminal": [b"0"] if order.controlling_terminal else [],
        "no_new_privs": [b"1"] if order.no_new_privs else [],
    }
    try:
        data = wire.pack(fields)
    except ValueError as exc:
        raise HostError("the order can't be sent") from exc
    return data, [fd for fd in (cwd if isinstance(cwd, int) else None, order.exec_fd) if fd is not None]


def _report(channel: socket.socket) -> Report:
    try:
        data = channel.recv(wire.REPORT.size)
    except OSError:
        data = b""
    if len(data) != wire.REPORT.size:
        return Report(exit_status=None, signal=signals.SIGKILL, timed_out=False, leftover=1)
    status, number, timed_out, left, took_us = wire.REPORT.unpack(data)
    return Report(
        exit_status=status if status >= 0 else None,
        signal=number or None,
        timed_out=bool(timed_out),
        leftover=left,
        duration_ms=took_us // 1000,
    )


def _not_started(program: str, number: int) -> Exception:
    detail = f"{program}: {os.strerror(number)}"
    if number == errno.ENOENT:
        return CommandNotFoundError("the program, or the interpreter it names, is not there", detail=detail)
    if number in {errno.ENOEXEC, errno.EACCES, errno.ETXTBSY}:
        return CommandNotExecutableError("the program can't be executed", detail=detail)
    return HostError("the task could not be started", detail=detail)
