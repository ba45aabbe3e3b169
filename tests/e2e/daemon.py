"""A real daemon process on a socket of its own, with a state folder that is made for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from elevate.broker import Broker
from elevate.broker.home import create
from elevate.library import Connection, connect

ROOT = Path(__file__).resolve().parents[2]
PIN = b"274913"
RUN = f"""
import posix, sys
sys.path.insert(0, {str(ROOT)!r})
from elevate.client import run
posix._exit(run(sys.argv[2:], path=sys.argv[1]))
"""


class Daemon:
    """``elevate serve`` as a process; it is ended with the ``with`` block."""

    def __init__(self, folder: Path, *, sensor: bool = True) -> None:
        """Make the state and start.

        Args:
            folder: For state and socket.
            sensor: A scripted face sensor agrees beside the PIN; else the PIN alone counts.
        """
        self.state = folder / "state"
        self.socket = folder / "run" / "broker.sock"
        enrol(self.state, sensor=sensor)
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "elevate", "serve", "--state", str(self.state), "--socket", str(self.socket)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == f"elevate: listening on {self.socket}\n", (line, process.stderr and process.stderr.read())
        return process

    def restart(self) -> None:
        """Start again on the same state, after `stop` or `kill`."""
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM, and wait for the end."""
        self.process.terminate()
        return self._over()

    def kill(self) -> int:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        return self._over()

    def hup(self) -> None:
        """SIGHUP: load the policy again."""
        self.process.send_signal(signal.SIGHUP)

    def _over(self) -> int:
        self.process.communicate(timeout=60)
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.process.kill()
        self._over()

    def connect(self) -> Connection:
        """Connect with the library."""
        return connect(self.socket)

    def argv(self, *words: str) -> list[str]:
        """Give the command line of the thin client against this socket."""
        return [sys.executable, "-I", "-S", "-c", RUN, str(self.socket), *words]

    def run(
        self, *words: str, given: bytes | None = None, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run ``elevate run`` without a terminal; the scripted sensor agrees."""
        done = subprocess.run(
            self.argv(*words),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            timeout=60,
            check=False,
            start_new_session=True,
        )
        return done.returncode, done.stdout, done.stderr

    def command(self, *words: str, cwd: Path | None = None, given: bytes | None = None) -> tuple[int, str, str]:
        """Run any other command line of ``elevate``."""
        return command(words, cwd=cwd, given=given)


def enrol(state: Path, *, sensor: bool) -> None:
    """Make a broker's folder whose owner has a PIN, and a scripted face beside it where there is to be a sensor."""
    create(state, simulated=sensor)
    with Broker.open(state) as broker:
        broker.enrol_owner(PIN)


def command(
    words: Sequence[str], *, cwd: Path | None = None, given: bytes | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run ``elevate`` as a person would, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "elevate", *words],
        input=given if given is not None else b"",
        capture_output=True,
        cwd=cwd or ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        timeout=60,
        check=False,
        start_new_session=True,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()
