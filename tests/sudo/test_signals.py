"""Signals to the one who runs a command, without a terminal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sudo.place import SECONDS, Way, surroundings, wait_until

pytestmark = pytest.mark.root

PASSED = {"term": "TERM", "hup": "HUP", "int": "INT", "quit": "QUIT", "usr1": "USR1", "usr2": "USR2", "alrm": "ALRM"}
BEAT = "/srv/beat"
_PARENT = """
import os, subprocess, sys
os.setsid()
child = subprocess.Popen(sys.argv[1:], process_group=0)
print(child.pid, flush=True)
child.wait()
"""


@contextmanager
def started(way: Way, script: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a script as admin, and wait until it says that it is ready."""
    way.place.as_root("chmod 777 /srv")
    argv = way.place.argv([*way.command, "sh", "-c", script])
    process = subprocess.Popen(
        argv,
        env=surroundings(None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


def rest(process: "subprocess.Popen[str]") -> str:
    return process.communicate(timeout=SECONDS)[0]


@pytest.mark.parametrize("name", [name for name in PASSED if name != "alrm"])
def test_signal_is_passed_on(way: Way, name: str) -> None:
    """The command may catch it, and its status counts."""
    script = f"trap 'echo caught; exit 3' {PASSED[name]}; echo go; while :; do sleep 0.02; done"
    with started(way, script) as process:
        process.send_signal(getattr(signal, f"SIG{PASSED[name]}"))
        assert "caught\n" in rest(process)
        assert process.returncode == 3


def test_signal_reaches_the_group(elevate: Way, sudo: Way) -> None:
    """What the command waits for gets it, too; sudo tells the command alone."""
    script = "trap 'echo caught' USR1; sh -c 'trap \"echo child\" USR1; echo go; sleep 0.3 & wait; wait'; true"
    for way, all_hear in ((elevate, True), (sudo, False)):
        with started(way, script) as process:
            process.send_signal(signal.SIGUSR1)
            assert ("child\n" in rest(process)) is all_hear


def test_alarm_is_passed_on(elevate: Way, sudo: Way) -> None:
    """As any; sudo ends the command by it."""
    script = "trap 'echo caught; exit 3' ALRM; echo go; while :; do sleep 0.02; done"
    with started(elevate, script) as process:
        process.send_signal(signal.SIGALRM)
        assert "caught\n" in rest(process)
        assert process.returncode == 3
    with started(sudo, "trap 'echo ended; exit 3' TERM HUP ALRM; echo go; while :; do sleep 0.02; done") as process:
        process.send_signal(signal.SIGALRM)
        assert "ended\n" in rest(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=["term", "int", "usr1"])
def test_end_by_a_signal_is_told_as_such(way: Way, number: int) -> None:
    """Where the command does not catch it."""
    with started(way, "echo go; exec sleep 100") as process:
        process.send_signal(number)
        process.communicate(timeout=SECONDS)
        assert process.returncode == -number


def test_child_signal_changes_nothing(way: Way) -> None:
    """SIGCHLD is nothing to pass on."""
    with started(way, "trap 'echo caught; exit 3' USR1; echo go; while :; do sleep 0.02; done") as process:
        process.send_signal(signal.SIGCHLD)
        process.send_signal(signal.SIGUSR1)
        assert "caught\n" in rest(process)


def test_command_can_not_signal_the_one_who_runs_it(way: Way) -> None:
    """What it sends to its parent ends nothing."""
    assert way.out("sh", "-c", "kill -TERM $PPID; kill -INT $PPID; echo alive") == "alive"


def test_stop_stops_the_command(way: Way) -> None:
    """SIGTSTP; and SIGCONT goes on with it. It needs a parent that could continue it: else the kernel stops nothing."""
    way.place.as_root("chmod 777 /srv")
    job = way.place.argv([*way.command, "sh", "-c", f"while :; do date +%s%N > {BEAT}; sleep 0.01; done"])
    argv = [sys.executable, "-I", "-S", "-c", _PARENT, *job]
    with subprocess.Popen(argv, env=surroundings(None), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        wait_until(lambda: not stands(way))
        os.kill(number, signal.SIGTSTP)
        wait_until(lambda: stands(way))
        os.kill(number, signal.SIGCONT)
        wait_until(lambda: not stands(way))
        os.kill(number, signal.SIGTERM)


def test_command_that_stopped_itself_goes_on(way: Way) -> None:
    """When the one who runs it is told to."""
    watch = "while kill -0 $$ && ! grep -q '^State:.T' /proc/$$/status; do :; done; echo stopped"
    with started(way, f"({watch}) & echo go; kill -STOP $$; wait; exit 3") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=SECONDS)
        assert process.returncode == 3


def stands(way: Way) -> bool:
    """Say whether the command has not written for a while."""
    return (
        way.place.as_root(f'a=$(cat {BEAT} || true); sleep 0.15; test "$a" = "$(cat {BEAT} || true)" && echo yes || echo no')
        == "yes\n"
    )


def test_kill_of_the_one_who_runs_it_ends_the_command(elevate: Way) -> None:
    """The broker sees that nobody waits any more."""
    with started(elevate, f"echo go; while :; do date +%s%N > {BEAT}; sleep 0.01; done") as process:
        process.kill()
        process.wait()
        wait_until(lambda: stands(elevate))


def test_signal_before_the_command_runs(elevate: Way) -> None:
    """At the prompt: nothing runs, and the caller ends by the signal."""
    with elevate.declining("touch", "/srv/ran") as person:
        person.process.terminate()
        assert person.finish() == -signal.SIGTERM
        assert person.echoes()
    assert elevate.place.as_root("test -e /srv/ran && echo yes || echo no") == "no\n"


def test_tree_is_gone_after_a_signal(elevate: Way) -> None:
    """Also what the command started."""
    with started(elevate, "sleep 1000 & echo go; exec sleep 1000") as process:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if reads(path) == b"sleep\x001000\x00" and mine(path)]


def reads(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def mine(path: Path) -> bool:
    try:
        return b"ELEVATE_SESSION" in (path.parent / "environ").read_bytes()
    except OSError:
        return False


def test_only_who_may_can_signal(way: Way) -> None:
    """Another user's signal reaches neither."""
    with started(way, "echo go; exec sleep 100") as process:
        other = way.place.people.bound.pw_name
        assert way.place.run("sh", "-c", f"kill -TERM {process.pid}", user=other).status != 0
        assert process.poll() is None
        os.kill(process.pid, 0)
