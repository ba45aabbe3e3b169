"""The prompt program: shows one prompt on the caller's terminal and reads one answer at a time. Standard library only.

The broker starts it (``python -I -S program.py``) with the terminal as descriptors 0, 1 and 2 and a channel as descriptor 3.
The client never sees what is typed. It decides nothing: it shows lines, reads a line, and sends that to the broker.

- It is not dumpable: nobody of the same user reads its memory or attaches to it.
- Input that was typed before is thrown away, and so is what is left when it ends; nothing is echoed; the terminal's settings
  are put back whatever happens.
- Every shown character is printable; the broker has escaped already, and this is the second lock.
- No answer within the time, Ctrl-C, Ctrl-Backslash, a closed terminal and a broker that is gone each end it.

With the argument ``restore`` it only puts a terminal's settings back, for a prompt that was killed.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
import termios
import time

CHANNEL = 3
MAX_TYPED = 127
MAX_MESSAGE = 524_288
SHOW, ASK, DONE = b"S", b"A", b"D"
READY, SHOWN, TYPED, DECLINED, TIMED_OUT, CLOSED = b"R", b"K", b"P", b"N", b"T", b"C"
_PR_SET_DUMPABLE = 4
_COLOURS = {"grey": "\x1b[30;47m", "yellow": "\x1b[30;43m", "red": "\x1b[97;41m"}
_CTRL_C, _CTRL_D, _CTRL_U, _CTRL_BACKSLASH, _BACKSPACE, _DELETE, _ESCAPE, _SPACE = 3, 4, 21, 28, 8, 127, 27, 32
_ENDS = (10, 13)
_INTRODUCERS, _FINAL = b"[O", range(0x40, 0x7F)  # ECMA-48: CSI and SS3, and what ends them


class Over(Exception):  # noqa: N818 - not an error: how the prompt ended
    """The prompt is over; the argument is what the broker is told, empty where it knows."""


def printable(text: object) -> str:
    """Show what could move a cursor, start a line or turn the reading direction as an escape."""
    return "".join(char if char.isprintable() else f"\\u{{{ord(char):x}}}" for char in str(text))


class Terminal:
    """The caller's terminal while the prompt is open."""

    def __init__(self) -> None:
        self._before = termios.tcgetattr(0)

    def __enter__(self) -> "Terminal":  # noqa: PYI034 - typing would cost start-up time
        """Take over: no echo, no line editing, no signals by key; what was typed before is thrown away."""
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSAFLUSH, quiet)
        return self

    def __exit__(self, *_: object) -> None:
        """Throw away what is left and put the settings back."""
        with contextlib.suppress(termios.error):
            termios.tcsetattr(0, termios.TCSAFLUSH, self._before)

    def write(self, text: str) -> None:
        """Write text that is ours or was made printable."""
        data = text.encode("utf-8", "replace")
        while data:
            try:
                data = data[os.write(1, data) :]
            except OSError:
                raise Over(CLOSED) from None

    def read(self) -> int:
        """Read one byte."""
        try:
            data = os.read(0, 1)
        except OSError:
            data = b""
        if not data:
            raise Over(CLOSED)
        return data[0]


