"""Who is at the other end of a connection, from the kernel only.

- The process that connected: its pidfd (SO_PEERPIDFD where the kernel has it, else opened and confirmed by reading the start
  time before and after), uid and start time. Facts are read again for every call, while the pidfd says that it still lives.
- Every message carries the credentials of who wrote it. Another process or another user on the same connection is refused,
  and (0, 0, 0), as at the end of the stream, is nobody, never root.
- Any look-up that fails is a refusal.

Source: unix(7), pidfd_open(2); attacks.md rows 15, 22, 23 and 39.
"""

import contextlib
import os
import select
import socket
import struct
from dataclasses import dataclass

from elevate.errors import HostError, RefusedError
from elevate.host.namespaces import answerable
from elevate.host.processes import ProcessFacts, identify, read_process, start_time
from elevate.model import ProcessIdentity

SO_PEERPIDFD = 77
"""Since Linux 6.5."""
_CREDENTIALS = struct.Struct("=iII")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Process, user and group, as the kernel attaches them."""

    pid: int
    uid: int
    gid: int


def unpack(data: bytes) -> Credentials | None:
    """Read one SCM_CREDENTIALS; None for nobody."""
    if len(data) != _CREDENTIALS.size:
        return None
    found = Credentials(*_CREDENTIALS.unpack(data))
    return found if found.pid > 0 else None


class Peer:
    """The process that connected.

    Attributes:
        pidfd: Turns readable when it ends.
        owner: The uid that answers for it; what is bounded for each user is counted there.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Identify it.

        Raises:
            RefusedError: It can't be identified.
        """
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        found = unpack(packed)
        if found is None:
            raise RefusedError("the other end has no identity here", hint="connect from the same machine and PID namespace")
        self.credentials = found
        self.pidfd = _pidfd(connection, found.pid)
        try:
            self.start_time = start_time(found.pid)
            self.owner = answerable(found.pid, found.uid)
            self.check_alive()
        except (HostError, RefusedError) as exc:
            self.close()
            raise _unknown(str(exc)) from exc

    @property
    def uid(self) -> int:
        """The user who connected."""
        return self.credentials.uid

    def check_sender(self, sender: Credentials | None) -> None:
        """Make sure that a message is of the process that connected.

        Raises:
            RefusedError: Somebody else wrote it, or nobody.
        """
        if sender is None or (sender.pid, sender.uid) != (self.credentials.pid, self.credentials.uid):
            raise RefusedError("another process speaks on this connection", hint="connect from the process that asks")

    def check_alive(self) -> None:
        """Make sure that the process has not ended.

        Raises:
            RefusedError: It has ended.
        """
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if poll.poll(0):
            raise RefusedError("the requesting process has ended", hint="nothing was done")

    def identity(self) -> ProcessIdentity:
        """Read which process it is, now; what `facts` gives as ``process``.

        Raises:
            RefusedError: As `facts`.
        """
        try:
            found = identify(self.credentials.pid)
        except HostError as exc:
            raise _unknown(exc.detail) from exc
        self._check_same(found)
        return found

    def facts(self) -> ProcessFacts:
        """Read who asks, now.

        Raises:
            RefusedError: It has ended, has changed its user, or can't be looked at.
        """
        try:
            found = read_process(self.credentials.pid)
        except HostError as exc:
            raise _unknown(exc.detail) from exc
        self._check_same(found.process)
        return found

    def _check_same(self, found: ProcessIdentity) -> None:
        # After the reading: all of it was of the process that the pidfd names.
        self.check_alive()
        if found.start_time != self.start_time or found.uid != self.credentials.uid:
            raise _unknown("the process is not the one that connected")

    def close(self) -> None:
        """Close the pidfd; twice is the same as once."""
        fd, self.pidfd = self.pidfd, -1
        if fd >= 0:
            os.close(fd)


def has_peer_pidfd() -> bool:
    """Say whether this kernel gives the pidfd of a peer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            packed = ours.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4)
        except OSError:
            return False
    os.close(struct.unpack("=i", packed)[0])
    return True


def _pidfd(connection: socket.socket, pid: int) -> int:
    with contextlib.suppress(OSError):
        packed = connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD, 4)
        fd: int = struct.unpack("=i", packed)[0]
        os.set_inheritable(fd, False)  # noqa: FBT003 - the function has no name for it
        return fd
    try:
        before = start_time(pid)
        fd = os.pidfd_open(pid)
    except (OSError, HostError) as exc:
        raise _unknown(str(exc)) from exc
    with contextlib.suppress(HostError):
        if start_time(pid) == before:
            return fd
    os.close(fd)
    raise _unknown("it was replaced while it was looked at")


def _unknown(detail: str) -> RefusedError:
    return RefusedError("the requesting process can't be identified", hint="nothing was done; ask again", detail=detail)
