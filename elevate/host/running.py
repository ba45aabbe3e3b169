"""A started task: its two pipes or its terminal, and what is checked and cleaned when its tree has ended."""

import fcntl
import os
import signal as signals
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import replace

from elevate.errors import NotStartedError
from elevate.host.environment import is_safe
from elevate.host.launched import BEFORE_IT_EXECUTED
from elevate.host.launcher import Launched, Launcher, Order, Prepared, Report
from elevate.model import Ended, Window

_NONE = (-1, -1, -1, -1)


class TreeRunning:
    """A `elevate.ports.Running` over one launched tree."""

    def __init__(self, launched: Launched, ends: tuple[int, int, int, int], finish: Callable[[Report], Ended]) -> None:
        self.pid = launched.pid
        self.stdout, self.stderr, self.terminal, self.jobs = ends
        self._launched = launched
        self._finish = finish
        self._ended: Ended | None = None
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Give a descriptor that turns readable when the tree has ended."""
        return self._launched.fileno()

    def wait(self) -> Ended:
        """Wait until the whole tree has ended, clean up, and check; the same answer every time.

        Raises:
            NotStartedError: Its process was ended before it executed, which could be seen at its end only.
        """
        report = self._launched.wait()
        if not report.executed:
            raise NotStartedError(BEFORE_IT_EXECUTED)
        with self._lock:
            if self._ended is None:
                self._ended = self._finish(report)
            return self._ended

    def cancel(self, signal: int = signals.SIGTERM) -> None:
        """Ask the task to end; its tree is killed if it does not."""
        self._launched.end(signal)

    def signal(self, number: int) -> None:
        """Pass a signal to the task's process group."""
        self._launched.kill(number)


class TreePrepared:
    """A `elevate.ports.Prepared` over one order that waits for its byte, with our ends of the task's pipes."""

    def __init__(self, prepared: Prepared, ends: tuple[int, int, int, int], finish: Callable[[Report], Ended]) -> None:
        self.fresh = prepared.fresh
        self._prepared = prepared
        self._ends = ends
        self._finish = finish

    def go(self) -> TreeRunning:
        """Let the task begin.

        Raises:
            ElevateError: As `elevate.host.launcher.Prepared.go`; nothing runs, no descriptor is left.
        """
        try:
            launched = self._prepared.go()
        except BaseException:
            self.close()
            raise
        ends, self._ends = self._ends, _NONE
        return TreeRunning(launched, ends, self._finish)

    def close(self) -> None:
        """Give it up, with all that was made for it; nothing happens where the task runs."""
        self._prepared.close()
        ends, self._ends = self._ends, _NONE
        _close(*ends)

    def __del__(self) -> None:
        """Leave no descriptor of what nobody let go."""
        self.close()


def prepare(
    launcher: Launcher,
    order: Callable[[int, int], Order],
    finish: Callable[[Report], Ended],
    *,
    window: Window | None = None,
    streams: tuple[int, int] | None = None,
) -> TreePrepared:
    """Hand a launcher an order made for the write ends of two new pipes, or for a new terminal.

    Args:
        launcher: Starts it.
        order: Made for standard output and error.
        finish: What is done with the report.
        window: The terminal, and which streams are on it.
        streams: Standard output and error in place of the pipes; the caller keeps them, and there is nothing to read then.

    Raises:
        ElevateError: As `Launcher.prepare`; nothing runs, no descriptor is left.
    """
    if streams is not None:
        return TreePrepared(launcher.prepare(order(*streams)), _NONE, finish)
    stdout, write_out, stderr, write_err, master, slave, jobs, tell = _made(window)
    try:
        made = order(write_out, write_err)
        prepared = launcher.prepare(_on(made, window, slave, tell) if window else made)
    except BaseException:
        _close(stdout, stderr, master, jobs)
        raise
    finally:
        _close(write_out, write_err, slave, tell)
    return TreePrepared(prepared, (stdout, stderr, master, jobs), finish)


def _made(window: Window | None) -> tuple[int, ...]:
    """Make the two pipes and, for a window, the terminal; none of them stays where one can't be had."""
    fds: list[int] = []
    try:
        for make in (os.pipe, os.pipe, lambda: _terminal(window) if window else _NONE):
            fds += make()
    except BaseException:
        _close(*fds)
        raise
    return tuple(fds)


def _on(order: Order, window: Window, slave: int, tell: int) -> Order:
    """Give the order with the terminal in place of the streams that are on it."""
    term = {"TERM": window.term} if is_safe("TERM", window.term) else {}
    return replace(
        order,
        fds={**order.fds, **dict.fromkeys(window.streams, slave)},
        env={**term, **order.env},
        terminal=window.streams[0],
        foreground=_has_keys(window),
        jobs_fd=tell,
    )


def _has_keys(window: Window) -> bool:
    """Say whether the task has the person's keys at once; in a pipeline others may want them."""
    return {0, 1} <= set(window.streams)


def _terminal(window: Window) -> tuple[int, int, int, int]:
    """Make a terminal that belongs to nobody yet, and the pipe on which stops are told."""
    jobs, tell = os.pipe()
    try:
        master, slave = os.openpty()
    except OSError:
        _close(jobs, tell)
        raise
    if not _has_keys(window):
        # What it shows goes through the person's own terminal, which is not raw then and ends the lines itself.
        mode = termios.tcgetattr(slave)
        mode[1] &= ~termios.OPOST
        termios.tcsetattr(slave, termios.TCSANOW, mode)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", window.rows, window.columns, 0, 0))
    return master, slave, jobs, tell


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
