"""The one thread that listens: accepts, reads, keeps the bounds and the deadlines, and hands whole calls to workers.

- Bounds: `MAX_CONNECTIONS` in all, `MAX_PER_UID` for one user, one call under way per connection, `MAX_CALLS` in all.
- A frame that has begun must end within `FRAME_SECONDS`; a connection that asks nothing at first may stay `IDLE_SECONDS`.
- A client that leaves cancels what is open on its connection, at once, whatever a worker is doing.
- Nothing that one client sends, or fails to send, makes another one wait.

Source: attacks.md rows 22, 23, 36 and 49.
"""

import contextlib
import os
import select
import socket
from collections import Counter, deque
from functools import partial

from elevate.errors import BusyError, ElevateError
from elevate.ports import Clock
from elevate.server import calls, interface
from elevate.server.closing import Closing
from elevate.server.connection import Connection
from elevate.server.interface import Request, ServiceError
from elevate.server.peer import Peer
from elevate.server.surface import Surface
from elevate.server.workers import Workers

MAX_CONNECTIONS = 256
MAX_PER_UID = 32
KEPT_FOR_OWNER = 16
"""Connections that only root and the broker's own user may take."""
MAX_CALLS = 128
FRAME_SECONDS = 5
IDLE_SECONDS = 60
DRAIN_SECONDS = 30
"""How long a running task may go on after the broker was told to stop."""
_TICK_MS = 1_000
_SIGNAL = f"{interface.NAME}.Signal"


