"""The broker's hold on one order: first it is prepared, then, on one byte, the task begins; then its end is awaited.

Between the two the task's process stands right before the execution and waits for a byte on a pipe of which only the broker
holds the other end. INVARIANT: nothing of the task has run before `Prepared.go`; where that pipe closes without the byte,
whoever closed it and why, nothing ever does.
"""

import contextlib
import errno
import os
import select
import signal as signals
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, HostError, NotStartedError, StartUnknownError
from elevate.host import cgroups, wire
from elevate.host.order import Order
from elevate.host.report import Report, read_report, receive

START_SECONDS = 30.0
LOOK_SECONDS = 1.0
"""After so long, and then again and again, a start is looked at: it may have been stopped."""
GONE_SECONDS = 5.0
"""For a start that was given up to be gone."""
SURE_SECONDS = 10.0
"""For a tree that was asked to end to be gone; longer than its launcher takes to kill it."""
BEFORE_IT_EXECUTED = "the task's process was ended before it executed"
_STARTED = (wire.EXECUTES, wire.SPAWNED)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A launcher that waits for its order; ``cgroup`` is empty where it has none."""

    channel: socket.socket
    cgroup: str


class Launched:
    """One started tree. Closing or dropping it ends the tree at once."""

    def __init__(self, waiting: Waiting, pid: int, on_end: Callable[[], None]) -> None:
        self.pid = pid
        self._on_end = on_end
        self._channel = waiting.channel
        self._cgroup = waiting.cgroup
        self._report: Report | None = None
        self._ending = False
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Give a descriptor that turns readable at the end."""
        return self._channel.fileno()

    def wait(self) -> Report:
        """Wait until the whole tree has ended; the same answer every time."""
        with self._lock:
            if self._report is None:
                self._report = read_report(self._channel, self._cgroup)
                self._channel.close()
                self._on_end()
            return self._report

    def kill(self, signal: int) -> None:
        """Send a signal to the task's process group; nothing happens where it has ended."""
        self._say(wire.SIGNAL, signal)

    def end(self, signal: int = signals.SIGTERM) -> None:
        """Ask the task to end; its tree is killed after the grace period."""
        self._say(wire.END, signal)
        if self._cgroup and not self._ending:  # once, however often somebody asks
            self._ending = True
            # SECURITY: a task as uid 0 can freeze its whole cgroup, and its launcher with it.
            sure = threading.Timer(SURE_SECONDS, cgroups.kill, (self._cgroup,))
            sure.daemon = True
            sure.start()

    def close(self) -> None:
        """End the tree at once where it still runs, with no report."""
        self._channel.close()

    def __del__(self) -> None:
        """Leave nothing running that nobody waits for."""
        self._channel.close()

    def _say(self, verb: int, number: int) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(wire.COMMAND.pack(verb, number))


class Signals:
    """The broker's ends of the two pipes by which one start is let go, and answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        theirs, go = os.pipe2(os.O_CLOEXEC)
        try:
            answer, its = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(theirs)
            os.close(go)
            raise
        self.theirs = (its, theirs)
        self._ends: tuple[int, int] | None = (go, answer)

    def sent(self) -> None:
        """Close the ends that are the launcher's."""
        for fd in self.theirs:
            os.close(fd)

    def taken(self) -> tuple[int, int] | None:
        """Give the ends to the one who lets the task go, or gives it up; None where somebody did before."""
        with self._lock:
            ends, self._ends = self._ends, None
        return ends

    def close(self) -> bool:
        """Give the start up: the task's process ends without executing. False where it was given up or let go before."""
        ends = self.taken()
        for fd in ends or ():
            os.close(fd)
        return ends is not None


def _let_go(go: int, answer: int, cgroup: str, give_up: Callable[[], None]) -> bytes:
    """Send the byte; give what is said last, empty where nothing is.

    Raises:
        StartUnknownError: The execution may have begun, and that did not come in time, whereupon ``give_up`` was called; or
            the launcher was ended meanwhile.
    """
    try:
        # Where nobody reads it any more, the answer says why.
        with contextlib.suppress(BrokenPipeError):
            os.write(go, wire.GO)
        poll = select.poll()
        poll.register(answer, 0)  # only the end counts: what is written before comes with it
        if _answered(poll, cgroup):
            said = os.read(answer, wire.MAX_ANSWER)
            if said == wire.LENDS:
                raise StartUnknownError("the launcher was ended while it started the task")
            return said
        give_up()
        said = os.read(answer, wire.MAX_ANSWER) if poll.poll(GONE_SECONDS * 1000) else wire.EXECUTES
        if said in {wire.LENDS, *_STARTED}:
            raise StartUnknownError("the launcher did not answer in time when it was to start the task")
        return said  # all who could still have begun are gone, and none had
    finally:
        os.close(go)
        os.close(answer)


