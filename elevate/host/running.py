"""A started task: its two pipes or its terminal, and what is checked and cleaned when its tree has ended."""

import fcntl
import os
import signal as signals
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import replace

from elevate.host.launcher import Launched, Launcher, Order, Report
from elevate.model import Ended


class TreeRunning:
    """A `elevate.ports.Running` over one launched tree."""

    def __init__(self, launched: Launched, ends: tuple[int, int, int], finish: Callable[[Report], Ended]) -> None:
        self.pid = launched.pid
        self.stdout, self.stderr, self.terminal = ends
        self._launched = launched
        self._finish = finish
        self._ended: Ended | None = None
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Give a descriptor that turns readable when the tree has ended."""
        return self._launched.fileno()

    def wait(self) -> Ended:
        """Wait until the whole tree has ended, clean up, and check; the same answer every time."""
        report = self._launched.wait()
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


def start(
    launcher: Launcher,
    order: Callable[[int, int], Order],
    finish: Callable[[Report], Ended],
    *,
    window: tuple[int, int] | None = None,
    streams: tuple[int, int] | None = None,
) -> TreeRunning:
    """Launch an order made for the write ends of two new pipes, or for a new terminal of that many rows and columns.

    Args:
        launcher: Starts it.
        order: Made for standard output and error.
        finish: What is done with the report.
        window: Size of the terminal.
        streams: Standard output and error in place of the pipes; the caller keeps them, and there is nothing to read then.

    Raises:
        ElevateError: As `Launcher.launch`; nothing runs, no descriptor is left.
    """
    if streams is not None:
        return TreeRunning(launcher.launch(order(*streams)), (-1, -1, -1), finish)
    stdout, write_out = os.pipe()
    stderr, write_err = os.pipe()
    master, slave = _terminal(window) if window else (-1, -1)
    try:
        if window:
            made = order(slave, slave)
            made = replace(made, fds={**made.fds, 0: slave}, controlling_terminal=True)
        else:
            made = order(write_out, write_err)
        launched = launcher.launch(made)
    except BaseException:
        _close(stdout, stderr, master)
        raise
    finally:
        _close(write_out, write_err, slave)
    return TreeRunning(launched, (stdout, stderr, master), finish)


def _terminal(window: tuple[int, int]) -> tuple[int, int]:
    """Make a terminal that belongs to nobody yet."""
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *window, 0, 0))
    return master, slave


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        if descriptor >= 0:
            os.close(descriptor)
