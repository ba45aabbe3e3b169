"""Sockets that carry descriptors, for the launcher program. `socket` and what it loads cost every launcher memory and time."""

import _socket
import struct

Socket = _socket.socket
_NUMBER = struct.calcsize("=i")


def pair() -> tuple[Socket, Socket]:
    """Give two connected ends; messages keep their bounds."""
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)


def send(channel: Socket, message: bytes, fds: list[int]) -> None:
    """Send a message with descriptors."""
    rights = struct.pack(f"={len(fds)}i", *fds)
    channel.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else [])


def receive(channel: Socket, size: int, most: int) -> tuple[bytes, list[int], bool]:
    """Receive a message and its descriptors, which close on execution; say whether that was all of it."""
    space = _socket.CMSG_LEN(most * _NUMBER)
    data, ancillary, flags, _ = channel.recvmsg(size, space, _socket.MSG_CMSG_CLOEXEC)
    fds: list[int] = []
    for level, kind, rights in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            fds += struct.unpack(f"={len(rights) // _NUMBER}i", rights)
    return data, fds, not flags & _socket.MSG_CTRUNC


def credentials(packed: bytes) -> list[tuple[int, int, bytes]]:
    """Give what names a process to whoever receives a message."""
    return [(_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, packed)]