def _answered(poll: select.poll, cgroup: str) -> bool:
    """Wait for the end of the answer; False where it does not come in time, or never will."""
    until = time.monotonic() + START_SECONDS
    # SECURITY: entering a folder or reading a program can hang for as long as its file system likes.
    while (left := until - time.monotonic()) > 0:
        if poll.poll(min(left, LOOK_SECONDS) * 1000):
            return True
        # SECURITY: whoever has the task's user can stop its process before it executes, and its launcher waits for it.
        if cgroup and cgroups.any_stopped(cgroup):
            return False
    return False


class Prepared:
    """An order that a launcher has taken. Nothing of the task runs before `go`, and none of it once closed or dropped.

    Attributes:
        fresh: Says whether the machine's mounts are still those from which the task's were made.
    """

    def __init__(
        self, waiting: Waiting, order: Order, ends: Signals, on_end: Callable[[], None], fresh: Callable[[], bool]
    ) -> None:
        self.fresh = fresh
        self._waiting = waiting
        self._program = order.argv[0]
        self._births = 1 if order.terminal is None else 2
        self._ends = ends
        self._on_end = on_end

    def go(self) -> Launched:
        """Let the task begin.

        Raises:
            CommandNotFoundError: The program, or a script's interpreter, is not there.
            CommandNotExecutableError: The program can't be executed.
            NotStartedError: Its process, or its launcher, was ended before it executed; nothing ran.
            StartUnknownError: No answer came, or not in time; what may have begun is ended.
            HostError: Anything else; nothing runs.
        """
        ends = self._ends.taken()
        if ends is None:
            raise HostError("the start was given up, or is under way")
        try:
            self._check(_let_go(*ends, self._waiting.cgroup, self._end))
        except BaseException:
            self._end()
            self._on_end()
            raise
        pid = 0
        for _ in range(self._births):  # one with a terminal is born a second time, on it
            pid = self._born()
        return Launched(self._waiting, pid, self._on_end)

    def close(self) -> None:
        """Give it up: whatever was made for it ends. Nothing happens where it was let go."""
        if self._drop():
            self._on_end()

    def __del__(self) -> None:
        """Leave nothing waiting that nobody will let go. Nothing is made anew here: that takes a lock."""
        self._drop()

    def _drop(self) -> bool:
        given_up = self._ends.close()
        if given_up:
            self._waiting.channel.close()
        return given_up

    def _end(self) -> None:
        self._waiting.channel.close()  # whoever was about to start sees that nobody waits, and ends
        if self._waiting.cgroup:
            cgroups.kill(self._waiting.cgroup)  # or sees nothing, because it hangs in the start itself

    def _check(self, said: bytes) -> None:
        if not said:
            # INVARIANT: what is said before an execution stays in the pipe. Its end without that: none was tried.
            raise NotStartedError(BEFORE_IT_EXECUTED)
        if said not in _STARTED:
            raise _not_started(self._program, said)

    def _born(self) -> int:
        data, known_as, _ = receive(self._waiting.channel, wire.BORN.size, socket.MSG_DONTWAIT)
        number: int = wire.BORN.unpack(data)[0] if len(data) == wire.BORN.size else 0
        return number or known_as


def _not_started(program: str, said: bytes) -> Exception:
    number = said[-1]
    detail = f"{program}: {os.strerror(number)}"
    if said.startswith(wire.FAILED):
        return HostError("the task's surroundings could not be made", detail=detail)
    if number == errno.ENOENT:
        return CommandNotFoundError("the program, or the interpreter it names, is not there", detail=detail)
    if number in {errno.ENOEXEC, errno.EACCES, errno.ETXTBSY}:
        return CommandNotExecutableError("the program can't be executed", detail=detail)
    return HostError("the task could not be started", detail=detail)
