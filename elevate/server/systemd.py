"""What a service manager hands to the daemon and wants to hear from it: a listening socket, and that it is ready.

Source: sd_listen_fds(3), sd_notify(3).
"""

import contextlib
import os
import socket
import stat
from pathlib import Path

from elevate.errors import BrokerUntrustedError

_FIRST = 3


def inherited() -> socket.socket | None:
    """Take the listening socket that the service manager opened; None where it opened none.

    Raises:
        BrokerUntrustedError: What it handed over is no listening Unix socket.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    if pid != str(os.getpid()) or not count:
        return None
    if count != "1" or not stat.S_ISSOCK(os.fstat(_FIRST).st_mode):
        raise BrokerUntrustedError("the service manager handed over something else than one socket", hint="see: elevate doctor")
    listener = socket.socket(fileno=_FIRST)
    kind = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if listener.family != socket.AF_UNIX or listener.type != socket.SOCK_STREAM or kind != 1:
        raise BrokerUntrustedError("the service manager handed over no listening socket", hint="see: elevate doctor")
    os.set_inheritable(_FIRST, False)  # noqa: FBT003 - the function has no name for it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    listener.settimeout(0)
    return listener


def notify(state: str) -> None:
    """Tell the service manager, where there is one: ``READY=1``, ``STOPPING=1``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
        channel.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else str(Path(address)))
