"""``elevate hello`` as a process on a terminal, without a broker: it opens the user's own folder itself."""

import fcntl
import json
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.broker.home import create
from tests.hello.parts import PIN
from tests.hello.pty import Person

ROOT = Path(__file__).resolve().parents[3]
# The real home is the tester's own, so the command is told of another; nothing else in it is replaced.
PROGRAM = """
import sys
from elevate.cli import hello
hello.home = lambda _uid: sys.argv[1]
hello.place = lambda: (sys.argv[1] + "/none.sock", 0)
try:
    hello.app(args=sys.argv[2:], standalone_mode=False)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class Shell:
    def __init__(self, folder: Path, person: Person) -> None:
        self.folder, self.person = folder, person
        self.started: list[subprocess.Popen[str]] = []

    def starts(self, *words: str, terminal: bool = True) -> subprocess.Popen[str]:
        def take_terminal() -> None:
            if terminal:
                fcntl.ioctl(self.person.terminal, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.folder), *words],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            pass_fds=(self.person.terminal,),
            preexec_fn=take_terminal,  # noqa: PLW1509 - the test's process has no threads that matter
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate()

    def ends(self, process: subprocess.Popen[str]) -> str:
        output, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors
        return output


@pytest.fixture
def sh(tmp_path: Path) -> Iterator[Shell]:
    create(tmp_path / ".local/share/elevate", simulated=True)
    with Person() as person:
        made = Shell(tmp_path, person)
        yield made
        made.close()


def test_enrol_list_verify_and_add_a_face(sh: Shell) -> None:
    """The whole way of a new user; the PIN is in no output."""
    enrol = sh.starts("enrol")
    for shown, typed in (("none): ", b"fox"), ("new PIN (", PIN), ("again: ", PIN)):
        sh.person.sees(shown)
        sh.person.types(typed + b"\r")
    assert sh.ends(enrol).startswith("pin ")
    face = sh.starts("enrol", "face", "--label", "laptop")
    sh.person.sees("PIN: ")
    sh.person.types(PIN + b"\r")
    assert sh.ends(face).rstrip().endswith("laptop")
    listed = json.loads(sh.ends(sh.starts("list", "--json", terminal=False)))
    assert [(one["gesture"], one["simulated"]) for one in listed] == [("pin", False), ("face", True)]
    verified = json.loads(sh.ends(sh.starts("verify", "--json")))
    assert verified["method"] == "face"
    assert "software" in sh.ends(sh.starts("test", terminal=False))
    assert PIN.decode() not in sh.person.reads_on()


def test_without_a_terminal_it_says_so(sh: Shell) -> None:
    """One clear error, and nothing is enrolled."""
    process = sh.starts("enrol", terminal=False)
    _, errors = process.communicate(timeout=30)
    assert "there is no terminal to ask on" in errors
    assert sh.ends(sh.starts("list", terminal=False)).startswith("nothing is enrolled")


def test_a_machines_broker_that_does_not_run_is_not_gone_around(sh: Shell) -> None:
    """Its gestures are not the user's own."""
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            PROGRAM.replace('sys.argv[1] + "/none.sock"', '"/run/elevate/none.sock"'),
            str(sh.folder),
            "list",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert "NoBrokerError" in process.stderr
