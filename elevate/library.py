"""The client library: ask the machine's broker from a program.

::

    with elevate.connect() as broker:
        with broker.elevate(elevate.Task.install("notes.whl"), reason="INC-4711") as grant:
            outcome = grant.run()

A `Connection` is for one thread at a time; open one per thread. Errors are those of `elevate.errors`, as the broker answered
them. A `Grant` is bound to its connection and to this process, and is good for one `run`.
"""

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Self, cast

from elevate.asking import Replies, kinds_of, looked_at, outcome_of, question
from elevate.canonical import Json
from elevate.errors import BrokerError, NoBrokerError, TaskInvalidError
from elevate.handover import HandOver
from elevate.kinds import KindSpec
from elevate.logs import Logs
from elevate.outcome import Outcome, Progress, drain
from elevate.tasks import Task, as_one
from elevate.wire import Wire, place


def connect(path: str | os.PathLike[str] | None = None) -> "Connection":
    """Connect to the machine's broker.

    Args:
        path: Of a socket where this user's own broker listens, for tests; the fixed place if not given.

    Raises:
        NoBrokerError: Nobody listens.
        BrokerUntrustedError: Somebody else listens.
    """
    where, uid = (os.fspath(path), os.getuid()) if path is not None else place()
    return Connection(Wire(where, uid))


def is_protected() -> bool:
    """Say whether Administrator protection is on here: a broker listens, and its settings say so.

    Raises:
        BrokerUntrustedError: Somebody else listens in the broker's place.
    """
    try:
        with connect() as broker:
            return broker.status().get("protected") is True
    except NoBrokerError:
        return False


def invoking_user() -> str | None:
    """Give the name of the user for whom this elevated task runs; None where this process is no elevated task.

    The broker makes a task's environment from nothing and puts the name there. It tells a task whose it is; it proves nothing
    to anyone else.
    """
    return os.environ.get("ELEVATE_USER") or None


