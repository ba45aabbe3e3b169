"""A task's process without a second Python: the launcher spawns it, and lends it for that moment the task's identity.

A fork of the launcher costs the kernel more than all else in a start: page tables, each page that one of the two writes, and
all of it again at the execution. `posix_spawn` shares the memory until the execution instead. The launcher has one thread, and
takes the identity between the byte and the execution only: `elevate.host.identity`.

Where that can't be, or is not enough (a terminal, a confined task's filters, limits that the launcher could not live with, a
task that could take hold of it), the process is forked: `elevate.host.program.Ahead`.

Standard library only.
"""

import _signal as signal  # type: ignore[import-not-found]  # the other one loads much, and its numbers are slow
import contextlib
import fcntl
import os
import select
import time

from elevate.host import confine, jail, kernel, limits, sharing, wire
from elevate.host.becoming import OWN, Fields, fail, is_script, number_of
from elevate.host.identity import Identity, shed
from elevate.host.mountinfo import Table
from elevate.host.sockets import Socket
from elevate.host.watch import WAIT_SECONDS
from elevate.host.writes import Writes, watch_writes

_CLOSE_RANGE, _CLOSE_ON_EXEC = 436, 4
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CREATE, _CLOEXEC = 6, 1
_QUIET = 2 | 4 | 8
"""Of the folder's mount: no set-user-id, no devices, no programs of its own."""
_PTRACE = b"%d" % kernel.CAPABILITIES.index("SYS_PTRACE")
_DEFAULTS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, *sharing.IGNORED)

Action = tuple[int, int, int]


def fits(order: Fields) -> bool:
    """Say whether an order's process can be spawned."""
    # SECURITY: who can take hold of other processes begins only when the launcher has no further rights; see `identity.shed`.
    return not (order["terminal"] or order["small"] or confine.wanted(order) or _PTRACE in order["capabilities"])


class Lending:
    """The start of one task's process; made while /proc is still the machine's.

    Attributes:
        pid: Of the process, once it began.
        begun: When that was, as `wire.BEGUN`.

    Raises:
        OSError: This kernel can't tell the process's number, or can't mark all descriptors at once.
    """

    def __init__(self, channel: Socket, table: Table) -> None:
        _close_all_on_execution()  # for now only to see that it can be done
        self._children = os.open(f"/proc/self/task/{os.readlink('/proc/self')}/children", os.O_RDONLY | os.O_CLOEXEC)
        self._names = _folder()
        self._channel = channel
        self._table = table
        self.pid = 0
        self.terminal = -1
        self.begun = bytearray(wire.BEGUN.size)
        self.writes: Writes | None = None

    def start(self, order: Fields, fds: list[int]) -> bool:
        """Make what the order needs, wait for the byte, and execute; False where nothing runs, for whatever reason."""
        self._order, (self._answer, self._go) = order, fds[1:OWN]
        try:
            jail.furnish(order, None)
            if order["watch"]:
                self.writes = watch_writes(jail.watched(order, self._table), int(order["account"][0]))
            self._prepare(fds[OWN:])
        except (OSError, ValueError) as exc:
            fail(self._answer, exc)
            return False
        if not self._wait():
            return False
        self._execute()
        return bool(self.pid)

    def _prepare(self, fds: list[int]) -> None:
        """Take all of the order but its user, and make ready what an execution needs."""
        order = self._order
        self._descriptors = limits.descriptors()
        kernel.new_session_keyring()
        self._identity = Identity(order)
        self._identity.narrow()
        self._identity.arm()
        if order["no_new_privs"]:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        rest = iter(fds[len(order["targets"]) :])
        self._directory = next(rest) if order["cwd_fd"] else None
        self._actions = _placed([int(number) for number in order["targets"]], fds)
        self._program = self._path(next(rest)) if order["exec_fd"] else order["argv"][0]
        self._environment = dict(entry.split(b"=", 1) for entry in order["env"])
        # SECURITY: the task gets what the actions give it, and nothing else; what came with the order is not closed by itself.
        _close_all_on_execution()

    def _wait(self) -> bool:
        """Wait for the byte; False where it does not come, or where nobody waits for the task any more."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._go, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(WAIT_SECONDS * 1000)]
        # INVARIANT: nothing of the task before the byte that the broker sends when the redemption is durable.
        return ready == [self._go] and os.read(self._go, len(wire.GO)) == wire.GO

    def _execute(self) -> None:
        """Be the task's user for the execution, and give up all further rights; what fails is told."""
        wire.BEGUN.pack_into(self.begun, 0, time.monotonic(), time.clock_gettime_ns(wire.COARSE))
        try:
            jail.enter(self._order, self._directory)  # as `becoming.prepare` does: before it is anybody else
            self._identity.turn()
        except (OSError, ValueError) as exc:
            fail(self._answer, exc)
            return
        os.write(self._answer, wire.LENDS)
        try:
            self.pid = self._spawn()
        except OSError as exc:
            os.write(self._answer, number_of(exc))
            return
        shed()
        limits.set_descriptors(self._descriptors)
        number = int(os.pread(self._children, 32, 0).split()[0])  # as the machine knows it
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more: who watches sees that
            self._channel.send(wire.BORN.pack(number))
            # INVARIANT: where this process is ended before here, nobody says whether the task ran.
            os.write(self._answer, wire.SPAWNED[len(wire.LENDS) :])

    def _spawn(self) -> int:
        """Execute; whether the process got so far is seen at its end: see `elevate.host.watch`."""
        return os.posix_spawn(
            self._program,
            self._order["argv"],
            self._environment,
            file_actions=self._actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULTS,
        )

    def _path(self, program: int) -> bytes:
        """Give a path that leads to this descriptor and to nothing else.

        A script's stays open for its interpreter, which reads it by that path. A binary's path ends with its name, because the
        kernel calls a process so.
        """
        # SECURITY: there is no way back to the program's own path here (attacks.md row 10).
        if is_script(program):
            number = 1 + max([2, *(target for _, _, target in self._actions)])
            self._actions.append((os.POSIX_SPAWN_DUP2, _above(program, number), number))
            return b"/dev/fd/%d" % number
        with contextlib.suppress(OSError):
            name = self._order["argv"][0].rpartition(b"/")[2]
            os.symlink(b"/proc/self/fd/%d" % program, name, dir_fd=self._names)
            return b"/proc/self/fd/%d/%s" % (self._names, name)
        return b"/proc/self/fd/%d" % program


def _placed(targets: list[int], sources: list[int]) -> list[Action]:
    """Give what puts each source at its target and nothing at the rest of the standard descriptors."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    pairs = [*zip(sources, targets, strict=False), *((null, number) for number in {0, 1, 2} - set(targets))]
    floor = max([2, *targets])
    return [(os.POSIX_SPAWN_DUP2, _above(fd, floor), number) for fd, number in pairs]


def _above(fd: int, floor: int) -> int:
    """Give the same descriptor by a number that is nobody's target."""
    return fd if fd > floor else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor + 1)


def _close_all_on_execution() -> None:
    kernel.call(_CLOSE_RANGE, 3, 0xFFFFFFFF, _CLOSE_ON_EXEC)


def _folder() -> int:
    """Give a folder in memory that has no path, for names of descriptors; -1 where there can be none."""
    try:
        made = kernel.call(_FSOPEN, b"tmpfs", _CLOEXEC)
        try:
            kernel.call(_FSCONFIG, made, _CREATE, 0, 0, 0)
            return kernel.call(_FSMOUNT, made, _CLOEXEC, _QUIET)
        finally:
            os.close(made)
    except OSError:
        return -1
