"""A machine's own kinds against a real daemon: listed, shown, done once, and explained."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import elevate
from elevate.errors import PolicyError, TaskInvalidError, TaskKindUnknownError
from elevate.tasks import Task
from tests.e2e.daemon import ROOT, Daemon
from tests.own_kinds import FLUSH, RULE, write

COMMAND = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import elevate.cli.task, elevate.library
from functools import partial
elevate.cli.task.connect = partial(elevate.library.connect, sys.argv[1])
from elevate.cli.running import run
sys.exit(run(elevate.cli.task.app, sys.argv[2:], "elevate task"))
"""


class Own(Daemon):
    def _start(self) -> "subprocess.Popen[str]":
        write(self.state, FLUSH + RULE)
        return super()._start()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with Own(tmp_path_factory.mktemp("own")) as made:
        yield made


def task(daemon: Daemon, *words: str) -> tuple[int, str, str]:
    """Run ``elevate task`` against this socket."""
    argv = [sys.executable, "-c", COMMAND, str(daemon.socket), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout, done.stderr


def test_the_client_learns_kinds_from_the_broker(daemon: Daemon) -> None:
    """And builds tasks of them; what it gets wrong is told before anybody is asked."""
    with daemon.connect() as broker:
        kinds = broker.kinds()
        assert kinds["acme.flush-cache"].display_name == "Flush Acme's cache"
        flush = Task.of("acme.flush-cache", kinds, zone="eu", mode="soft", depth=0)
        with broker.elevate([flush, Task.of("acme.flush-cache", kinds, zone="us", mode="hard", depth=9)]) as grant:
            assert grant.run(capture=True).stdout == b"--zone=eu soft 0\n--zone=us hard 9\n"
        assert broker.explain(flush)["outcome"] == "credential"
        with pytest.raises(TaskInvalidError):
            Task.of("acme.flush-cache", kinds, zone="eu")
        with pytest.raises(TaskKindUnknownError):
            Task.of("acme.flush-cache", zone="eu")


def test_asyncio_too(daemon: Daemon) -> None:
    """The same kinds."""

    async def main() -> bytes:
        broker = elevate.connect_async(daemon.socket)
        asked = elevate.Task.of("acme.flush-cache", await broker.kinds(), zone="eu", mode="soft", depth=0)
        async with await broker.elevate(asked) as grant:
            return (await grant.run(capture=True)).stdout

    assert asyncio.run(main()) == b"--zone=eu soft 0\n"


def test_the_command_line(daemon: Daemon) -> None:
    """List, show, run."""
    status, out, _ = task(daemon, "list")
    assert status == 0
    assert "acme.flush-cache  Flush Acme's cache  (own)\n" in out
    assert "process.run       Run a program\n" in out
    status, out, _ = task(daemon, "show", "acme.flush-cache")
    assert out.splitlines() == [
        "acme.flush-cache: Flush Acme's cache",
        "  runs  /usr/bin/echo '--zone={zone}' '{mode}' '{depth}'",
        "  depth: a number from 0 to 9",
        "  mode: text like hard|soft",
        "  time_limit_seconds: seconds; 60 if not given",
        "  zone: text like [a-z][a-z0-9-]{0,15}",
    ]
    assert task(daemon, "run", "acme.flush-cache", "zone=eu", "mode=hard", "depth=2") == (0, "--zone=eu hard 2\n", "")
    status, _, err = task(daemon, "run", "acme.flush-cache", "zone=eu us", "mode=hard", "depth=2")
    assert (status, "the parameter zone can't be" in err) == (125, True)
    status, _, err = task(daemon, "show", "acme.flush")
    assert (status, "elevate task list" in err) == (125, True)


def test_a_reload_brings_new_kinds(tmp_path: Path) -> None:
    """No restart is needed; a bad description changes nothing."""
    with Own(tmp_path) as daemon, daemon.connect() as broker:
        write(daemon.state, FLUSH.replace("acme.flush-cache", "acme.flush-all") + RULE.replace("cache", "all"))
        broker.reload_policy()
        assert "acme.flush-all" in broker.kinds()
        write(daemon.state, FLUSH.replace('display_name = "Flush Acme\'s cache"\n', ""))
        with pytest.raises(PolicyError, match="display_name"):
            broker.reload_policy()
        assert "acme.flush-all" in broker.kinds()
