"""The client library for asyncio: the same surface as `elevate.library`, with no thread of its own.

::

    async with elevate.connect_async() as broker:
        async with await broker.elevate(task, reason="INC-4711") as grant:
            outcome = await grant.run(capture=True)

Every request has a connection of its own, so that many may be under way at once. Cancelling the asyncio task that waits, also
by `asyncio.timeout`, ends that connection: the broker then cancels the request wherever it stands, closes its prompt, takes an
unused token back, and ends a task that runs. The other requests, and the `AsyncConnection`, go on.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Self, cast

from elevate.asking import kinds_of, looked_at, outcome_of, question, step_of
from elevate.async_logs import AsyncLogs
from elevate.canonical import Json
from elevate.errors import BrokerError, TaskInvalidError, TokenRevokedError, TokenSpentError
from elevate.handover import HandOver
from elevate.kinds import KindSpec
from elevate.outcome import CHUNK_BYTES, MAX_CAPTURED_BYTES, MAX_LEFT_BYTES, Outcome, Progress, write_all
from elevate.streams import AsyncWire, readable
from elevate.tasks import Task, as_one
from elevate.wire import place

OnState = Callable[[str, str], object]


def connect_async(path: str | os.PathLike[str] | None = None) -> "AsyncConnection":
    """Connect to the machine's broker with the first call, or on entering ``async with``.

    Args:
        path: Of a socket where this user's own broker listens, for tests; the fixed place if not given.
    """
    where, uid = (os.fspath(path), os.getuid()) if path is not None else place()
    return AsyncConnection(where, uid)


class AsyncConnection(AsyncLogs):
    """A way to the broker, for one event loop."""

    async def __aenter__(self) -> Self:
        """Make sure that the broker is there.

        Raises:
            NoBrokerError: Nobody listens.
            BrokerUntrustedError: Somebody else listens.
        """
        (await AsyncWire.open(*self._place)).close()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return

    async def elevate(
        self,
        task: Task | Sequence[Task],
        *,
        reason: str = "",
        interactive: bool = True,
        on_state: OnState | None = None,
    ) -> "AsyncGrant":
        """Ask for a task: inspect, decide, prompt, issue; as `elevate.Connection.elevate`.

        Raises:
            ElevateError: As there.
        """
        wire = await AsyncWire.open(*self._place)
        with _closing(wire):
            told = await _ask(wire, as_one(task), reason, on_state, interactive=interactive)
            return AsyncGrant(wire, cast("Mapping[str, Json]", told["grant"]))

    async def hand_over(
        self,
        task: Task,
        *,
        helper: str,
        reason: str = "",
        interactive: bool = True,
        on_state: OnState | None = None,
    ) -> HandOver:
        """Ask for a task that a privileged helper carries out; as `elevate.Connection.hand_over`.

        Raises:
            ElevateError: As there.
        """
        wire = await AsyncWire.open(*self._place)
        with _closing(wire):
            told = await _ask(wire, task, reason, on_state, interactive=interactive, helper=helper)
            [fd] = wire.take_fds(1)
            return HandOver(fd, cast("Mapping[str, Json]", told["grant"]), lambda _jti: wire.close())

    async def explain(self, task: Task | Sequence[Task]) -> dict[str, Json]:
        """Say what policy makes of a task, or of several under one token; nobody is asked."""
        with contextlib.ExitStack() as stack:
            return await self._call("Explain", *looked_at(as_one(task), stack), member="explanation")

    async def kinds(self) -> dict[str, KindSpec]:
        """Give the kinds of task that the machine has, its own among them, for `elevate.Task.of`."""
        return kinds_of(await self._call("Kinds", {}))

    async def status(self) -> dict[str, Json]:
        """Say how the broker is."""
        return await self._call("Status", {}, member="status")

    async def receipt(self, request: str) -> dict[str, Json]:
        """Give what an ended request of this user's left behind."""
        return await self._call("Receipt", {"request": request}, member="receipt")

    async def requester(self) -> dict[str, Json]:
        """Say who this process is for the broker."""
        return await self._call("WhoAmI", {}, member="requester")

    async def cancel(self, request: str) -> None:
        """Stop a request of this user's, wherever it stands."""
        await self._call("Cancel", {"request": request})

    async def revoke(self, jti: str) -> None:
        """Take back a token of this user's that was not used yet."""
        await self._call("Revoke", {"jti": jti})

    async def keys(self) -> dict[str, Json]:
        """Give the key set (RFC 7517) that tokens for helpers are verified with."""
        return await self._call("Keys", {}, member="keys")

    async def reload_policy(self) -> dict[str, Json]:
        """Load the policy again; the last good one stays where the new one is bad."""
        return await self._call("ReloadPolicy", {}, member="policy")


