"""A task on a terminal of its own, where a rule says interactive: the client passes keys in and screens out.

The person's terminal is raw meanwhile, so that Ctrl-C, Ctrl-Z and the like are the task's, and it is put right whatever happens
but SIGKILL. Its size goes along, also when it changes.

Source: termios(3), tty_ioctl(4).
"""

import _signal  # type: ignore[import-not-found]  # typeshed knows its wrapper only
import fcntl
import posix
import termios

from elevate.copying import Copy
from elevate.wire import Wire

_SIZE = 8
_PR_SET_DUMPABLE = 4


def window() -> "dict[str, object] | None":
    """Give the size of the terminal on which a person sits; None where standard input or output is none."""
    if not (posix.isatty(0) and posix.isatty(1)):
        return None
    size = posix.get_terminal_size(0)
    return {"rows": size.lines, "columns": size.columns}


def converse(wire: Wire, streams: "dict[int, int]", master: int) -> "dict[str, object]":
    """Connect the person's terminal with the task's until the task has ended; give its outcome."""
    _close_to_others()
    before = termios.tcgetattr(0)
    watched = {_signal.SIGWINCH: lambda *_: _resize(master), _signal.SIGCONT: lambda *_: _make_raw(before)}
    kept = {number: _signal.signal(number, handler) for number, handler in watched.items()}
    try:
        _make_raw(before)
        _resize(master)
        return Copy(wire, {**streams, master: 1}, {0: master}).run()
    finally:
        for number, handler in kept.items():
            _signal.signal(number, handler)
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _close_to_others() -> None:
    """Make this process undumpable.

    SECURITY: it holds the other end of an elevated program's terminal; another program of the same user must not take it out of
    here, nor type by it (attacks.md row 27).
    """
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _make_raw(before: "list[int | list[bytes | int]]") -> None:
    mode = list(before)
    off_input = termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON | termios.INLCR | termios.IGNCR
    mode[0] = _flags(mode[0]) & ~off_input
    mode[1] = _flags(mode[1]) & ~termios.OPOST
    mode[2] = _flags(mode[2]) & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] = _flags(mode[3]) & ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(0, termios.TCSADRAIN, mode)


def _flags(value: object) -> int:
    return value if isinstance(value, int) else 0


def _resize(master: int) -> None:
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(_SIZE)))
    except OSError:
        return  # the task has ended, or the window has gone
