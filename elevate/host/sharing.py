"""How the launcher and a task with a terminal share it, so that the task can be stopped, continued and put into the background.

The kernel lets nobody stop a process group whose parents are all outside of its session. So the launcher leads the session, and
the task is a group of its own in it, in the foreground at once or from its first read on. Standard library only.

Source: POSIX.1-2017, 11.1.4 and 3.263, orphaned process group; tty_ioctl(4).
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import fcntl
import os

IGNORED = (signal.SIGTTOU, signal.SIGTTIN, signal.SIGTSTP)
"""By the launcher: it is never in the foreground, and nobody stops it."""
_TIOCSCTTY = 0x540E


def take(terminal: int) -> None:
    """Take the terminal for this session; who is forked from now on has it, too."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    fcntl.ioctl(terminal, _TIOCSCTTY, 0)


def give(terminal: int, pid: int, *, foreground: bool) -> None:
    """Make a child that waits for its order a group of its own, and where it is to have the terminal at once, give it that."""
    # When the other end goes, the kernel tells the leader of the session only.
    signal.signal(signal.SIGHUP, lambda *_: _pass_on(pid))
    os.setpgid(pid, pid)
    if foreground:
        os.tcsetpgrp(terminal, pid)


def to_foreground(terminal: int, pid: int) -> None:
    """Give a group the terminal of this session."""
    with contextlib.suppress(OSError):
        os.tcsetpgrp(terminal, pid)


def _pass_on(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGHUP)
        os.killpg(pid, signal.SIGCONT)
