"""The launcher program: starts one task, ends its whole tree, and reports. Standard library only.

The broker starts it once (``python -I -S program.py``, control socket as descriptor 3). It stays small and has one thread, so
it may fork. For each socket that it is sent it forks a launcher, which waits, warm, for its only order:

- it becomes the reaper of all its descendants and is not dumpable;
- the task gets a session of its own, exactly the given descriptors and environment, and is executed by descriptor;
- when the first process ends, the time is over or the broker is gone, whatever is left is killed until nothing is left;
- what could not be killed is counted in the report. Nothing is reported that was not checked.

A task that could not be executed is an errno in the first answer. There is no second way to start it.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import sys
import time

if __name__ == "__main__":
    sys.path.append(__file__.rsplit("/elevate/", 1)[0])

from elevate.host import wire

CONTROL = 3
GRACE_SECONDS = 2.0
CLEANUP_SECONDS = 5.0
_CLOEXEC = 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_TIOCSCTTY = 0x540E
_libc = ctypes.CDLL(None, use_errno=True)

Fields = dict[str, list[bytes]]


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process, or raise OSError."""
    if _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def zygote(control: socket.socket) -> None:
    """Fork a launcher for every socket that comes, until the broker is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        _, fds, _, _ = socket.recv_fds(control, 16, 1, flags=_CLOEXEC)
        if not fds:
            return
        if os.fork() == 0:
            control.close()
            serve(socket.socket(fileno=fds[0]))
            return
        os.close(fds[0])


def serve(channel: socket.socket) -> None:
    """Wait for the one order, run it, report."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    prctl(_PR_SET_DUMPABLE, 0)
    received = receive(channel)
    if received is None:
        return
    order, fds = received
    wake = _wake_on_child()
    began = time.monotonic()
    pid, error = start(order, fds)
    for fd in fds:
        os.close(fd)
    channel.send(wire.STARTED.pack(pid, error))
    if pid:
        Watch(channel, wake, pid, began, int(order["limit"][0])).run()


def receive(channel: socket.socket) -> tuple[Fields, list[int]] | None:
    """Take the order and its descriptors; None where the broker is gone."""
    data, fds, flags, _ = socket.recv_fds(channel, len(wire.MAGIC) + 1, wire.MAX_DESCRIPTORS, flags=_CLOEXEC)
    if not data:
        return None
    if data != wire.MAGIC or not fds or flags & socket.MSG_CTRUNC:
        raise ValueError("not an order")
    return wire.unpack(os.pread(fds[0], wire.MAX_ORDER_BYTES + 1, 0)), fds


def start(order: Fields, fds: list[int]) -> tuple[int, int]:
    """Fork and execute the task; give its process id, or 0 and the errno."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        answer = [write]
        code = errno.EINVAL
        try:
            execute(order, fds, answer)
        except OSError as exc:
            code = exc.errno or code
        finally:
            os.write(answer[0], bytes([code & 0xFF]))
            os._exit(127)
    os.close(write)
    failed = os.read(read, 1)
    os.close(read)
    if not failed:
        return pid, 0
    os.waitpid(pid, 0)
    return 0, failed[0]


def execute(order: Fields, fds: list[int], answer: list[int]) -> None:
    """Become the task: own session, given descriptors, default signals, no further privileges; then execute by descriptor.

    ``answer`` holds the descriptor for the errno; it moves with the others.
    """
    os.setsid()
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    targets = [int(number) for number in order["targets"]]
    answer[0], *others = place(targets, fds[1 : 1 + len(targets)], [answer[0], *fds[1 + len(targets) :]])
    rest = iter(others)
    directory = next(rest) if order["cwd_fd"] else None
    program = next(rest) if order["exec_fd"] else None
    if order["terminal"]:
        fcntl.ioctl(int(order["terminal"][0]), _TIOCSCTTY, 0)
    reset_signals()
    os.umask(0o022)
    os.fchdir(directory) if directory is not None else os.chdir(order["cwd"][0])
    if order["no_new_privs"]:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
    environment = dict(entry.split(b"=", 1) for entry in order["env"])
    os.execve(order["argv"][0] if program is None else readable(program), order["argv"], environment)  # noqa: S606 - no shell


def place(targets: list[int], sources: list[int], others: list[int]) -> list[int]:
    """Put each source at its target, the others above them all and closed on exec, nothing else; give the others' places."""
    floor = max([2, *targets]) + 1
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor + len(sources) + len(others) + 1) for fd in [*others, *sources]]
    keep = list(range(floor, floor + len(others)))
    for fd, number in zip(high, keep + targets, strict=True):
        os.dup2(fd, number, inheritable=number not in keep)
    for number in {0, 1, 2} - set(targets):
        os.dup2(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), number, inheritable=True)
    for number in set(range(floor)) - set(targets) - {0, 1, 2}:
        with contextlib.suppress(OSError):
            os.close(number)
    os.closerange(floor + len(others), 1 << 30)
    return keep


