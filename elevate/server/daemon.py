"""The daemon's frame: listen, answer until told to stop, and leave nothing behind.

SIGTERM and SIGINT drain: no new calls, open prompts are cancelled, running tasks may end within `ear.DRAIN_SECONDS`. SIGHUP
loads the policy again; the last good one stays where the new one is bad. The process is not dumpable: no other process of the
same user can read its memory or attach to it.

Source: prctl(2); attacks.md row 28.
"""

import ctypes
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from elevate.errors import BrokerError, ElevateError
from elevate.ports import Clock
from elevate.server import place, systemd
from elevate.server.ear import Ear
from elevate.server.surface import Surface

DESCRIPTORS = 65_536
_PR_SET_DUMPABLE = 4


def serve(broker: Surface, path: Path, clock: Clock, *, say: Callable[[str], None]) -> None:
    """Listen on ``path`` until a signal says to stop.

    Args:
        broker: Answers; closing it is the caller's.
        path: Of the socket, where the service manager hands over none.
        clock: For the deadlines.
        say: Told one line when it listens, and one at the end.

    Raises:
        BrokerError: It can't listen there.
    """
    protect_memory()
    allow_descriptors()
    given = systemd.inherited()
    listener = given or place.listen(path)
    ear = Ear(listener, broker, clock)
    try:
        _on_signals(ear, broker)
        say(f"listening on {listener.getsockname() if given else path}")
        systemd.notify("READY=1")
        ear.run()
        systemd.notify("STOPPING=1")
        say("stopped: no call is under way")
    finally:
        # A second signal must not wake what is being closed.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if given is None:
            place.remove(path, listener)
        listener.close()
        ear.close()


def protect_memory() -> None:
    """Make this process undumpable.

    Raises:
        BrokerError: The kernel refused.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise BrokerError("the broker's memory can't be protected")


def allow_descriptors() -> None:
    """Allow this process as many descriptors as its bounds of connections and grants may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _on_signals(ear: Ear, broker: Surface) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ear.stop())
    signal.signal(signal.SIGHUP, lambda _number, _frame: threading.Thread(target=_reload, args=(broker,)).start())


def _reload(broker: Surface) -> None:
    try:
        broker.reload_policy()
    except ElevateError as error:
        sys.stderr.write(f"elevate: error: {error.message}\nelevate: hint: {error.hint}\n")
