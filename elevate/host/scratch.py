"""The folder of one session on the emulated machine: there while its task runs, or waits to, and gone with it."""

import contextlib
import os

from elevate.errors import HostError
from elevate.host.machine import Machine
from elevate.host.running import TreePrepared, TreeRunning


def make(machine: Machine, session: str) -> None:
    """Make a session's folder.

    Raises:
        HostError: It can't be made, or is there already.
    """
    try:
        with machine.folder.enter("scratch") as scratch:
            scratch.make(session).close()
    except OSError as exc:
        # SECURITY: who made it first could still hold it (attacks.md row 12).
        raise HostError("the session's folder can't be made", detail=str(exc)) from exc


def remove(machine: Machine, session: str) -> int:
    """Remove a session's folder; give how much of it would not go."""
    with machine.folder.enter("scratch") as scratch:
        with contextlib.suppress(OSError):
            scratch.remove(session)
        return sum(name.strip(".").startswith(session) for name in os.listdir(scratch.fd))


class PreparedWithin:
    """A tree that waits for its byte, and what was made for its task, which is undone where the task never begins."""

    def __init__(self, tree: TreePrepared, undo: contextlib.ExitStack) -> None:
        self.fresh = tree.fresh
        self._tree = tree
        self._undo = undo

    def go(self) -> TreeRunning:
        """Let the task begin.

        Raises:
            ElevateError: As `TreePrepared.go`; nothing runs, and nothing is left.
        """
        with self._undo:
            started = self._tree.go()
            self._undo.pop_all()
            return started

    def close(self) -> None:
        """Give it up; nothing happens where the task runs."""
        self._undo.close()
