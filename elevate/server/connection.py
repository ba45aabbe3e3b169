"""One client's connection: who it is, what is under way on it, and how it is answered."""

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator

from elevate.broker import Cancellation
from elevate.canonical import Json
from elevate.errors import BusyError, ProtocolError, TaskInvalidError
from elevate.ports import Running
from elevate.server import interface
from elevate.server.closing import Closing
from elevate.server.frames import Frames
from elevate.server.peer import Credentials, Peer, unpack
from elevate.server.surface import Grant, Redeemed

MAX_FDS = 4
"""Descriptors that may wait for the frame that names them."""
MAX_QUEUED = 8
"""Calls that may wait while one is under way."""
MAX_GRANTS = 8
SEND_SECONDS = 10
_CHUNK = 16_384
_RECEIVE = int(socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
_ANCILLARY = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * MAX_FDS)


class Connection:
    """One connection. The ear reads it; one worker at a time answers its calls.

    Attributes:
        hangup: Thrown when the client has left, or says so, and when the broker stops: no one is asked any more.
        left: The client has left: what runs for it is ended. A broker that stops lets it end.
        busy: A call is under way.
        queue: Calls that wait for it, oldest first, each with its descriptors.
        grants: What this connection may redeem, by request; the last few that it used stay, so that a second use is told.
        deadline_ns: Monotonic time at which an unfinished frame is too slow; 0 where none is unfinished.
    """

    def __init__(self, sock: socket.socket, peer: Peer, closing: Closing) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", SEND_SECONDS, 0))
        self.socket = sock
        self.peer = peer
        self._closing = closing
        self.frames = Frames()
        self.hangup = Cancellation()
        self.queue: deque[tuple[interface.Request, list[int]]] = deque()
        self.grants: dict[str, Grant] = {}
        self.left = False
        self.busy = False
        self.ended = False
        self.deadline_ns = 0
        self._fds: list[int] = []
        self._used: deque[str] = deque()
        self._running: dict[str, Running] = {}
        self._carried: dict[str, Redeemed] = {}
        self._sending = threading.Lock()
        self._lock = threading.Lock()

    def read(self) -> list[tuple[interface.Request, list[int]]] | None:
        """Read once what has come; give the calls that are whole, or None at the end of the stream.

        Raises:
            ElevateError: What came is refused, and the connection must be closed.
        """
        data, ancillary, flags, _ = self.socket.recvmsg(_CHUNK, _ANCILLARY, _RECEIVE)
        sender = self._take(ancillary)
        if not data:
            return None
        if flags & socket.MSG_CTRUNC or len(self._fds) > MAX_FDS:
            raise ProtocolError(f"more than {MAX_FDS} descriptors came at once")
        self.peer.check_sender(sender)
        if self._fds and self._closing.overdue(self.peer.owner):
            raise BusyError("descriptors of yours can't be closed", hint="see what keeps them: a slow file system, say")
        calls: list[tuple[interface.Request, list[int]]] = []
        try:
            calls += map(self._call, self.frames.feed(data))
        except ProtocolError:
            self.drop(*(fds for _, fds in calls))
            raise
        if not self.frames.unfinished:
            self._drop_fds()
        return calls

    def _take(self, ancillary: list[tuple[int, int, bytes]]) -> Credentials | None:
        sender = None
        for level, kind, packed in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._fds += memoryview(packed[: len(packed) - len(packed) % 4]).cast("i").tolist()
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                sender = unpack(packed)
        return sender

    def _call(self, frame: bytes) -> tuple[interface.Request, list[int]]:
        request = interface.parse(frame)
        named = sum(name.endswith("_fd") and value is not None for name, value in request.parameters.items())
        taken, self._fds = self._fds[:named], self._fds[named:]
        return request, taken

    def _drop_fds(self) -> None:
        self.drop(self._fds)
        self._fds = []

    def enqueue(self, request: interface.Request, fds: list[int]) -> None:
        """Let a call wait until the one under way has ended.

        Raises:
            BusyError: Too many wait already.
        """
        if len(self.queue) >= MAX_QUEUED:
            self.drop(fds)
            raise BusyError("too many calls wait on this connection")
        self.queue.append((request, fds))

    def send(self, frame: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send one frame, waiting a bounded time for a slow reader. A client that has gone is no error here."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(fds)}i", *fds))] if fds else []
        with self._sending:
            try:
                sent = self.socket.sendmsg([frame], ancillary, socket.MSG_NOSIGNAL)
                while sent < len(frame):
                    sent += self.socket.send(frame[sent:], socket.MSG_NOSIGNAL)
            except OSError:
                self.hang_up()

    def send_now(self, frame: bytes) -> None:
        """Send one frame if that needs no waiting; for the ear, which waits for nobody."""
        if self._sending.acquire(blocking=False):
            try:
                with contextlib.suppress(OSError):
                    self.socket.send(frame, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            finally:
                self._sending.release()

    def tell(self, parameters: dict[str, Json], *, continues: bool = False, fds: tuple[int, ...] = ()) -> None:
        """Send one reply."""
        self.send(interface.reply(parameters, continues=continues), fds)

    def keep(self, grant: Grant) -> None:
        """Bind a grant to this connection.

        Raises:
            BusyError: It holds too many.
        """
        with self._lock:
            if len(self.grants) - len(self._used) < MAX_GRANTS and not self.hangup.cancelled():
                self.grants[grant.request] = grant
                return
        grant.release()
        raise BusyError("too many grants are open on this connection", hint="use or drop one first")

    def use(self, request: str) -> Grant | None:
        """Give a grant of this connection to use it; None where it holds none of this id."""
        with self._lock:
            grant = self.grants.get(request)
            if grant is not None and request not in self._used:
                self._used.append(request)
                if len(self._used) > MAX_GRANTS:
                    del self.grants[self._used.popleft()]
            return grant

    @contextlib.contextmanager
    def running(self, request: str, running: Running) -> Iterator[None]:
        """Mark a task as running here: it is ended when the client leaves."""
        with self._lock:
            self._running[request] = running
        if self.left:
            running.cancel()
        try:
            yield
        finally:
            with self._lock:
                del self._running[request]

    def carry(self, redeemed: Redeemed) -> None:
        """Bind a helper's task to this connection: it is given up when the helper leaves."""
        with self._lock:
            self._carried[redeemed.request] = redeemed
        if self.left:
            redeemed.leave()

    def carried(self, request: str) -> Redeemed | None:
        """Take a helper's task off this connection; None where it has no such one."""
        with self._lock:
            return self._carried.pop(request, None)

    def signal(self, request: str, number: int) -> None:
        """Pass a signal to the task that runs here.

        Raises:
            TaskInvalidError: No such task runs on this connection.
        """
        with self._lock:
            running = self._running.get(request)
        if running is None:
            raise TaskInvalidError("no such task runs on this connection", hint="see: elevate status")
        running.signal(number)

    def hang_up(self) -> None:
        """The client has left: cancel what waits, and end what runs. May be called from any thread, more than once."""
        self.left = True
        self.hangup.cancel()
        with self._lock:
            running, carried = list(self._running.values()), list(self._carried.values())
        for each in running:
            each.cancel()
        for one in carried:
            one.leave()

    def let_go(self, *, used: bool = False) -> None:
        """Take back the grants that nobody has used, and where ``used``, those whose use came to nothing."""
        with self._lock:
            gone = [self.grants.pop(request) for request in [*self.grants] if used or request not in self._used]
        for grant in gone:
            # What can't be written now ends by its own time; one client's token is nobody else's outage.
            with contextlib.suppress(Exception):
                grant.release()

    def drop(self, *groups: list[int]) -> None:
        """Close descriptors that came from this client; nobody waits for it."""
        self._closing.drop(self.peer.owner, *groups)

    def close(self) -> None:
        """Close everything, once no call is under way; unused grants are taken back."""
        self.let_go(used=True)
        self.drop(*(fds for _, fds in self.queue))
        self.queue.clear()
        self._drop_fds()
        self.peer.close()
        self.hangup.close()
        self.socket.close()