class AsyncGrant:
    """The right to run one task, once.

    Attributes:
        request: Id of the request.
        expires_at: Unix seconds, exclusive.
        claims: What the token says; the token itself stays in the broker.
    """

    def __init__(self, wire: AsyncWire, told: Mapping[str, Json]) -> None:
        self._wire = wire
        self._over = False
        self._used = False
        self.request = str(told["request"])
        self.expires_at = cast("int", told["expires_at"])
        self.claims = cast("Mapping[str, Json]", told["claims"])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.release()

    async def run(self, *, capture: bool = False, on_progress: Callable[[Progress], object] = lambda _: None) -> Outcome:
        """Redeem the token and run the task to its end; as `elevate.Grant.run`.

        Args:
            capture: Collect at most 64 MiB of each output; else it goes to this process's own, as it comes.
            on_progress: Told of each step of several, as it begins and as it has ended; what it raises ends the task.

        Raises:
            ElevateError: As there.
        """
        if self._over:
            raise TokenSpentError("the token was used before") if self._used else TokenRevokedError("the token was taken back")
        self._over = self._used = True
        with contextlib.closing(self._wire):
            parameters: dict[str, object] = {"request": self.request, "redeem_id": secrets.token_hex(16), "descriptors": True}
            await self._wire.send("Redeem", parameters, flag="more")
            await self._wire.receive()
            pipes = self._wire.take_fds(2)
            sinks = (_Sink(None), _Sink(None)) if capture else (_Sink(1), _Sink(2))
            told = await _copied(_last(self._wire, on_progress), pipes, sinks)
        return outcome_of(told, (bytes(sinks[0].kept), bytes(sinks[1].kept)))

    async def release(self) -> None:
        """Take the token back if it was not used, and end the grant's connection; twice is the same as once."""
        try:
            if not self._over:
                self._over = True
                with contextlib.suppress(TaskInvalidError, BrokerError):
                    await self._wire.send("Cancel", {"request": self.request})
                    await self._wire.receive()
        finally:
            self._wire.close()


async def _ask(
    wire: AsyncWire, task: Task, reason: str, on_state: OnState | None, *, interactive: bool, helper: str = ""
) -> dict[str, object]:
    with contextlib.ExitStack() as stack:
        parameters, fds = question(task, reason, stack, interactive=interactive, helper=helper)
        await wire.send("Elevate", parameters, flag="more" if on_state else "", fds=fds)
    while True:
        told, continues = await wire.receive()
        if not continues:
            return told
        if on_state:
            on_state(str(told.get("request", "")), str(told.get("state", "")))


async def _last(wire: AsyncWire, on_progress: Callable[[Progress], object]) -> dict[str, object]:
    """Wait for the last reply; tell the steps that come before it."""
    while True:
        told, continues = await wire.receive()
        if not continues:
            return told
        if (progress := step_of(told)) is not None:
            on_progress(progress)


@contextlib.contextmanager
def _closing(wire: AsyncWire) -> Iterator[None]:
    """Close the connection when something goes wrong, so that the broker cancels what is open on it."""
    try:
        yield
    except BaseException:
        wire.close()
        raise


class _Sink:
    """Where output goes: collected up to a bound, or to a descriptor of this process.

    A slow reader of that descriptor slows the task down, not the event loop.
    """

    def __init__(self, fd: int | None) -> None:
        self.fd = fd
        self.kept = bytearray()

    async def take(self, data: bytes) -> None:
        if self.fd is not None:
            await asyncio.to_thread(write_all, self.fd, data)
        elif len(self.kept) < MAX_CAPTURED_BYTES:
            self.kept += data


async def _copied(
    answer: Coroutine[None, None, dict[str, object]], pipes: Sequence[int], sinks: Sequence[_Sink]
) -> dict[str, object]:
    """Copy two pipes while the answer is awaited; whatever fails first ends all. The pipes are closed then."""
    over = asyncio.Event()
    answered = asyncio.ensure_future(answer)
    answered.add_done_callback(lambda _: over.set())
    copies = [asyncio.ensure_future(_copy(fd, sink, over)) for fd, sink in zip(pipes, sinks, strict=True)]
    for fd, copy in zip(pipes, copies, strict=True):
        # With its reader, whatever ends that, and not before: a cancellation may come while this waits for the rest, too.
        copy.add_done_callback(partial(_close, fd))
    try:
        await asyncio.wait([answered, *copies], return_when=asyncio.FIRST_EXCEPTION)
        for each in copies:
            if each.done():
                each.result()
        return answered.result()
    finally:
        for task in (answered, *copies):
            task.cancel()
        await asyncio.gather(answered, *copies, return_exceptions=True)


def _close(fd: int, _: object) -> None:
    os.close(fd)


async def _copy(fd: int, sink: _Sink, over: asyncio.Event) -> None:
    """Read a pipe to its end, or, once the task is over, what is left in it.

    SECURITY: whoever was handed the other end can hold it open after the task; nobody waits for that.
    """
    left = MAX_LEFT_BYTES
    os.set_blocking(fd, False)
    while left > 0:
        try:
            data = os.read(fd, CHUNK_BYTES)
        except BlockingIOError:
            if over.is_set():
                return
            await readable(fd, over)
            continue
        if not data:
            return
        await sink.take(data)
        left -= len(data) if over.is_set() else 0
