"""The asyncio client against a real daemon: the same surface, many at once, and cancelling ends what was asked."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import elevate
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import check
from elevate.errors import (
    AuditError,
    BrokerUntrustedError,
    DeniedError,
    NoBrokerError,
    TaskInvalidError,
    TokenRevokedError,
    TokenSpentError,
)
from elevate.helper import Keys, read_token, redeem
from elevate.tasks import Task
from tests import tools
from tests.e2e.daemon import PIN, ROOT, Daemon
from tests.e2e.test_helpers import Handing
from tests.e2e.test_kills import events, wait_for
from tests.handed import HELPER, TRUE
from tests.transcripts.terminal import Terminal

AT_ONCE = 8
SLEEP = Task.run(["/usr/bin/sleep", "60"])
PROMPTED = """
import asyncio, sys
sys.path.insert(0, {root!r})
import elevate
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import check
async def main():
    async with elevate.connect_async({socket!r}) as broker:
        said = asyncio.Event()
        tell = lambda _request, state: state == "prompting" and said.set()
        asked = asyncio.create_task(broker.elevate(elevate.Task.run(["/usr/bin/true"]), on_state=tell))
        await said.wait()

        asked.cancel()
        try:
            await asked
        except asyncio.CancelledError:
            print("cancelled", (await broker.status())["emulated"], flush=True)
asyncio.run(main())
"""


def test_the_same_surface(daemon: Daemon) -> None:
    """Elevate, run once, and everything that may be asked."""

    async def main() -> None:
        async with elevate.connect_async(daemon.socket) as broker:
            states: list[str] = []
            task = Task.run(["/bin/sh", "-c", "cat; echo oh >&2; exit 3"], stdin=b"in")
            async with await broker.elevate(task, reason="r", on_state=lambda _, state: states.append(state)) as grant:
                outcome = await grant.run(capture=True)
                with pytest.raises(TokenSpentError):
                    await grant.run()
            assert (outcome.exit_status, outcome.stdout, outcome.stderr) == (3, b"in", b"oh\n")
            assert states == ["requested", "prompting", "issued"]
            assert (await broker.receipt(grant.request))["exit_status"] == 3
            assert (await broker.requester())["pid"] == os.getpid()
            assert (await broker.status())["emulated"] is True
            assert (await broker.explain(TRUE))["outcome"] == "credential"
            assert len(Keys(await broker.keys(), "elevate:x").public) == 1
            assert "policy" in await broker.reload_policy()
            found = [entry["event"] async for entry in broker.search(f"{grant.request} event:issued")]
            assert found == ["issued"]
            assert (await broker.show(grant.request))["request"] == grant.request
            async for entry in broker.follow(position=0):
                assert entry["event"] == "broker-started"
                break
            (key,) = await broker.log_keys()
            assert check(await broker.prove(0), VerifierKey.parse(key)).entry.event == "broker-started"
            size = Checkpoint.parse(Note.parse(await broker.checkpoint()).text).size
            assert await broker.consistency(1, size)
            assert (await broker.rotate_log_key()).startswith("elevate.log/")
            assert await broker.prune(0, daemon.state.parent / "archive") == {"began": 0}
            with pytest.raises(AuditError):
                await broker.erase("nobody-of-that-name")
            assert grant.claims["aud"] == (await broker.status())["host"]

    asyncio.run(main())


def test_many_at_once(daemon: Daemon) -> None:
    """Each request has its own connection; the tasks really run side by side."""
    # Of a request that was left before, the queue may still have its place for a moment.
    with daemon.connect() as other:
        assert tools.wait_for(lambda: other.status()["open_requests"] == 0)

    async def one(broker: elevate.AsyncConnection, number: int) -> bytes:
        async with await broker.elevate(Task.run(["/bin/echo", str(number)])) as grant:
            return (await grant.run(capture=True)).stdout

    async def main() -> list[bytes]:
        async with elevate.connect_async(daemon.socket) as broker:
            # One prompt at a time for a user, and three that wait.
            first = await asyncio.gather(*(one(broker, number) for number in range(4)))
            return first + await asyncio.gather(*(one(broker, number) for number in range(4, AT_ONCE)))

    assert asyncio.run(main()) == [f"{number}\n".encode() for number in range(AT_ONCE)]


def test_large_output_is_whole(daemon: Daemon) -> None:
    """More than the pipe holds, and on both streams."""

    async def main() -> tuple[int, int]:
        async with elevate.connect_async(daemon.socket) as broker:
            task = Task.run(["/bin/sh", "-c", "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2"])
            async with await broker.elevate(task) as grant:
                outcome = await grant.run(capture=True)
        return len(outcome.stdout), len(outcome.stderr)

    assert asyncio.run(main()) == (3_000_000, 2_000_000)


def test_output_goes_to_our_own(daemon: Daemon, capfd: pytest.CaptureFixture[str]) -> None:
    """Without capture it is copied as it comes."""

    async def main() -> None:
        async with elevate.connect_async(daemon.socket) as broker, await broker.elevate(Task.run(["/bin/echo", "hi"])) as grant:
            assert (await grant.run()).stdout == b""

    asyncio.run(main())
    assert capfd.readouterr().out == "hi\n"


def test_errors_are_typed(daemon: Daemon, tmp_path: Path) -> None:
    """Denied, unknown, nobody there, somebody else there."""
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)

    async def main() -> None:
        broker = elevate.connect_async(daemon.socket)
        with pytest.raises(DeniedError, match="no rule"):
            await broker.elevate(Task.run([str(own)]))
        for call in (broker.cancel("0" * 32), broker.revoke("x"), broker.receipt("0" * 32)):
            with pytest.raises(TaskInvalidError):
                await call
        with pytest.raises(NoBrokerError):
            async with elevate.connect_async(tmp_path / "none"):
                pass
        with pytest.raises(BrokerUntrustedError):
            await elevate.AsyncConnection(str(daemon.socket), 4711).status()

    asyncio.run(main())


def test_an_unused_grant_is_taken_back(daemon: Daemon) -> None:
    """On leaving the block; it can't be used then."""

    async def main() -> None:
        broker = elevate.connect_async(daemon.socket)
        async with await broker.elevate(TRUE) as grant:
            pass
        with pytest.raises(TokenRevokedError):
            await grant.run()

    asyncio.run(main())
    assert events(daemon)[-1] == "revoked"


