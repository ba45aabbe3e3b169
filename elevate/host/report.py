"""How a launched tree ended: the launcher's last message, and what the broker itself checks then."""

import os
import signal as signals
import socket
import struct
from dataclasses import dataclass

from elevate.host import cgroups, wire

MAX_WRITTEN_BYTES = 32 * 2**20
_FD = struct.Struct("=i")
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_CHANGES = {b"cr": "created", b"ch": "changed", b"re": "removed"}
ALL = "/"
_MISSING = {b"~": "what is on other machines", b"?": "what was removed, moved or given to others"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a launched tree ended.

    Attributes:
        exit_status: 0 to 255; None where a signal ended the first process.
        signal: Its number; None where it exited.
        executed: False where the process was ended before it executed, so that nothing of the task ran.
        leftover: Processes that could not be ended; at least 1 where the launcher itself was killed.
        written: Paths, each with ``created``, ``changed`` or ``removed``; in path order.
        watched: `ALL` where ``written`` is all; the same with what it lacks; empty where anything may be missing.
    """

    exit_status: int | None
    signal: int | None
    timed_out: bool
    leftover: int
    executed: bool = True
    duration_ms: int = 0
    written: tuple[tuple[str, str], ...] = ()
    watched: str = ""


def receive(channel: socket.socket, size: int, flags: int = 0) -> tuple[bytes, int, int]:
    """Receive one message.

    Returns:
        Its bytes, empty at the end; the process number that the kernel gives with it, 0 where it gives none; and a descriptor
        that came along, which the caller owns, or -1.
    """
    space = socket.CMSG_SPACE(wire.CREDENTIALS.size) + socket.CMSG_SPACE(_FD.size)
    try:
        data, ancillary, _, _ = _once_more(channel, size, space, flags | _CLOEXEC)
    except OSError:
        return b"", 0, -1
    parts = {kind: part for _, kind, part in ancillary}
    number = wire.CREDENTIALS.unpack(parts[socket.SCM_CREDENTIALS])[0] if socket.SCM_CREDENTIALS in parts else 0
    return data, number, _FD.unpack(parts[socket.SCM_RIGHTS])[0] if socket.SCM_RIGHTS in parts else -1


def _once_more(
    channel: socket.socket, size: int, space: int, flags: int
) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
    """Receive; where the other end went with something of ours unread, that is told first, and its last message after it."""
    try:
        return channel.recvmsg(size, space, flags)
    except ConnectionResetError:
        return channel.recvmsg(size, space, flags)


def read_report(channel: socket.socket, cgroup: str) -> Report:
    """Wait for the report, and end what is still in the cgroup."""
    data, launcher, listed = receive(channel, wire.REPORT.size)
    if len(data) != wire.REPORT.size:
        left = cgroups.end(cgroup) if cgroup else 1
        return Report(exit_status=None, signal=signals.SIGKILL, timed_out=False, leftover=left)
    status, number, timed_out, left, took_us = wire.REPORT.unpack(data)
    # SECURITY: what left the namespace is still in the cgroup; the launcher itself is about to go.
    if cgroup and set(cgroups.members(cgroup)) - {launcher}:
        left += cgroups.end(cgroup)
    written, watched = _written(listed)
    return Report(
        exit_status=status if status >= 0 else None,
        signal=number or None,
        timed_out=bool(timed_out),
        leftover=left,
        executed=status != wire.NEVER,
        duration_ms=took_us // 1000,
        written=written,
        watched=watched,
    )


def _written(listed: int) -> tuple[tuple[tuple[str, str], ...], str]:
    if listed < 0:
        return (), ""
    try:
        # Room for the longest list that may come is not taken for each short one.
        size = min(os.fstat(listed).st_size, MAX_WRITTEN_BYTES)
        *parts, last = os.pread(listed, size, 0).split(b"\0")
    finally:
        os.close(listed)
    return tuple((os.fsdecode(part[2:]), _CHANGES[part[:2]]) for part in parts), _reach(last)


def _reach(missing: bytes) -> str:
    """Put into words how far a list is all."""
    notes = [text for sign, text in _MISSING.items() if sign in missing]
    return "" if b"!" in missing else f"{ALL} (not {', nor '.join(notes)})" if notes else ALL
