"""Rows 28 and 31: what runs, and what it leaves, mounted by a user against the root daemon."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from elevate.errors import ElevateError
from tests.attacks.real.arena import Arena
from tests.attacks.real.sides import Side, elevate, naive
from tests.unit.host.run import alive

pytestmark = pytest.mark.root
Connect = Callable[[], Side]


def processes(*words: str) -> list[int]:
    """Find the processes that have one of these words in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = path.read_bytes().decode(errors="replace").split("\0")
            if any(word in text for word in words) and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
    return found


def touched(pid: int) -> list[str]:
    """Try what one process can do to another; give what succeeded."""
    tries: dict[str, Callable[[], object]] = {
        "memory": lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY)),
        "descriptors": lambda: os.listdir(f"/proc/{pid}/fd"),  # noqa: PTH208 - the error is what is looked for
        "environment": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
        "signal": lambda: os.kill(pid, 0),
    }
    done = []
    for name, attempt in tries.items():
        with suppress(OSError):
            attempt()
            done.append(name)
    return done


def reaches(connect: Connect) -> list[str]:
    """While a task runs, take hold of it, of the broker and of all that it has started."""
    mark = f"1000.{os.getpid()}"
    side = connect()
    more = {} if connect is elevate else {"run_as": os.getuid()}
    running = threading.Thread(target=lambda: ends(side, ["/usr/bin/sleep", mark], **more), daemon=True)
    running.start()
    while not (tasks := processes(mark)):
        os.sched_yield()
    others = processes("/run/elevate/broker.sock") if connect is elevate else []
    children = [pid for one in others for pid in descendants(one)]
    found = {done for pid in {*tasks, *others, *children} for done in touched(pid)}
    for pid in tasks:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return sorted(found)


def ends(side: Side, argv: list[str], **more: int) -> None:
    with suppress(ElevateError, OSError, ValueError):
        side.run(argv, **more)


def descendants(pid: int) -> list[int]:
    with suppress(OSError):
        own = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return own + [below for child in own for below in descendants(child)]
    return []


def test_28_memory_of_task_and_broker(arena: Arena) -> None:
    """Nothing of the daemon, its launchers or its task opens to the user."""
    assert arena.act(reaches, elevate) == []


def test_28_naive_memory_of_task_and_broker(arena: Arena) -> None:
    """There the task has the user's own identity."""
    assert arena.act(reaches, naive) == ["descriptors", "environment", "memory", "signal"]


def stays(connect: Connect, mark: str) -> str:
    """Leave a process in a session of its own behind."""
    script = f"setsid sleep {mark} > /dev/null 2>&1 < /dev/null & until grep -q sleep /proc/$!/comm; do :; done; echo started"
    return connect().run(["/usr/bin/bash", "-c", script]).out


def left_by(arena: Arena, connect: Connect) -> int:
    mark = f"1001.{os.getpid()}{connect is naive:d}"
    assert arena.act(stays, connect, mark) == "started\n"
    left = [pid for pid in processes(mark) if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return len(left)


def test_31_grandchild_outlives_the_task(arena: Arena) -> None:
    """When the end is told, all are gone."""
    assert left_by(arena, elevate) == 0


def test_31_naive_grandchild_outlives_the_task(arena: Arena) -> None:
    """There it stays, as root."""
    assert left_by(arena, naive) == 1
