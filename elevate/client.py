"""``elevate run``: the thin client. It starts fast, decides nothing and never sees the PIN.

The story: read the options, find the broker, take what is piped in, send one call, and then copy what the task writes until
the broker says how it ended. The terminal goes to the broker by descriptor, for its own prompt; the task never gets it;
where a rule says interactive, it has one of its own (`elevate.interactive`).

- Exit status of the task passes through; a fatal signal is raised again here. Own failures: 125, 126, 127, with one line
  ``elevate: error: …`` and one ``elevate: hint: …``.
- Ctrl-C before the task runs cancels the request, waits until the broker has put the terminal right, and ends this process by
  the same signal. While the task runs, the signal is passed on to it.
- Output is copied as it comes; a slow reader slows the task down.
- At its start nothing is loaded that costs: no json, socket, signal, subprocess, dataclasses, typing, enum, re, argparse,
  asyncio. A test holds the list.
"""

import _signal  # type: ignore[import-not-found]  # typeshed knows its wrapper only
import posix

from elevate.copying import Copy
from elevate.late import errors
from elevate.wire import Wire, place, wait
from elevate.words import ALONE, USAGE, parse

MAX_INPUT = 16 * 2**20
NOTE_AFTER_MS = 2_000
_CHUNK = 65_536
_SIGNALS = (
    *(_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT),
    *(_signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGALRM),
)
_S_IFMT, _S_IFCHR = 0o170000, 0o020000
_F_ADD_SEALS = 1033
_SEALS = 0xF  # seal, shrink, grow, write


class _Interrupted(BaseException):
    """A signal came before anything was asked."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Stage:
    """How far this run has come; the signal handler looks here."""

    wire: "Wire | None" = None
    request = ""
    signal = 0
    alarm = -1


def run(words: "list[str]", *, path: str = "") -> int:
    """Run what follows ``elevate run`` and give the exit status; a fatal signal does not return.

    Args:
        words: The command line after ``run``.
        path: Of a socket where this user's own broker listens, for tests; no option leads here.
    """
    hold_standard_descriptors()
    stage = _Stage()
    stage.alarm, writer = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    for number in _SIGNALS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, lambda number, _frame: _on_signal(stage, number))
    try:
        return _end(_elevate(words, stage, path))
    except errors.ElevateError as error:
        if not stage.signal:
            tell(error)
            return error.exit_code
        tell(errors.CancelledError("cancelled by a signal"))
        return _die(stage.signal)
    except _Interrupted as interrupted:
        tell(errors.CancelledError("cancelled by a signal"))
        return _die(interrupted.number)


def tell(error: "errors.ElevateError") -> None:
    """Print one error and what to do next, on standard error."""
    hint = _plain(error.hint)
    text = f"elevate: error: {_plain(error.message)}\n" + (f"elevate: hint: {hint}\n" if hint else "")
    try:
        _write_all(2, text.encode("utf-8", "backslashreplace"))
    except OSError:
        return  # the terminal has gone; the exit status tells it all the same


def _elevate(words: "list[str]", stage: _Stage, path: str) -> "dict[str, object]":
    options, argv = parse(words, posix.environ)
    if "pin_piped" in options and _is_piped(options):
        from elevate import never

        raise never.piped_pin()
    path, uid = (path, posix.getuid()) if path else place()
    if any(name in options for name in ALONE) and ("forget" not in options or not argv):
        return _without_task(options, argv, stage, (path, uid))
    Wire(path, uid).close() if _is_piped(options) else None
    payload = _read_input(stage.alarm) if _is_piped(options) else None
    wire = Wire(path, uid, alarm=stage.alarm)
    terminal = None if options.get("non_interactive") else _terminal()
    fds = tuple(fd for fd in (terminal, payload) if fd is not None)
    parameters: dict[str, object] = {
        "task": _task(options, argv),
        "reason": options.get("reason"),
        "terminal_fd": None if terminal is None else 0,
        "payload_fd": None if payload is None else len(fds) - 1,
        "window": _window(options),
        "descriptors": True,
        "brief": True,
    }
    stage.wire = wire
    wire.send("Run", parameters, flag="more", fds=fds)
    for fd in fds:
        posix.close(fd)
    return _follow(wire, stage)


def _task(options: "dict[str, object]", argv: "list[str]") -> "dict[str, object]":
    params: dict[str, object] = {"argv": argv, "cwd": _cwd()}
    params |= {name: options[name] for name in ("env", "run_as", "run_as_group") if name in options}
    return {"kind": "process.run", "params": params}


def _without_task(
    options: "dict[str, object]", argv: "list[str]", stage: _Stage, where: "tuple[str, int]"
) -> "dict[str, object]":
    """Do what needs no task: help, and sudo's -k, -l and -v."""
    from elevate import ways

    if "help" in options:
        status, text = 0, USAGE
    elif "list" in options or "validate" in options:
        wire = stage.wire = Wire(*where, alarm=stage.alarm)
        if "validate" in options:
            status, text = ways.validate(wire, _terminal())
        else:
            status, text = ways.allowed(wire, _task(options, argv)) if argv else ways.rules(wire)
    else:
        status, text = ways.forget()
    try:
        _write_all(1, _plain(text).encode("utf-8", "backslashreplace"))
    except OSError as exc:
        raise errors.BrokerError(f"the output can't be written: {exc.strerror}", hint="part of it may be missing") from exc
    return {"outcome": {"exit_status": status}}