def readable(program: int) -> int:
    """Leave a script's descriptor open for its interpreter, which reads it as /dev/fd/N; a binary's closes on exec."""
    # SECURITY: there is no way back to a path here (attacks.md row 10).
    with contextlib.suppress(OSError):
        if os.pread(program, 2, 0) == b"#!":
            os.set_inheritable(program, True)  # noqa: FBT003 - positional only
    return program


def reset_signals() -> None:
    """Give the task the dispositions and the mask of a fresh process."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _wake_on_child() -> int:
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


class Watch:
    """Waits for the end of one task, hears the broker meanwhile, and ends the tree."""

    def __init__(self, channel: socket.socket, wake: int, pid: int, began: float, limit: int) -> None:
        self.channel = channel
        self.wake = wake
        self.pid = pid
        self.began = began
        self.deadline = began + limit
        self.timed_out = False
        self.ending = False
        self.status: int | None = None

    def run(self) -> None:
        """Wait, end the tree, report."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        while self.status is None and not self._over():
            ready = [fd for fd, _ in poll.poll(max(0.0, self.deadline - time.monotonic()) * 1000 + 1)]
            if self.wake in ready:
                os.read(self.wake, 512)
                self._reap()
            if self.channel.fileno() in ready and not self._hear():
                break
        left = self._end_tree()
        code = -signal.SIGKILL if self.status is None else os.waitstatus_to_exitcode(self.status)
        took = int((time.monotonic() - self.began) * 1e6)
        with contextlib.suppress(OSError):
            self.channel.send(wire.REPORT.pack(max(code, -1), max(-code, 0), self.timed_out, left, took))

    def _over(self) -> bool:
        if time.monotonic() < self.deadline:
            return False
        if self.ending:
            return True
        self.timed_out = True
        self._end(signal.SIGTERM)
        return False

    def _end(self, number: int) -> None:
        self.ending = True
        self.deadline = min(self.deadline, time.monotonic()) + GRACE_SECONDS
        self._signal(number)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.pid, number)

    def _hear(self) -> bool:
        """Do what the broker says; False where it is gone."""
        try:
            data = self.channel.recv(wire.COMMAND.size)
        except OSError:
            return False
        if len(data) != wire.COMMAND.size:
            return False
        verb, number = wire.COMMAND.unpack(data)
        if verb == wire.END and not self.ending:
            self._end(number)
        else:
            self._signal(number)
        return True

    def _reap(self) -> bool:
        """Collect all who have ended; False where no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.pid:
                self.status = status

    def _end_tree(self) -> int:
        """Kill until nothing is left; give the number that would not go."""
        until = time.monotonic() + CLEANUP_SECONDS
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while self._reap():
            if time.monotonic() > until:
                return len(descendants(os.getpid()))
            for pid in descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if poll.poll(2):
                os.read(self.wake, 512)
        return 0


def descendants(root: int) -> list[int]:
    """Give all living descendants of a process, nearest first. Orphans are its children, because it is their reaper."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state != b"Z":
                children.setdefault(int(parent), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def main() -> None:
    """Run until the broker closes the control socket."""
    os.closerange(CONTROL + 1, 1 << 30)
    os.set_inheritable(CONTROL, False)  # noqa: FBT003 - positional only
    prctl(_PR_SET_DUMPABLE, 0)
    zygote(socket.socket(fileno=CONTROL))


if __name__ == "__main__":
    main()