class Prompt:
    """One conversation between the broker and the person."""

    def __init__(self, channel: socket.socket, terminal: Terminal) -> None:
        self._channel = channel
        self._terminal = terminal
        self._deadline = time.monotonic() + 120
        self._inside = ""

    def run(self) -> None:
        """Do what the broker says until it is done."""
        while True:
            verb, body = self._receive()
            if verb == SHOW:
                self._show(body)
            elif verb == ASK:
                self._ask(body)
            else:
                self._terminal.write("\n" + printable(body["message"]) + "\n")
                raise Over(b"")

    def _receive(self) -> "tuple[bytes, dict[str, object]]":
        data = self._channel.recv(MAX_MESSAGE)
        if not data:
            raise Over(b"")
        return data[:1], json.loads(data[1:])

    def _show(self, body: "dict[str, object]") -> None:
        self._deadline = time.monotonic() + float(str(body["seconds"]))
        colour = _COLOURS.get(str(body["colour"]), "")
        lines, coloured = body["lines"], int(str(body["coloured"]))
        for number, line in enumerate(lines if isinstance(lines, list) else []):
            shown = printable(line)
            self._terminal.write(f"{colour}{shown}\x1b[0m\n" if number < coloured and colour else shown + "\n")
        self._channel.send(SHOWN)

    def _ask(self, body: "dict[str, object]") -> None:
        if body["message"]:
            self._terminal.write(printable(body["message"]) + "\n")
        self._terminal.write(printable(body["ask"]))
        typed = bytearray()
        try:
            self._type(typed, echo=bool(body["echo"]))
            self._terminal.write("\n")
            self._channel.sendmsg([TYPED, typed])
        finally:
            typed[:] = bytes(len(typed))

    def _type(self, typed: bytearray, *, echo: bool) -> None:
        while True:
            self._wait()
            byte = self._key()
            if byte in _ENDS:
                return
            if byte in (_CTRL_C, _CTRL_BACKSLASH) or (byte == _CTRL_D and not typed):
                raise Over(DECLINED)
            self._edit(typed, byte, echo=echo)

    def _key(self) -> int:
        """Read one key; an arrow key or its like sends several bytes, and none of them is typed."""
        byte = self._terminal.read()
        before, self._inside = self._inside, ""
        if byte == _ESCAPE:
            self._inside = "escape"
        elif before == "escape" and byte in _INTRODUCERS:
            self._inside = "sequence"
        elif before == "sequence":
            self._inside = "" if byte in _FINAL else "sequence"
        else:
            return byte
        return 0

    def _edit(self, typed: bytearray, byte: int, *, echo: bool) -> None:
        if byte in (_BACKSPACE, _DELETE):
            if typed:
                typed[-1] = 0
                del typed[-1]
                self._terminal.write("\b \b" if echo else "")
        elif byte == _CTRL_U:
            self._terminal.write("\b \b" * len(typed) if echo else "")
            typed[:] = bytes(len(typed))
            typed.clear()
        elif byte >= _SPACE and len(typed) < MAX_TYPED:
            typed.append(byte)
            self._terminal.write(chr(byte) if echo and byte < _DELETE else "")

    def _wait(self) -> None:
        """Wait for a key; a message of the broker's that comes first ends the prompt."""
        left = self._deadline - time.monotonic()
        # SECURITY: the deadline comes first, or a terminal that never stops typing keeps the prompt open for ever.
        ready = select.select([0, self._channel.fileno()], [], [], left)[0] if left > 0 else []
        if not ready:
            self._terminal.write("\nno answer in time; nothing was done\n")
            raise Over(TIMED_OUT)
        if self._channel.fileno() in ready:
            verb, body = self._receive()
            if verb == DONE:
                self._terminal.write("\n" + printable(body["message"]) + "\n")
            raise Over(b"")


def main() -> int:
    """Run one prompt."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    channel = socket.socket(fileno=CHANNEL)
    if sys.argv[1:] == ["restore"]:
        restore(channel)
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        terminal = Terminal()
        channel.send(READY + repr(terminal._before).encode())  # noqa: SLF001 - the same program
        with terminal:
            Prompt(channel, terminal).run()
    except Over as over:
        _tell(channel, over.args[0])
    except (termios.error, OSError, ValueError, KeyError):
        _tell(channel, CLOSED)
    return 0


def restore(channel: socket.socket) -> None:
    """Put settings back that an earlier prompt told the broker."""
    import ast

    before = ast.literal_eval(channel.recv(MAX_MESSAGE).decode())
    with contextlib.suppress(termios.error):
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


def _tell(channel: socket.socket, verb: bytes) -> None:
    with contextlib.suppress(OSError):
        if verb:
            channel.send(verb)


def _stop(*_: object) -> None:
    raise Over(b"")


if __name__ == "__main__":
    sys.exit(main())
