"""What broker and launcher say to each other: one order in, a start and a report out.

The order travels as a memory file, because a command line may be longer than a datagram: named lists of byte strings, each
ended by NUL, which no argument, path or environment entry can hold. The rest is of fixed size. Both ends are this same
version: the broker starts the launcher from its own files.

The launcher program imports this module, so it imports next to nothing.
"""

import struct
from collections.abc import Mapping, Sequence

MAGIC = b"elevate-launch-1"
MAX_ORDER_BYTES = 1 << 20
MAX_DESCRIPTORS = 64

MAX_NAME = 4096
PLAIN = b"plain"
"""Asks for a launcher with no namespace of its own."""
JAIL = b"jail:"
"""Asks for one with; the path of its cgroup follows, or nothing where there are none."""

CREDENTIALS = struct.Struct("=iII")
"""Process, user and group number, as in SCM_CREDENTIALS."""
BORN = struct.Struct("=i")
"""Said once, when the task's process is there: its number as the broker knows it; 0 where only the credentials that come along
say that. One with a terminal says it twice, the second time for good."""
GO = b"\1"
"""The one byte on which the task's process, all else done, executes; at the end of its pipe without it, nothing is executed."""
EXECUTES, LENDS = b"\1", b"\2"
"""What is said right before the execution, by the task's process itself or by a launcher that spawns it; an errno may follow.
Anything else, or nothing at all by the end of the pipe, and none was tried."""
SPAWNED = LENDS + b"\0"
"""What a launcher has said when it has spawned the process; without that it was ended meanwhile, and nobody knows."""
FAILED = b"\0"
"""What had to be made for the execution could not be; the errno follows."""
MAX_ANSWER = 8
BEGUN = struct.Struct("=dq")
"""When it began, in memory that launcher and task's process share: by the monotonic clock, and as the kernel dates files."""
COARSE = 5
"""The clock by which the kernel dates files, Linux's CLOCK_REALTIME_COARSE."""
REPORT = struct.Struct("=iiiiq")
"""Exit status or -1, signal or 0, timed out, processes left, microseconds from start to end. The status may be `NEVER`."""
NEVER = -2
"""The process was ended before it executed: nothing of the task ran."""
COMMAND = struct.Struct("=ii")
"""`SIGNAL` or `END`, and the signal's number."""

SIGNAL = 1
"""Pass the signal to the task's process group."""
END = 2
"""The same, and end the tree when the grace period is over."""


def pack(fields: Mapping[str, Sequence[bytes]]) -> bytes:
    """Give the bytes of an order.

    Raises:
        ValueError: An item has a NUL, or the whole is over `MAX_ORDER_BYTES`.
    """
    parts: list[bytes] = []
    for name, items in fields.items():
        parts += [name.encode(), str(len(items)).encode(), *items]
    data = b"".join(part + b"\0" for part in parts)
    if data.count(b"\0") != len(parts) or len(data) > MAX_ORDER_BYTES:
        raise ValueError("an order has a NUL in it or is too long")
    return data


def unpack(data: bytes) -> dict[str, list[bytes]]:
    """Read an order.

    Raises:
        ValueError: Not what `pack` gives.
    """
    parts = data.split(b"\0")
    if parts.pop() != b"":
        raise ValueError("an order is cut off")
    fields: dict[str, list[bytes]] = {}
    while parts:
        name, count = parts[0].decode(), int(parts[1]) if len(parts) > 1 else -1
        if not 0 <= count <= len(parts) - 2:
            raise ValueError("an order has more or fewer items than it says")
        fields[name] = parts[2 : 2 + count]
        del parts[: 2 + count]
    return fields
