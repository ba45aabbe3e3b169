"""A task on a terminal of its own, where a rule says interactive: the client passes keys in and screens out.

- What of ours is no terminal is a pipe of the task's, as with sudo: input that was declared, output that goes into a file.
- While keys go to the task the person's terminal is raw, so that Ctrl-C, Ctrl-Z and the like are the task's; it is put right
  whatever happens, after SIGKILL by the broker. Its size goes along, also when it changes.
- In a pipeline, where others may want the keys, the task gets them from when it first asks for them.
- When the task is stopped, so are we, with our whole job; when we are continued, so is it. In the background it gets no keys.

Source: termios(3), tty_ioctl(4), POSIX.1-2017 chapter 11.
"""

import _signal  # type: ignore[import-not-found]  # typeshed knows its wrapper only
import fcntl
import posix
import termios

from elevate.copying import Copy
from elevate.late import errors
from elevate.wire import Wire

_SIZE = 8
_MAX_TERM = 64
_PR_SET_DUMPABLE = 4
_ASKS = (_signal.SIGTTIN, _signal.SIGTTOU)
_OPEN = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC


def window(*, no_stdin: bool) -> "dict[str, object] | None":
    """Say what terminal we have and which of our streams are on it; None where none is, or it is not our job's."""
    on = [posix.isatty(fd) for fd in range(3)]
    if not any(on) or not _has_terminal():
        return None
    size = posix.get_terminal_size(on.index(True))
    return {
        "rows": size.lines,
        "columns": size.columns,
        "term": posix.environ.get(b"TERM", b"")[:_MAX_TERM].decode("ascii", "replace"),
        "input_piped": no_stdin or not on[0],
        "output_piped": not on[1],
        "error_piped": not on[2],
    }


def _has_terminal() -> bool:
    try:
        posix.close(posix.open("/dev/tty", _OPEN))
    except OSError:
        return False
    return True


def converse(wire: Wire, request: str, streams: "dict[int, int]", ends: "list[int]") -> "dict[str, object]":
    """Connect the person's terminal with the task's until the task has ended; give its outcome.

    Args:
        wire: To the broker.
        request: Id of the running request.
        streams: Pipes of the task's and where they go.
        ends: The other end of the task's terminal, and where its stops are told.
    """
    _close_to_others()
    session = _Session(wire, request, streams, ends)
    watched = {
        _signal.SIGWINCH: session.resize,
        _signal.SIGCONT: session.continued,
        _signal.SIGTSTP: lambda number, _frame: session.tell(number),
    }
    kept = {number: _signal.signal(number, handler) for number, handler in watched.items()}
    try:
        if posix.isatty(0) and posix.isatty(1):
            session.wanted = True
            session.attach()
        return session.run()
    finally:
        for number, handler in kept.items():
            _signal.signal(number, handler)
        session.detach()


def _close_to_others() -> None:
    """Make this process undumpable.

    SECURITY: it holds the other end of an elevated program's terminal; another program of the same user must not take it out of
    here, nor type by it (attacks.md row 27).
    """
    import _ctypes  # the package around it costs 6 ms

    this_process = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # as dlopen(3) says it
    _ctypes.call_function(_ctypes.dlsym(this_process, "prctl"), (_PR_SET_DUMPABLE, 0, 0, 0, 0))


class _Session(Copy):
    """One conversation. Attached means that the terminal is raw and keys go to the task."""

    def __init__(self, wire: Wire, request: str, streams: "dict[int, int]", ends: "list[int]") -> None:
        self.request = request
        self.terminal = posix.open("/dev/tty", _OPEN)
        self.master, jobs = ends
        super().__init__(wire, {**streams, self.master: self.terminal})
        self.jobs = jobs
        self.wanted = False
        self.before: "list[int | list[bytes | int]] | None" = None

    def attach(self) -> bool:
        """Take the keys, where we are in the foreground; else only remember that the task wants them."""
        if not self.wanted:
            self.wanted = True
            self._end_lines()
        if posix.tcgetpgrp(self.terminal) != posix.getpgrp():
            return False
        if self.before is None:
            self.before = termios.tcgetattr(self.terminal)
            termios.tcsetattr(self.terminal, termios.TCSADRAIN, raw(self.before))
        self.inputs = {self.terminal: self.master}
        self.resize()
        return True

    def _end_lines(self) -> None:
        """Let the task's terminal end lines as terminals do: from now on ours does not."""
        mode = termios.tcgetattr(self.master)
        mode[1] |= termios.OPOST
        termios.tcsetattr(self.master, termios.TCSANOW, mode)

    def detach(self) -> None:
        """Leave the keys, and the terminal as it was."""
        before, self.before = self.before, None
        self.inputs = {}
        if before is not None:
            termios.tcsetattr(self.terminal, termios.TCSADRAIN, before)

    def tell(self, number: int) -> None:
        """Pass a signal to the task."""
        try:
            self.wire.send("Signal", {"request": self.request, "signal": number}, flag="oneway")
        except errors.BrokerError:
            return

    def resize(self, *_: object) -> None:
        """Give the task's terminal the size of ours."""
        try:
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, fcntl.ioctl(self.terminal, termios.TIOCGWINSZ, bytes(_SIZE)))
        except OSError:
            return  # the task has ended, or the window has gone

    def continued(self, *_: object) -> None:
        """Take the keys again after a stop, or when we come to the foreground."""
        if self.wanted:
            self.attach()

    def stopped(self, number: int) -> None:
        """Do as the task: where it wants the terminal it gets it; else stop, and continue it when we are continued."""
        if number not in _ASKS or not self.attach():
            self.detach()
            _stop(number if number in _ASKS else _signal.SIGTSTP)
            self.continued()
        self.tell(_signal.SIGCONT)


def _stop(number: int) -> None:
    """Stop with our whole job. Where no shell could continue it, the kernel does not stop it."""
    kept = _signal.signal(number, _signal.SIG_DFL)
    posix.killpg(posix.getpgrp(), number)
    _signal.signal(number, kept)


def wait_for_foreground(terminal: int) -> None:
    """Stop with our whole job until it is in the foreground: the kernel does it to who drains a terminal in the background.

    Raises:
        OSError: No shell could continue us, or the terminal has gone.
    """
    kept = _signal.signal(_signal.SIGTTOU, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {_signal.SIGTTOU})
    try:
        while posix.tcgetpgrp(terminal) != posix.getpgrp():
            termios.tcdrain(terminal)
    except termios.error as exc:
        raise OSError(*exc.args) from exc
    finally:
        _signal.signal(_signal.SIGTTOU, kept)


def raw(before: "list[int | list[bytes | int]]") -> "list[int | list[bytes | int]]":
    """Give the mode in which every key is passed on as it is."""
    mode = list(before)
    off_input = termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON | termios.INLCR | termios.IGNCR
    mode[0] = _flags(mode[0]) & ~off_input
    mode[1] = _flags(mode[1]) & ~termios.OPOST
    mode[2] = _flags(mode[2]) & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] = _flags(mode[3]) & ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
    return mode


def _flags(value: object) -> int:
    return value if isinstance(value, int) else 0
