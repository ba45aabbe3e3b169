"""An open prompt on a terminal: the program is started, spoken with and ended; the terminal is put back whatever happens."""

import contextlib
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from elevate.broker.looking import Looks
from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, GestureError, PromptTimedOutError
from elevate.hello import program
from elevate.hello.dialog import Dialog, Ending
from elevate.hello.view import TIMEOUT_SECONDS
from elevate.host.launcher import Launched, Order
from elevate.ports import Assertion, Cancel

_PROGRAM = str(Path(program.__file__).resolve())
_SPARE_SECONDS = 10
_SEND_SECONDS = 5


class Starter(Protocol):
    """Starts programs; `elevate.host.launcher.Launcher` is one."""

    def launch(self, order: Order) -> Launched:
        """Start one."""


class OpenPrompt:
    """A prompt while it is open; a context.

    Args:
        launcher: Starts the program.
        terminal: Descriptor of the caller's terminal.
        cancel: Ends the prompt.
        seconds: How long it waits for an answer.

    Attributes:
        beside: Sensors that look at the same time.
    """

    def __init__(self, launcher: Starter, terminal: int, cancel: Cancel, *, seconds: int = TIMEOUT_SECONDS) -> None:
        if not os.isatty(terminal):
            raise GestureError("there is no terminal to ask on", hint="run it from a terminal")
        self._launcher, self._terminal, self._cancel, self._seconds = launcher, terminal, cancel, seconds
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(_SEND_SECONDS)
        self._dialog = Dialog(self._ours)
        self._said_done = False
        self.beside: Looks | None = None

    def __enter__(self) -> Self:
        """Start the program."""
        with self._theirs:
            self._launched = self._launcher.launch(self._order((), self._theirs.fileno()))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it, and see that the terminal is as it was."""
        if not self._said_done:
            self.done("" if kind is None else "nothing was done")
        self._ours.close()
        report = self._wait()
        if report and self._dialog.restore:
            self._put_back()

    def show(self, view: Mapping[str, Json], *, phrase: str) -> None:
        """Show a view; it is on the terminal when this returns, so no sensor looks before the person can have read it.

        Raises:
            DeclinedError, PromptTimedOutError, CancelledError: It ended before.
        """
        self._dialog.show(view, phrase=phrase, seconds=self._seconds)
        self._until_shown()

    def say(self, *text: str) -> None:
        """Show plain lines."""
        self._dialog.say(list(text), seconds=self._seconds)
        self._until_shown()

    def done(self, message: str) -> None:
        """Say the last word."""
        self._said_done = True
        self._dialog.done(message)

    def ask(self, text: str, *, message: str = "", echo: bool = False, typing_helps: bool = True) -> bytearray | Assertion:
        """Ask for one line; give it, or the proof of a sensor that was first.

        Args:
            text: The question.
            message: Above it.
            echo: Show what is typed.
            typing_helps: Where it does not, the last sensor that fails ends the prompt.

        Raises:
            DeclinedError, PromptTimedOutError, CancelledError: How it ended without one.
            GestureError: The last sensor failed, and typing does not help.
        """
        if not typing_helps and not (self.beside and self.beside.looking()):
            raise GestureError("no gesture is left that could succeed")
        self._dialog.ask(text, message=message, echo=echo)
        while True:
            ready = self._wait_for_something()
            result = self.beside.take() if self.beside and self.beside.fileno() in ready else None
            if isinstance(result, Assertion):
                return result
            if result is not None and not typing_helps and self.beside and not self.beside.looking():
                raise result
            answer = self._receive(ready)
            if answer is not None:
                return answer

    def text(self, text: str, *, message: str = "", echo: bool = False) -> bytearray:
        """Ask for one line, where no sensor looks beside it."""
        answer = self.ask(text, message=message, echo=echo)
        return answer if isinstance(answer, bytearray) else bytearray()

    def _until_shown(self) -> None:
        while not self._dialog.shown:
            self._receive(self._wait_for_something())

    def _receive(self, ready: set[int]) -> bytearray | None:
        answer = self._dialog.receive() if self._dialog.fileno() in ready else None
        if isinstance(answer, Ending):
            raise _ended(answer)
        return answer

    def _wait_for_something(self) -> set[int]:
        watched = {self._dialog.fileno(), self._cancel.fileno()}
        watched |= {self.beside.fileno()} if self.beside else set()
        # Not select: a busy broker's descriptors go beyond the 1,024 that it knows.
        poll = select.poll()
        for fd in watched - {-1}:
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll((self._seconds + _SPARE_SECONDS) * 1000)]
        if not ready:  # the program keeps the time; this is for one that was stopped
            raise _ended(Ending.TIMED_OUT)
        if self._cancel.cancelled():
            raise CancelledError("the caller left while the prompt was open")
        return set(ready)

    def _wait(self) -> bool:
        """Wait for the program to end; say whether it was killed."""
        poll = select.poll()
        poll.register(self._launched.fileno(), select.POLLIN)
        if not poll.poll(_SEND_SECONDS * 1000):
            self._launched.kill(signal.SIGKILL)
        report = self._launched.wait()
        return report.signal is not None or report.timed_out

    def _put_back(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs, contextlib.suppress(OSError):
            ours.send(self._dialog.restore)
            self._launcher.launch(self._order(("restore",), theirs.fileno())).wait()

    def _order(self, words: tuple[str, ...], channel: int) -> Order:
        return Order(
            argv=(os.path.realpath(sys.executable), "-I", "-S", _PROGRAM, *words),
            env={},
            cwd="/",
            fds={0: self._terminal, 1: self._terminal, 2: self._terminal, program.CHANNEL: channel},
            time_limit_seconds=self._seconds + _SPARE_SECONDS,
        )


def _ended(ending: Ending) -> Exception:
    match ending:
        case Ending.DECLINED:
            return DeclinedError("declined at the prompt")
        case Ending.TIMED_OUT:
            return PromptTimedOutError("nobody answered the prompt in time")
        case Ending.CLOSED:
            return CancelledError("the terminal was closed while the prompt was open")