def test_cancelling_ends_a_task_that_runs(daemon: Daemon) -> None:
    """The task's tree is ended and its end written; the other calls go on."""

    async def main() -> None:
        async with elevate.connect_async(daemon.socket) as broker:
            grant = await broker.elevate(SLEEP)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await grant.run(capture=True)
            assert (await broker.status())["emulated"] is True

    asyncio.run(main())
    assert wait_for(daemon, "destroyed")[-3:] == ["redeemed", "running", "destroyed"]


@pytest.mark.parametrize("when", ["at once", "before the answer"])
def test_cancelling_gives_no_token(daemon: Daemon, when: str) -> None:
    """Wherever the request stands, nothing of it is left open."""

    async def main() -> None:
        async with elevate.connect_async(daemon.socket) as broker:
            asked = asyncio.create_task(broker.elevate(TRUE))
            if when != "at once":
                await asyncio.sleep(0)
                await broker.requester()
            # Whoever cancels what has just ended holds a grant, and gives it back.
            if asked.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await asked
            else:
                await (await asked).release()

    asyncio.run(main())
    with daemon.connect() as broker:
        while broker.status()["open_requests"]:
            pass


def test_cancelling_closes_the_prompt(tmp_path: Path) -> None:
    """The person's terminal is given back, and the log says that the client left."""
    with Daemon(tmp_path, sensor=False) as daemon:
        code = PROMPTED.format(root=str(ROOT), socket=str(daemon.socket))
        with Terminal([sys.executable, "-c", code]) as person:
            person.read_until("cancelled True")
            assert person.finish() == 0
            assert person.echoes()
        assert PIN.decode() not in person.shown
        wait_for(daemon, "cancelled")


@pytest.fixture(scope="module")
def handing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handing]:
    with Handing(tmp_path_factory.mktemp("handing")) as made:
        yield made


def test_a_token_is_handed_over(handing: Handing) -> None:
    """To a helper, by descriptor; released when the block is left."""

    async def main() -> str:
        broker = elevate.connect_async(handing.socket)
        with await broker.hand_over(TRUE, helper=HELPER) as token, redeem(read_token(token.fileno()), path=handing.socket):
            pass
        with await broker.hand_over(TRUE, helper=HELPER) as token:
            return token.request

    assert asyncio.run(main())
    assert wait_for(handing, "revoked").count("destroyed") == 1
