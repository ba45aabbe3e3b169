"""What the socket needs from a broker, as Protocols: the daemon gives the real one, tests a simulator."""

from collections.abc import Callable, Generator, Mapping
from typing import Protocol

from elevate.broker import Ask, Cancellation
from elevate.broker.asking import Asked
from elevate.canonical import Json
from elevate.host.processes import ProcessFacts
from elevate.kinds import KindSpec
from elevate.lifecycle import State
from elevate.model import ProcessIdentity, Requester, Window
from elevate.outcome import Progress
from elevate.ports import Cancel, Running
from elevate.tasks import Task


class Grant(Protocol):
    """A right to run one task once.

    Attributes:
        request: Id of the request.
        expires_at: Unix seconds, exclusive.
        claims: The token's claims; the token itself stays in the broker.
    """

    @property
    def request(self) -> str:
        """Id of the request."""

    @property
    def expires_at(self) -> int:
        """Unix seconds, exclusive."""

    @property
    def claims(self) -> Mapping[str, Json]:
        """The token's claims; the token itself stays in the broker."""

    def start(
        self,
        redeem_id: str,
        presenter: ProcessIdentity,
        *,
        window: Window | None = None,
        on_progress: Callable[[Progress], object] = lambda _: None,
    ) -> Running:
        """Redeem, and start the task.

        Args:
            redeem_id: Random; the same one may be asked about again.
            presenter: The process that uses it; it must be the one that asked.
            window: A terminal that the task gets where a rule says interactive.
            on_progress: Told of each step of several, from another thread.

        Raises:
            TokenSpentError: It was used before.
        """

    def go(self, *, window: Window | None = None, on_progress: Callable[[Progress], object] = lambda _: None) -> Running:
        """Start the task of a grant that was asked for with `elevate.broker.AtOnce`; else as `start`."""

    def finish(self, running: Running) -> Mapping[str, Json]:
        """Wait for the task's end and give its outcome."""

    def release(self) -> None:
        """Take an unused token back; harmless after its use."""

    def token(self) -> str:
        """Give the token's text, for a helper; any other token stays in the broker.

        Raises:
            TokenError: It is not for a helper.
        """


class Redeemed(Protocol):
    """A task that a helper carries out.

    Attributes:
        request: Id of the request.
    """

    @property
    def request(self) -> str:
        """Id of the request."""

    def told(self) -> Mapping[str, Json]:
        """Give what the helper is to do."""

    def open_input(self) -> int | None:
        """Give a descriptor of the input that was agreed to, which the caller closes; None where there is none."""

    def listen(self, tell: Callable[[], object]) -> None:
        """Have a cancellation told, at once where it came before; in place of whoever was told until now."""

    def finish(self, exit_status: int) -> Mapping[str, Json]:
        """Take the helper's report and give the outcome.

        Raises:
            TaskInvalidError: Nobody waits for it any more.
        """

    def leave(self) -> None:
        """The helper has left: how the task ended is not known, unless it was reported before."""


class Log(Protocol):
    """The log, as readers ask for it; see `elevate.broker.logbook.Logbook`."""

    def show(self, name: str, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        """Give one request's life."""

    def prove(self, position: int, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        """Give a proof of one entry."""

    def checkpoint(self, old: int | None, new: int | None, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        """Give the keys and a checkpoint, or what leads from one size to another."""

    def search(self, asked: Asked, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        """Give one page."""

    def follow(
        self,
        asked: Asked,
        who: Requester,
        *,
        cancel: Cancel,
        answers: int | None = None,
        again: Callable[[], Requester] | None = None,
    ) -> Generator[dict[str, Json], None, None]:
        """Give pages of what comes."""


class Care(Protocol):
    """What is done to a log as it ages; see `elevate.broker.care.Care`."""

    def erase(self, subject: str, who: Requester) -> dict[str, Json]:
        """Erase a person."""

    def prune(self, before: int, archive: int, who: Requester) -> dict[str, Json]:
        """Archive what is old."""

    def rotate_key(self, who: Requester) -> dict[str, Json]:
        """Take a new log key."""


class Surface(Protocol):
    """The broker, as the socket calls it."""

    @property
    def logbook(self) -> Log:
        """Answers readers of the log."""

    @property
    def care(self) -> Care:
        """Takes care of the log."""

    def requester(self, facts: ProcessFacts) -> Requester:
        """Say who a process stands for."""

    def elevate(self, ask: Ask, *, terminal: int | None, cancel: Cancellation, on_state: Callable[[str, State], None]) -> Grant:
        """Inspect, decide, prompt, issue; tell the request's id with every state."""

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        """Count memory that a call of this user's is about to take up; give what gives it back."""

    def explain(self, task: Task, requester: Requester, *, payload: int | None = None) -> Mapping[str, Json]:
        """Say what policy makes of a task; ``payload`` is a descriptor of its input."""

    def kinds(self) -> Mapping[str, KindSpec]:
        """Give the kinds of task that this machine has."""

    def rules(self, requester: Requester) -> list[Json]:
        """Give the rules that are for the requester."""

    def cancel(self, request: str, requester: Requester) -> None:
        """Cancel an open request of the requester's own."""

    def revoke(self, jti: str, requester: Requester) -> None:
        """Take back a token of the requester's own."""

    def receipt(self, request: str, requester: Requester) -> Mapping[str, Json]:
        """Say what a request of the requester's own left behind."""

    def hello(
        self,
        method: str,
        parameters: Mapping[str, Json],
        requester: Requester,
        *,
        terminal: int | None,
        cancel: Cancellation,
    ) -> Mapping[str, Json]:
        """Answer one of the methods that manage gestures."""

    def status(self) -> Mapping[str, Json]:
        """Say how the broker is."""

    def reload_policy(self, requester: Requester | None = None) -> Mapping[str, Json]:
        """Load the policy again."""

    def keys(self) -> Mapping[str, Json]:
        """Give what a helper verifies tokens with."""

    def redeem(self, token: str, redeem_id: str, facts: ProcessFacts) -> Redeemed:
        """Use a token that was handed to a helper.

        Raises:
            TokenError: It is not good here, was used, or is not for this program.
        """