def _follow(wire: Wire, stage: _Stage) -> "dict[str, object]":
    """Wait for the task to start, then copy until it has ended; give its outcome."""
    while True:
        told, continues = wire.receive()
        if not continues:
            return told
        if told.get("state") == "running":
            stage.request = str(told.get("request", ""))
            out, err = wire.take_fds(2)
            if "terminal_fd" not in told:
                _signal.signal(_signal.SIGTSTP, lambda *_: _on_stop(stage))
                _signal.signal(_signal.SIGCONT, lambda number, _: _pass_on(wire, stage.request, number))
                return Copy(wire, {out: 1, err: 2}).run()
            from elevate.interactive import converse

            return converse(wire, stage.request, {out: 1, err: 2}, wire.take_fds(2))


def _window(options: "dict[str, object]") -> "dict[str, object] | None":
    """Give the size of the person's terminal, for a task that may use one."""
    if not any(posix.isatty(fd) for fd in range(3)):
        return None
    from elevate.interactive import window

    return window(no_stdin="no_stdin" in options)


def _is_piped(options: "dict[str, object]") -> bool:
    """Say whether standard input is declared to the task: a pipe, a file or a socket, but no terminal and no /dev/null."""
    if options.get("no_stdin"):
        return False
    return posix.fstat(0).st_mode & _S_IFMT != _S_IFCHR


def _read_input(alarm: int) -> int:
    """Read standard input to its end into a sealed memory file."""
    import fcntl

    memory = posix.memfd_create("elevate-input", posix.MFD_CLOEXEC | posix.MFD_ALLOW_SEALING)
    size, noted = 0, False
    while True:
        if not wait((0,), alarm, None if noted else NOTE_AFTER_MS):
            _write_all(2, b"elevate: note: waiting for the end of standard input; --no-stdin leaves it out\n")
            noted = True
            continue
        data = posix.read(0, _CHUNK)
        if not data:
            break
        size += len(data)
        if size > MAX_INPUT:
            raise errors.TaskInvalidError(f"standard input is over {MAX_INPUT} bytes", hint="put it into a file and name that")
        _write_all(memory, data)
    fcntl.fcntl(memory, _F_ADD_SEALS, _SEALS)
    return memory


def _terminal() -> "int | None":
    """Open the controlling terminal for the broker's prompt; in the background wait, as any user of it does.

    Where no shell could bring us to the foreground, or the terminal has gone, it is as if there were none.
    """
    try:
        fd = posix.open("/dev/tty", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        if posix.tcgetpgrp(fd) != posix.getpgrp():
            from elevate import interactive

            interactive.wait_for_foreground(fd)
    except OSError:
        posix.close(fd)
        return None
    return fd


def _cwd() -> str:
    try:
        return posix.getcwd()
    except OSError as exc:
        raise errors.TaskInvalidError("the working directory can't be found", hint="change to a folder that is there") from exc


def _on_signal(stage: _Stage, number: int) -> None:
    again, stage.signal = stage.signal, number
    if stage.wire is None or (again and not stage.request):
        raise _Interrupted(number)
    if stage.request:
        stage.signal = 0  # it is the task's now: how that ends is how we end
        _pass_on(stage.wire, stage.request, number)
    else:
        stage.wire.hang_up()


def _on_stop(stage: _Stage) -> None:
    """Stop the task, then ourselves; SIGCONT continues both. It has no terminal, so only SIGSTOP stops it."""
    if stage.wire is not None:
        _pass_on(stage.wire, stage.request, _signal.SIGSTOP)
        kept = _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
        posix.kill(posix.getpid(), _signal.SIGTSTP)
        _signal.signal(_signal.SIGTSTP, kept)


def _pass_on(wire: Wire, request: str, number: int) -> None:
    try:
        wire.send("Signal", {"request": request, "signal": number}, flag="oneway")
    except errors.BrokerError:
        return


def _end(told: "dict[str, object]") -> int:
    outcome = told.get("outcome")
    if not isinstance(outcome, dict):
        raise errors.BrokerError("the broker did not say how the task ended", hint="see: elevate status")
    if outcome.get("timed_out"):
        _write_all(2, b"elevate: note: the task's time limit ended it\n")
    if isinstance(outcome.get("signal"), int):
        return _die(outcome["signal"])
    status = outcome.get("exit_status")
    return status if isinstance(status, int) else errors.EXIT_BROKER


def _die(number: int) -> int:
    """End this process by ``number``, without a core file; where that does not end it, give the shell's number for it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number not in {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    return 128 + number


def hold_standard_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed, so that no socket gets its number."""
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open("/dev/null", posix.O_RDWR)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[posix.write(fd, view) :]
