"""A started task: its two pipes, and what is checked and cleaned when its tree has ended."""

import os
import signal as signals
import threading
from collections.abc import Callable

from elevate.host.launcher import Launched, Launcher, Order, Report
from elevate.model import Ended


class TreeRunning:
    """A `elevate.ports.Running` over one launched tree."""

    def __init__(self, launched: Launched, stdout: int, stderr: int, finish: Callable[[Report], Ended]) -> None:
        self.pid = launched.pid
        self.stdout = stdout
        self.stderr = stderr
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


def start(launcher: Launcher, order: Callable[[int, int], Order], finish: Callable[[Report], Ended]) -> TreeRunning:
    """Launch an order made for the write ends of two new pipes.

    Raises:
        ElevateError: As `Launcher.launch`; nothing runs, no descriptor is left.
    """
    stdout, write_out = os.pipe()
    stderr, write_err = os.pipe()
    try:
        launched = launcher.launch(order(write_out, write_err))
    except BaseException:
        os.close(stdout)
        os.close(stderr)
        raise
    finally:
        os.close(write_out)
        os.close(write_err)
    return TreeRunning(launched, stdout, stderr, finish)
