"""A person at a terminal: a pseudo-terminal whose other end reads and types."""

import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable
from typing import Generic, Self, TypeVar

PATIENCE_SECONDS = 20
T = TypeVar("T")


class Person:
    """Sits at a new terminal; ``terminal`` is the descriptor that a client would hand over."""

    def __init__(self) -> None:
        self._master, self.terminal = os.openpty()
        self.before = termios.tcgetattr(self.terminal)
        self.seen = ""
        self._at = 0
        self._data = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
        os.close(self.terminal)

    def sees(self, text: str) -> str:
        """Read until ``text`` has come since it was last looked for; give all that was seen."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.seen[self._at :]:
            if not select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{text!r} did not come; seen: {self.seen!r}")
            self._data += os.read(self._master, 65_536)
            self.seen = self._data.decode(errors="replace")
        self._at = self.seen.index(text, self._at) + len(text)
        return self.seen

    def reads_on(self) -> str:
        """Read what is there now."""
        while select.select([self._master], [], [], 0)[0]:
            self._data += os.read(self._master, 65_536)
        self.seen = self._data.decode(errors="replace")
        return self.seen

    def types(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def leave(self) -> None:
        """Close the window."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def pending(self) -> bytes:
        """Give what a program that reads the terminal next would get."""
        tty.setcbreak(self.terminal, termios.TCSANOW)
        found = b""
        while select.select([self.terminal], [], [], 0)[0]:
            found += os.read(self.terminal, 4096)
        return found


class Asking(threading.Thread, Generic[T]):
    """Asks in the background; `result` waits for what came of it."""

    def __init__(self, ask: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self._found: T | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self._found = self._ask()
        except Exception as exc:  # noqa: BLE001 - handed to the test
            self._found = exc

    def result(self) -> T:
        self.join(PATIENCE_SECONDS)
        if isinstance(self._found, Exception):
            raise self._found
        assert self._found is not None, "still asking"
        return self._found
