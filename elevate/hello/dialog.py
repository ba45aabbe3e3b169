"""The broker's end of a prompt: what is said to the prompt program, and what comes back.

It is bounded and trusts nothing that comes back: the program runs beside the caller's terminal.
"""

import json
import socket
from collections.abc import Mapping
from enum import Enum

from elevate.canonical import Json
from elevate.hello import program
from elevate.hello.render import COLOURED_LINES, lines

_MAX_BACK = 4096


class Ending(Enum):
    """How a prompt ended without an answer."""

    DECLINED = program.DECLINED
    TIMED_OUT = program.TIMED_OUT
    CLOSED = program.CLOSED


class Dialog:
    """One open prompt.

    Attributes:
        restore: What puts the terminal's settings back, should the program be killed; empty until it is ready.
        shown: What was shown last is on the terminal.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.restore = b""
        self.shown = False

    def fileno(self) -> int:
        """Give a descriptor that is readable when there is something to `receive`."""
        return self._channel.fileno()

    def show(self, view: Mapping[str, Json], *, phrase: str, seconds: int) -> None:
        """Show a view, with the person's own phrase."""
        self.shown = False
        shown: list[Json] = list(lines(view, phrase=phrase))
        colour = view.get("class", "")
        self._send(program.SHOW, {"lines": shown, "colour": colour, "coloured": COLOURED_LINES, "seconds": seconds})

    def say(self, text: list[str], *, seconds: int) -> None:
        """Show plain lines, for enrolment."""
        self.shown = False
        shown: list[Json] = list(text)
        self._send(program.SHOW, {"lines": shown, "colour": "", "coloured": 0, "seconds": seconds})

    def ask(self, text: str, *, message: str = "", echo: bool = False) -> None:
        """Ask for one line, below a message."""
        self._send(program.ASK, {"ask": text, "message": message, "echo": echo})

    def done(self, message: str) -> None:
        """Say the last word; the program ends."""
        self._send(program.DONE, {"message": message})

    def receive(self) -> bytearray | Ending | None:
        """Take what came: what was typed, how it ended, or None for the program's word that it is ready or has shown all.

        A program that is gone is a closed terminal.
        """
        data = bytearray(_MAX_BACK)
        try:
            size = self._channel.recv_into(data)
        except OSError:
            size = 0
        verb = bytes(data[:1]) if size else program.CLOSED
        if verb == program.TYPED:
            typed = data[1:size]
            data[:] = bytes(len(data))
            return typed
        if verb in (program.READY, program.SHOWN):
            self.restore = self.restore or bytes(data[1:size])
            self.shown = verb == program.SHOWN
            return None
        return Ending(verb) if verb in {ending.value for ending in Ending} else Ending.CLOSED

    def _send(self, verb: bytes, body: dict[str, Json]) -> None:
        try:
            self._channel.send(verb + json.dumps(body).encode())
        except OSError:
            return  # the next receive says that it is closed
