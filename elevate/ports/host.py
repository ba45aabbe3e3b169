"""The machine on which tasks are inspected and run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from elevate.model import AdminIdentity, Ended, InspectedTask, Obligations, Requester, Window
from elevate.tasks import Task


class Inspection(Protocol):
    """A task that was looked at, with the descriptors that were opened and hashed; these will be executed."""

    @property
    def task(self) -> InspectedTask:
        """What was found."""

    def check(self) -> None:
        """Make sure that what was opened still has the hash that was taken: an earlier step may have written to it.

        Raises:
            HostError: It has not.
        """

    def close(self) -> None:
        """Close the descriptors; twice is the same as once."""


class Running(Protocol):
    """A task that was started.

    Attributes:
        pid: Process id of the task's first process; 0 where none could be started.
        stdout: Read end of a pipe; the reader owns it.
        stderr: Read end of a pipe; the reader owns it.
        terminal: The other end of the task's own terminal, which the reader owns; -1 where it has pipes. Where there is one,
            the pipes that it stands for are empty, and reading fails with EIO at its end.
        jobs: Read end of a pipe on which one byte, the signal's number, comes whenever a task with a terminal is stopped; the
            reader owns it; -1 where it has no terminal.
    """

    pid: int
    stdout: int
    stderr: int
    terminal: int
    jobs: int

    def wait(self) -> Ended:
        """Wait until the whole tree has ended, end what is left of it, and check."""

    def cancel(self, signal: int = 15) -> None:
        """Ask the task to end; its tree is killed if it does not."""

    def signal(self, number: int) -> None:
        """Pass a signal to the task, which may do with it what it likes."""


class Prepared(Protocol):
    """What a host has made ready for one start. Nothing of the task has run."""

    def close(self) -> None:
        """Give it up, with all that was made for it; nothing happens where the task was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mandate:
    """What one start is asked for, beside the task.

    Attributes:
        identity: What `Host.provision` gave.
        session: A new id; never used before but for the step before this one.
        time_limit_seconds: The tree is ended after this.
        obligations: What the decision demands.
    """

    identity: AdminIdentity
    session: str
    time_limit_seconds: int
    obligations: Obligations = field(default_factory=Obligations)


class Host(Protocol):
    """The machine on which tasks are inspected and run.

    Attributes:
        name: Audience of tokens, as ``emulated:4f1c…``.
        emulated: It is no security boundary, and says so.
        keeps: Obligations that it keeps while the task runs, of those that only a machine can keep.
    """

    name: str
    emulated: bool
    keeps: frozenset[str]

    def user_for(self, uid: int) -> tuple[str, str, tuple[str, ...]]:
        """Give a person's name, SID and groups on this machine.

        Raises:
            DeniedError: This uid is no user here.
        """

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count memory that is about to be taken up for a user, before `inspect`; give what gives it back.

        Raises:
            BusyError: That user, or all, take up too much already.
        """

    def inspect(
        self, task: Task, requester: Requester, payload: int | None = None, *, before: Sequence[InspectedTask] = ()
    ) -> Inspection:
        """Look at a task, or at one step of several: open, resolve, hash.

        Args:
            task: What was asked; it has no steps.
            requester: Who asks.
            payload: Descriptor of a sealed memory file that stands in place of ``task.payload``; the caller keeps it.
            before: What was found of the steps before it. A service that one of these brings need not be there yet; the
                inspection's `check` then says whether it is, as it was agreed to.

        Raises:
            CommandNotFoundError: No such file.
            CommandNotExecutableError: The file can't be executed.
            TaskInvalidError: Anything else that can't be run.
        """

    def provision(self, requester: Requester) -> AdminIdentity:
        """Give the requester's hidden admin account; make it at the first elevation."""

    def prepare(self, inspection: Inspection, mandate: Mandate) -> Prepared | None:
        """Begin to make what `start` needs, without waiting for it.

        Nothing of the task runs, and where `start` does not follow nothing is left.

        Args:
            inspection: As `start`; it may still be started then, and only once.
            mandate: As `start`; its time limit is counted from there.

        Returns:
            What `start` takes as ``ahead``, and who asked for it closes; None where this host makes nothing ahead.

        Raises:
            HostError: As `start`, where that can be told already.
        """

    def start(
        self,
        inspection: Inspection,
        mandate: Mandate,
        *,
        window: Window | None = None,
        streams: tuple[int, int] | None = None,
        ahead: Prepared | None = None,
    ) -> Running:
        """Start the inspected task. The one way to an admin process.

        Args:
            inspection: What `inspect` gave; good for one start.
            mandate: As whom, and what binds it; a host that is a boundary refuses what it can't keep.
            window: A terminal of the task's own; None gives it pipes. A rule must say interactive.
            streams: Standard output and error in place of new pipes, for a step of several; the caller keeps them, and the
                running task has -1 for its own.
            ahead: What `prepare` gave; used where it was made for this very start and still holds.

        Raises:
            HostError: It could not be started; nothing of it runs.
        """