class Ear:
    """Listens on one socket until it is told to stop."""

    def __init__(self, listener: socket.socket, broker: Surface, clock: Clock) -> None:
        self._listener = listener
        self._broker = broker
        self._clock = clock
        self._connections: dict[int, Connection] = {}
        self._per_uid: Counter[int] = Counter()
        self._workers = Workers()
        self._under_way = 0
        self._closing = Closing()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._done: list[Connection] = []
        self._accepting = True
        self._deaf = False
        self._stopping = False
        self._drained_ns = 0
        self._poll = select.epoll()
        self._poll.register(listener.fileno(), select.EPOLLIN)
        self._poll.register(self._wake, select.EPOLLIN)

    def run(self) -> None:
        """Listen until `stop` was called and every call under way has ended."""
        while not (self._stopping and not self._under_way):
            self.turn(_TICK_MS)

    def stop(self) -> None:
        """Take no new calls, and cancel what waits for a person; what runs may end. May be called by a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def turn(self, timeout_ms: int) -> None:
        """Do what there is to do; wait at most ``timeout_ms`` for it."""
        if self._deaf and self._accepting:
            self._poll.register(self._listener.fileno(), select.EPOLLIN)
            self._deaf = False
        heard = [fd for fd, _ in self._poll.poll(timeout_ms / 1000)]
        self._settle()
        for fd in heard:
            if fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
            elif fd != self._listener.fileno():
                self._hear(fd)
        # After those who leave: their places are free, and what was theirs is closed.
        if self._listener.fileno() in heard:
            self._accept()
        self._settle()
        if self._stopping and self._accepting:
            self._refuse_more()
        self._expire()

    def close(self) -> None:
        """End every connection; calls under way are cancelled and waited for."""
        for connection in self._all():
            self._end(connection)
        self._workers.close()
        self._settle()
        self._poll.close()
        os.close(self._wake)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            # No descriptor is left, say: whoever knocks still waits, and must not keep us running in circles.
            self._poll.unregister(self._listener.fileno())
            self._deaf = True
            return
        try:
            connection = self._admit(sock)
        except (ElevateError, OSError) as error:
            with contextlib.suppress(OSError):
                sock.send(interface.failure(error), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            sock.close()
            return
        connection.deadline_ns = self._clock.read().mono_ns + IDLE_SECONDS * 10**9
        self._per_uid[connection.peer.owner] += 1
        # The pidfd as well: the process may end while a child of its still holds the connection.
        for fd in (sock.fileno(), connection.peer.pidfd):
            self._connections[fd] = connection
            self._poll.register(fd, select.EPOLLIN)
        # Most ask as soon as they are connected: one turn less for them.
        self._hear(sock.fileno())

    def _admit(self, sock: socket.socket) -> Connection:
        held = self._per_uid.total()
        if held >= MAX_CONNECTIONS:
            raise BusyError("too many connections", hint="try again in a moment")
        peer = Peer(sock)
        # Many people can take many places: whoever looks after the broker still gets in.
        if held >= MAX_CONNECTIONS - KEPT_FOR_OWNER and peer.uid not in {0, os.getuid()}:
            peer.close()
            raise BusyError("too many connections", hint="try again in a moment")
        if self._per_uid[peer.owner] >= MAX_PER_UID or self._closing.overdue(peer.owner):
            peer.close()
            raise BusyError(f"too many connections of uid {peer.owner}", hint="close one first")
        try:
            return Connection(sock, peer, self._closing)
        except BaseException:
            peer.close()
            raise

    def _hear(self, fd: int) -> None:
        connection = self._connections.get(fd)
        if connection is None:
            return  # ended by something that was heard before it
        try:
            self._end(connection) if fd == connection.peer.pidfd else self._read(connection)
        except Exception:  # noqa: BLE001 - the daemon's own loop: what one client brings about ends one connection
            if fd in self._connections:
                self._end(connection)

    def _read(self, connection: Connection) -> None:
        begun = connection.frames.unfinished
        waiting: deque[tuple[Request, list[int]]] = deque()
        try:
            received = connection.read()
            waiting.extend(received or ())
            while waiting:
                self._dispatch(connection, *waiting.popleft())
        except BlockingIOError:
            return
        except (ElevateError, OSError) as error:
            connection.send_now(interface.failure(error))
            received = None
            connection.drop(*(fds for _, fds in waiting))
        if received is None:
            self._end(connection)
        elif not connection.frames.unfinished:
            connection.deadline_ns = 0
        elif received or not begun:
            connection.deadline_ns = self._clock.read().mono_ns + FRAME_SECONDS * 10**9

    def _dispatch(self, connection: Connection, request: Request, fds: list[int]) -> None:
        if request.method == _SIGNAL and request.oneway:
            connection.drop(fds)
            with contextlib.suppress(ElevateError, ServiceError):
                calls.signal(connection, request)
        elif connection.busy:
            connection.enqueue(request, fds)
        else:
            self._start(connection, request, fds)

    def _start(self, connection: Connection, request: Request, fds: list[int]) -> None:
        if self._under_way >= MAX_CALLS or self._stopping:
            connection.drop(fds)
            busy = BusyError("the broker takes no more calls now", hint="try again in a moment")
            connection.send_now(interface.failure(busy))
            return
        connection.busy = True
        self._under_way += 1
        self._workers.submit(partial(self._work, connection, request, fds))

    def _work(self, connection: Connection, request: Request, fds: list[int]) -> None:
        try:
            calls.run(self._broker, connection, request, fds)
        finally:
            self._done.append(connection)
            # Else it is taken note of with what is heard next; whoever sets one of these looks for what is done afterwards.
            if connection.ended or connection.queue or self._stopping:
                os.eventfd_write(self._wake, 1)

    def _settle(self) -> None:
        """Take note of the calls that have ended; begin those that waited for them."""
        while self._done:
            connection = self._done.pop(0)
            self._under_way -= 1
            connection.busy = False
            if connection.ended:
                self._close(connection)
            elif self._stopping and not self._accepting:
                self._end(connection)
            elif connection.queue:
                self._start(connection, *connection.queue.popleft())

    def _end(self, connection: Connection) -> None:
        """Hear no more of it; what is under way on it is cancelled and closes it when it is over."""
        for fd in (connection.socket.fileno(), connection.peer.pidfd):
            self._poll.unregister(fd)
            del self._connections[fd]
        connection.ended = True
        connection.hang_up()
        if connection.busy:
            connection.let_go()
        else:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._per_uid[connection.peer.owner] -= 1
        connection.close()

    def _all(self) -> list[Connection]:
        return list({id(each): each for each in self._connections.values()}.values())

    def _refuse_more(self) -> None:
        self._accepting = False
        self._drained_ns = self._clock.read().mono_ns + DRAIN_SECONDS * 10**9
        if not self._deaf:
            self._poll.unregister(self._listener.fileno())
        for connection in self._all():
            if not connection.busy:
                self._end(connection)
            else:
                connection.hangup.cancel()

    def _expire(self) -> None:
        now = self._clock.read().mono_ns
        for connection in [each for each in self._all() if each.deadline_ns and now >= each.deadline_ns]:
            connection.send_now(interface.failure(BusyError("the message did not come in time", hint="send it at once")))
            self._end(connection)
        if self._stopping and not self._accepting and now >= self._drained_ns:
            for connection in self._all():
                connection.hang_up()