class Grant:
    """The right to run one task, once."""

    def __init__(self, connection: "Connection", told: Mapping[str, Json]) -> None:
        self._connection = connection
        self._over = False
        self.request = str(told["request"])
        self.expires_at = cast("int", told["expires_at"])
        self.claims = cast("Mapping[str, Json]", told["claims"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def run(self, *, capture: bool = False, on_progress: Callable[[Progress], object] = lambda _: None) -> Outcome:
        """Redeem the token and run the task to its end.

        Args:
            capture: Collect at most 64 MiB of each output; else it goes to this process's own, as it comes.
            on_progress: Told of each step of several, as it begins and as it has ended; what it raises ends the task.

        Raises:
            TokenSpentError: It was used before.
            TokenError: It has expired, was taken back, or is another process's.
            HostError: The task could not be started; the token is used up all the same.
        """
        self._over = True
        return self._connection.redeem(self.request, capture=capture, on_progress=on_progress)

    def release(self) -> None:
        """Take the token back if it was not used; harmless otherwise."""
        if not self._over:
            self._over = True
            with contextlib.suppress(TaskInvalidError, BrokerError):
                self._connection.cancel(self.request)


class Connection(Logs):
    """One open connection to the broker."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def elevate(
        self,
        task: Task | Sequence[Task],
        *,
        reason: str = "",
        interactive: bool = True,
        on_state: Callable[[str, str], object] | None = None,
    ) -> Grant:
        """Ask for a task: inspect, decide, prompt, issue.

        Args:
            task: What to do; several are done in order under one token, up to the first that fails (`Task.in_order`).
            reason: Why; shown in the prompt and kept in the log.
            interactive: Let the broker prompt on this process's terminal, where it has one.
            on_state: Told the request's id and each state that it reaches.

        Raises:
            DeniedError: Policy says no.
            RefusedError: The person, the lock-out or the queue said no.
            TaskError: The task can't be run as asked.
            BrokerError: The broker failed; nothing was granted.
        """
        with self._lock, contextlib.ExitStack() as stack:
            asked = question(as_one(task), reason, stack, interactive=interactive)
            return Grant(self, cast("Mapping[str, Json]", self._ask(*asked, on_state)["grant"]))

    def hand_over(
        self,
        task: Task,
        *,
        helper: str,
        reason: str = "",
        interactive: bool = True,
        on_state: Callable[[str, str], object] | None = None,
    ) -> HandOver:
        """Ask for a task that a privileged helper carries out: the token is for that helper and comes by descriptor.

        Args:
            task: What the helper is to do.
            helper: Its name, as rules and the broker's settings have it.
            reason: Why; shown in the prompt and kept in the log.
            interactive: Let the broker prompt on this process's terminal, where it has one.
            on_state: Told the request's id and each state that it reaches.

        Raises:
            ElevateError: As `elevate`; also where no rule hands this task to this helper.
        """
        with self._lock, contextlib.ExitStack() as stack:
            asked = question(task, reason, stack, interactive=interactive, helper=helper)
            told = self._ask(*asked, on_state)
            [fd] = self._wire.take_fds(1)
        return HandOver(fd, cast("Mapping[str, Json]", told["grant"]), self.revoke)

    def _ask(
        self, parameters: dict[str, object], fds: tuple[int, ...], on_state: Callable[[str, str], object] | None
    ) -> dict[str, object]:
        # Whoever wants no states gets none: each of them costs both sides a wake-up.
        self._wire.send("Elevate", parameters, flag="more" if on_state else "", fds=fds)
        while True:
            told, continues = self._receive()
            if not continues:
                return told
            if on_state:
                on_state(str(told.get("request", "")), str(told.get("state", "")))

    def redeem(self, request: str, *, capture: bool, on_progress: Callable[[Progress], object] = lambda _: None) -> Outcome:
        """Use a grant; `Grant.run` calls this."""
        with self._lock:
            parameters = {"request": request, "redeem_id": secrets.token_hex(16), "descriptors": True}
            self._wire.send("Redeem", parameters, flag="more")
            self._receive()
            pipes = self._wire.take_fds(2)
            with self._cut_off():
                replies = Replies(self._wire, on_progress)
                over = None if replies.here() else self._wire.socket.fileno()
                captured = drain(pipes, over, capture=capture, heard=replies.heard)
                return outcome_of(replies.last(), captured)

    def explain(self, task: Task | Sequence[Task]) -> dict[str, Json]:
        """Say what policy makes of a task, or of several under one token; nobody is asked."""
        with contextlib.ExitStack() as stack:
            return self._call("Explain", *looked_at(as_one(task), stack), member="explanation")

    def kinds(self) -> dict[str, KindSpec]:
        """Give the kinds of task that the machine has, its own among them, for `elevate.Task.of`."""
        return kinds_of(self._call("Kinds", {}))

    def status(self) -> dict[str, Json]:
        """Say how the broker is."""
        return self._call("Status", {}, member="status")

    def receipt(self, request: str) -> dict[str, Json]:
        """Give what an ended request of this user's left behind."""
        return self._call("Receipt", {"request": request}, member="receipt")

    def requester(self) -> dict[str, Json]:
        """Say who this process is for the broker."""
        return self._call("WhoAmI", {}, member="requester")

    def cancel(self, request: str) -> None:
        """Stop a request of this user's, wherever it stands."""
        self._call("Cancel", {"request": request})

    def revoke(self, jti: str) -> None:
        """Take back a token of this user's that was not used yet."""
        self._call("Revoke", {"jti": jti})

    def keys(self) -> dict[str, Json]:
        """Give the key set (RFC 7517) that tokens for helpers are verified with; `elevate.helper` does that."""
        return self._call("Keys", {}, member="keys")

    def reload_policy(self) -> dict[str, Json]:
        """Load the policy again; the last good one stays where the new one is bad."""
        return self._call("ReloadPolicy", {}, member="policy")
