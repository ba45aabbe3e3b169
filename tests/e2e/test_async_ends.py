"""However a request of the asyncio client ends, nothing of it stays: no socket, no descriptor, no waiter, no open request."""

import asyncio
import contextlib
import gc
import itertools
import socket
import types
import warnings
from collections.abc import Coroutine, Generator, Iterator
from pathlib import Path

import pytest

import elevate
from elevate.errors import BrokerError, TokenSpentError
from elevate.tasks import Task
from tests.e2e.daemon import Daemon
from tests.e2e.test_kills import wait_for
from tests.handed import TRUE

SLEEP = Task.run(["/usr/bin/sleep", "60"])
LEAST_AWAITS = 5
"""For each state that is told, the redemption and the end."""


@contextlib.contextmanager
def warned() -> Iterator[list[str]]:
    """Give what was warned of by the end of the block, collector and all."""
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        told: list[str] = []
        yield told
        gc.collect()
    told += [str(one.message) for one in found]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_grant_that_was_run_needs_no_block(daemon: Daemon) -> None:
    """Its connection ends with the run, well or not; a second run says that it was used."""

    async def main() -> None:
        broker = elevate.connect_async(daemon.socket)
        grant = await broker.elevate(TRUE)
        await grant.run(capture=True)
        with pytest.raises(TokenSpentError):
            await grant.run()

    before = descriptors()
    with warned() as told:
        asyncio.run(main())
    assert (told, descriptors()) == ([], before)


def test_a_grant_that_is_dropped_is_told_and_taken_back(daemon: Daemon) -> None:
    """Whoever forgets the block hears of it where such warnings are on; the broker takes the token back at once."""

    async def main() -> None:
        await elevate.connect_async(daemon.socket).elevate(TRUE)

    before = descriptors()
    with warned() as told:
        asyncio.run(main())
    assert (told, descriptors()) == (["a request or grant was dropped without being released"], before)
    wait_for(daemon, "revoked")


def test_cancelled_at_each_await(daemon: Daemon) -> None:
    """Asking and running, cut off at every place where it waits; whatever was open is closed, and the broker ends it."""

    async def ask() -> None:
        async with await elevate.connect_async(daemon.socket).elevate(TRUE, on_state=lambda *_: None) as grant:
            await grant.run(capture=True)

    async def main() -> int:
        number = 0
        while await _cut_off(number, ask()):
            number += 1
        return number

    before = descriptors()
    with warned() as told:
        assert asyncio.run(main()) >= LEAST_AWAITS
    assert (told, descriptors()) == ([], before)
    with daemon.connect() as broker:
        while broker.status()["open_requests"]:
            pass


@types.coroutine
def _cut_off(number: int, coroutine: Coroutine[object, None, None]) -> Generator[object, None, bool]:
    """Run a coroutine up to its await of this number, and cancel it there; say whether there was one."""
    for turn in itertools.count():
        try:
            waiting = coroutine.send(None)
            if turn == number:
                waiting = coroutine.throw(asyncio.CancelledError())
        except StopIteration:
            return False
        except asyncio.CancelledError:
            return True
        yield waiting
    return False


def test_what_a_listener_raises_ends_it_all(daemon: Daemon) -> None:
    """A callback's own error comes through, and nothing stays."""

    def stop(*_: object) -> None:
        raise RuntimeError("no more")

    async def main() -> None:
        broker = elevate.connect_async(daemon.socket)
        with pytest.raises(RuntimeError):
            await broker.elevate(TRUE, on_state=stop)
        grant = await broker.elevate([TRUE, TRUE])
        with pytest.raises(RuntimeError):
            await grant.run(capture=True, on_progress=stop)

    before = descriptors()
    with warned() as told:
        asyncio.run(main())
    assert (told, descriptors()) == ([], before)


def test_released_while_it_runs(daemon: Daemon) -> None:
    """Whoever waits for the run is woken; the broker ends the task."""

    async def main() -> None:
        grant = await elevate.connect_async(daemon.socket).elevate([SLEEP, TRUE])
        begun = asyncio.Event()
        running = asyncio.create_task(grant.run(capture=True, on_progress=lambda _: begun.set()))
        await begun.wait()
        await grant.release()
        with pytest.raises(BrokerError, match="was closed"):
            await asyncio.wait_for(running, 10)

    before = descriptors()
    with warned() as told:
        asyncio.run(main())
    assert (told, descriptors()) == ([], before)


def test_a_follower_that_is_left_is_closed(daemon: Daemon) -> None:
    """Leaving the loop over the log is enough."""

    async def main() -> None:
        async for _ in elevate.connect_async(daemon.socket).follow(position=0):
            break

    before = descriptors()
    with warned() as told:
        asyncio.run(main())
    assert (told, descriptors()) == ([], before)


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    """A listener that is busy is not taken for a stranger, and a connection that is none not for one."""
    path = tmp_path / "busy"

    async def main(listener: socket.socket) -> None:
        entering = [asyncio.create_task(_enter(path)) for _ in range(4)]
        await asyncio.sleep(0)
        assert not all(one.done() for one in entering)
        while not all(one.done() for one in entering):
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
            await asyncio.sleep(0)
        await asyncio.gather(*entering)

    with socket.socket(socket.AF_UNIX) as listener, warned() as told:
        listener.bind(str(path))
        listener.listen(0)
        listener.settimeout(0)
        asyncio.run(main(listener))
    assert told == []


async def _enter(path: Path) -> None:
    async with elevate.connect_async(path):
        pass
