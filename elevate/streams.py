"""The client's end of the broker's socket for asyncio: the same frames and checks as `elevate.wire`, without blocking."""

import asyncio
import os
import socket
import warnings
from typing import Self

from elevate.errors import BrokerError, ProtocolError
from elevate.wire import GONE, MAX_FDS, MAX_REPLY, ancillary_of, check_listener, fds_in, frame_of, no_broker, reply_of

_CHUNK = 65_536
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1


async def readable(fd: int, over: asyncio.Event | None = None) -> None:
    """Wait until a descriptor can be read, or until ``over`` is set."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(fd, _settle, ready)
    ended = asyncio.ensure_future(over.wait() if over is not None else ready)
    try:
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(fd)
        ended.cancel()


def _settle(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


async def _connected(sock: socket.socket, path: str) -> None:
    """Connect; wait where the listener's queue is full.

    The loop's own ``sock_connect`` takes EAGAIN for a connection under way; on a Unix socket it is none, and nobody is there.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return


class AsyncWire:
    """One connection to the broker; one call at a time. Make it with `open`, and close it: dropping it is a ResourceWarning."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self._fds: list[int] = []
        self._ready: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, path: str, uid: int) -> Self:
        """Connect, and make sure of who listens.

        Raises:
            NoBrokerError: Nobody listens.
            BrokerUntrustedError: Somebody else listens; nothing was sent.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            await _connected(sock, path)
            check_listener(sock, path, uid)
        except OSError as exc:
            sock.close()
            raise no_broker(path, exc) from exc
        except BaseException:
            sock.close()
            raise
        return cls(sock)

    async def send(self, method: str, parameters: dict[str, object], *, flag: str = "", fds: tuple[int, ...] = ()) -> None:
        """Send one call; as `elevate.wire.Wire.send`.

        Raises:
            TaskInvalidError: The message is too long, or not Unicode.
            BrokerError: The broker has gone.
        """
        frame = frame_of(method, parameters, flag)
        loop = asyncio.get_running_loop()
        try:
            # A fresh message of at most 64 KiB finds room, and its first byte takes the descriptors along.
            sent = self._socket.sendmsg([frame], ancillary_of(fds), socket.MSG_NOSIGNAL)
            if sent < len(frame):
                await loop.sock_sendall(self._socket, frame[sent:])
        except OSError as exc:
            raise BrokerError("the broker has closed the connection", hint=GONE) from exc

    async def receive(self) -> tuple[dict[str, object], bool]:
        """Wait for one reply; as `elevate.wire.Wire.receive`.

        Raises:
            ElevateError: The error that the broker answered, as its own class.
            BrokerError: The broker has gone, or this end was closed meanwhile.
        """
        while (end := self._buffer.find(0)) < 0:
            await self._fill()
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return reply_of(frame)

    async def _fill(self) -> None:
        if self.closed:
            raise BrokerError("this connection was closed", hint="ask anew")
        try:
            data, ancillary, _, _ = self._socket.recvmsg(_CHUNK, socket.CMSG_SPACE(4 * MAX_FDS), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await self._readable()
            return
        except OSError as exc:
            raise BrokerError("the broker has closed the connection", hint=GONE) from exc
        self._fds += fds_in(ancillary)
        if not data:
            raise BrokerError("the broker has gone", hint="see: elevate status")
        self._buffer += data
        if len(self._buffer) > MAX_REPLY:
            raise ProtocolError("the broker's answer is too long")

    async def _readable(self) -> None:
        """Wait until something has come, or until this end is closed."""
        loop = asyncio.get_running_loop()
        fd = self._socket.fileno()
        ready = self._ready = loop.create_future()
        loop.add_reader(fd, _settle, ready)
        try:
            await ready
        finally:
            # Once closed the number may be another connection's.
            if self._ready is ready:
                loop.remove_reader(fd)
                self._ready = None

    @property
    def closed(self) -> bool:
        """Whether this end was closed."""
        return self._socket.fileno() < 0

    def take_fds(self, count: int) -> list[int]:
        """Give the next ``count`` descriptors that came; the caller owns them.

        Raises:
            ProtocolError: Fewer came.
        """
        if len(self._fds) < count:
            raise ProtocolError("the broker sent too few descriptors")
        taken, self._fds = self._fds[:count], self._fds[count:]
        return taken

    def close(self) -> None:
        """Close the connection and every descriptor that nobody took, and wake who waits; twice is the same as once."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready.get_loop().remove_reader(self._socket.fileno())
            _settle(ready)
        fds, self._fds = self._fds, []
        for fd in fds:
            os.close(fd)
        self._socket.close()

    def __del__(self) -> None:
        """Close what was dropped, and say so: the broker takes an unused token back at once."""
        if not self.closed:
            self.close()
            warnings.warn("a request or grant was dropped without being released", ResourceWarning, source=self, stacklevel=2)
