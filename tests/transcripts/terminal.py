"""A person at a terminal: starts a program on a new pseudo-terminal, reads what it shows, types."""

import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

PATIENCE_SECONDS = 30
_ENTER = "import os,sys; os.login_tty(os.dup(0)); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """One program in a session of its own, with the pseudo-terminal as its controlling terminal."""

    def __init__(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
        self.master, slave = pty.openpty()
        self.shown = ""
        self._seen = 0
        self._slave = slave
        # The child makes the session itself, so that no Python runs between fork and exec.
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _ENTER, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            start_new_session=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self.master, self._slave):
            if fd >= 0:
                os.close(fd)

    def type(self, text: str) -> None:
        """Type; the terminal does with it what its mode says."""
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._slave)
        os.close(self.master)
        self._slave = self.master = -1

    def echoes(self) -> bool:
        """Say whether typed characters are shown."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def read_until(self, text: str) -> str:
        """Read until ``text`` is shown after what was read before; give all since then.

        Raises:
            AssertionError: It was not shown in time, or the program ended first.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.shown[self._seen :]:
            if not self._read(deadline):
                message = f"{text!r} was not shown: {self.shown!r}"
                raise AssertionError(message)
        end = self.shown.index(text, self._seen) + len(text)
        since, self._seen = self.shown[self._seen : end], end
        return since

    def finish(self) -> int:
        """Read all, wait for the end, and give the exit status, negative for a signal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            self._read(min(deadline, time.monotonic() + 0.05))
            assert time.monotonic() < deadline, f"it did not end: {self.shown!r}"
        while self._read(time.monotonic()):
            pass
        return self.process.returncode

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65_536)
        except OSError:
            return False
        self.shown += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)
