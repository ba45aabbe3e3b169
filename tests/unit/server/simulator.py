"""A broker without policy, prompt or host, for tests of the wire: its tasks are pipes that the test writes to."""

import os
import select
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from elevate.broker import Ask, Cancellation
from elevate.broker.asking import Asked
from elevate.canonical import Json
from elevate.errors import CancelledError, TaskInvalidError, TokenSpentError
from elevate.host.budget import Budget
from elevate.host.processes import ProcessFacts
from elevate.kinds import KINDS, KindSpec
from elevate.lifecycle import State
from elevate.model import Ended, ProcessIdentity, Requester, Window
from elevate.outcome import Progress
from elevate.ports import Cancel, Running
from elevate.server.surface import Grant
from elevate.tasks import Task


class SimulatedTask:
    """A running task: ends when the test says so, or when it is cancelled."""

    def __init__(self) -> None:
        self.pid = 1
        self.terminal = self.jobs = -1
        self.stdout, self.out = os.pipe()
        self.stderr, self.err = os.pipe()
        self.signals: list[int] = []
        self.cancelled = threading.Event()
        self.ended = threading.Event()
        self.result = Ended(exit_status=None)

    def end(self, exit_status: int = 0) -> None:
        self.result = Ended(exit_status=exit_status)
        self.ended.set()

    def wait(self) -> Ended:
        self.ended.wait()
        os.close(self.out)
        os.close(self.err)
        return self.result

    def signal(self, number: int) -> None:
        self.cancel(number)

    def cancel(self, signal: int = 15) -> None:
        self.signals.append(signal)
        self.cancelled.set()
        self.result = Ended(exit_status=None, signal=signal)
        self.ended.set()


@dataclass
class SimulatedGrant:
    broker: "SimulatedBroker"
    ask: Ask
    request: str = "ab" * 16
    expires_at: int = 1_800_000_030
    claims: Mapping[str, Json] = field(default_factory=lambda: {"jti": "x"})
    used: bool = False
    window: Window | None = None
    released: bool = False
    failing: Exception | None = None

    def start(
        self,
        redeem_id: str,
        presenter: ProcessIdentity,
        *,
        window: Window | None = None,
        on_progress: Callable[[Progress], object] = lambda _: None,
    ) -> Running:
        self.window = window
        self.broker.listeners.append(on_progress)
        if self.used:
            raise TokenSpentError("the token was used before")
        self.used = True
        self.broker.presenters.append((redeem_id, presenter))
        task = SimulatedTask()
        self.broker.tasks.append(task)
        self.broker.script(task, self.ask)
        return task

    def go(self, *, window: Window | None = None, on_progress: Callable[[Progress], object] = lambda _: None) -> Running:
        at_once = self.ask.at_once
        assert at_once is not None
        return self.start(at_once.redeem_id, at_once.presenter(), window=window, on_progress=on_progress)

    def finish(self, running: Running) -> Mapping[str, Json]:
        ended = running.wait()
        return {"exit_status": ended.exit_status, "signal": ended.signal, "receipt": {"request": self.request}}

    def token(self) -> str:
        return f"token of {self.request}"

    def release(self) -> None:
        if self.failing:
            raise self.failing
        self.released = True


def end_at_once(task: SimulatedTask, ask: Ask) -> None:
    del ask
    os.write(task.out, b"hello\n")
    os.write(task.err, b"oh\n")
    task.end(7)


@dataclass
class SimulatedRedeemed:
    """A helper's task: notes what it is told."""

    request: str = "cd" * 16
    status: int | None = None
    left: bool = False
    tell: Callable[[], object] = lambda: None

    def told(self) -> Mapping[str, Json]:
        return {"reason": "because"}

    def open_input(self) -> int | None:
        return None

    def listen(self, tell: Callable[[], object]) -> None:
        self.tell = tell

    def finish(self, exit_status: int) -> Mapping[str, Json]:
        self.status = exit_status
        return {"exit_status": exit_status}

    def leave(self) -> None:
        self.left = True


@dataclass
class SimulatedLog:
    """Answers with what was asked.

    Attributes:
        pages: What a follower gets before it is cut off, by a hang-up or by ``endless``.
        asked: Every question.
        ended: Followers that have ended.
    """

    pages: list[dict[str, Json]] = field(default_factory=list)
    endless: bool = False
    asked: list[tuple[str, Asked | str | int, Requester]] = field(default_factory=list)
    answers: list[int | None] = field(default_factory=list)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def show(self, name: str, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        self.answers.append(answers)
        self.asked.append(("show", name, who))
        return {"request": name, "entries": [], "mine": mine}

    def prove(self, position: int, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        self.answers.append(answers)
        self.asked.append(("prove", position, who))
        return {"proof": "p", "mine": mine}

    def checkpoint(self, old: int | None, new: int | None, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        self.answers.append(answers)
        self.asked.append(("checkpoint", new or 0, who))
        return {"note": "n", "keys": []} if old is None else {"hashes": [], "keys": []}

    def search(self, asked: Asked, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        self.answers.append(answers)
        self.asked.append(("search", asked, who))
        return {"entries": []}

    def follow(
        self,
        asked: Asked,
        who: Requester,
        *,
        cancel: Cancel,
        answers: int | None = None,
        again: Callable[[], Requester] | None = None,
    ) -> Generator[dict[str, Json], None, None]:
        assert again is None or again().process == who.process
        self.answers.append(answers)
        self.asked.append(("follow", asked, who))
        try:
            yield from self.pages
            while self.endless and not cancel.cancelled():
                yield {"entries": [{"body": "x" * 65_536}], "next": 0}
            select.select([cancel], [], [])
        finally:
            self.ended.release()


@dataclass
class SimulatedCare:
    """Does what root asks."""

    done: list[tuple[str, str | int, Requester]] = field(default_factory=list)

    def erase(self, subject: str, who: Requester) -> dict[str, Json]:
        self.done.append(("erase", subject, who))
        return {"entries": 1, "requests": 1}

    def prune(self, before: int, archive: int, who: Requester) -> dict[str, Json]:
        self.done.append(("prune", before, who))
        os.write(archive, b"archived")
        return {"began": before}

    def rotate_key(self, who: Requester) -> dict[str, Json]:
        self.done.append(("rotate", "", who))
        return {"key": "k"}


@dataclass
class SimulatedBroker:
    """Grants everything.

    Attributes:
        script: What a started task does.
        prompt: What happens while a person is asked.
    """

    script: Callable[[SimulatedTask, Ask], None] = end_at_once
    prompt: Callable[[Ask, Cancel], None] = lambda _ask, _cancel: None
    terminals: list[int | None] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    grants: list[SimulatedGrant] = field(default_factory=list)
    tasks: list[SimulatedTask] = field(default_factory=list)
    presenters: list[tuple[str, ProcessIdentity]] = field(default_factory=list)
    listeners: list[Callable[[Progress], object]] = field(default_factory=list)
    redeemed: list[SimulatedRedeemed] = field(default_factory=list)
    logbook: SimulatedLog = field(default_factory=SimulatedLog)
    care: SimulatedCare = field(default_factory=SimulatedCare)
    budget: Budget = field(default_factory=Budget)

    def hold(self, uid: int, size: int) -> Callable[[], None]:
        return self.budget.take(uid, size)

    def requester(self, facts: ProcessFacts) -> Requester:
        return Requester(
            user="alice",
            sid="S-1-5-21-1-2-3-1001",
            groups=(),
            machine="m",
            process=facts.process,
            executable=facts.executable,
            chain=facts.chain,
            remote=facts.remote,
        )

    def elevate(self, ask: Ask, *, terminal: int | None, cancel: Cancellation, on_state: Callable[[str, State], None]) -> Grant:
        self.asks.append(ask)
        self.terminals.append(terminal)
        grant = SimulatedGrant(self, ask)
        on_state(grant.request, State.REQUESTED)
        on_state(grant.request, State.PROMPTING)
        self.prompt(ask, cancel)
        if cancel.cancelled():
            raise CancelledError("the client left")
        on_state(grant.request, State.ISSUED)
        self.grants.append(grant)
        return grant

    def explain(self, task: Task, requester: Requester, *, payload: int | None = None) -> Mapping[str, Json]:
        size = {} if payload is None else {"input_bytes": os.fstat(payload).st_size}
        return {"task": task.display(), "user": requester.user} | size

    def kinds(self) -> Mapping[str, KindSpec]:
        return KINDS

    def rules(self, requester: Requester) -> list[Json]:
        return [{"id": "one", "effect": "allow", "why": f"for {requester.user}"}]

    def cancel(self, request: str, requester: Requester) -> None:
        raise TaskInvalidError(f"no open request {request} of {requester.user}")

    def revoke(self, jti: str, requester: Requester) -> None:
        raise TaskInvalidError(f"no token {jti} of {requester.user}")

    def hello(
        self,
        method: str,
        parameters: Mapping[str, Json],
        requester: Requester,
        *,
        terminal: int | None,
        cancel: Cancellation,
    ) -> Mapping[str, Json]:
        left = cancel.cancelled()
        return {"method": method, "user": requester.user, "given": dict(parameters), "terminal": terminal, "left": left}

    def receipt(self, request: str, requester: Requester) -> Mapping[str, Json]:
        return {"request": request, "user": requester.user}

    def status(self) -> Mapping[str, Json]:
        return {"emulated": True}

    def reload_policy(self, requester: Requester | None = None) -> Mapping[str, Json]:
        del requester
        return {"digest": "0" * 64}

    def keys(self) -> Mapping[str, Json]:
        return {"keys": {"keys": []}, "issuer": "simulated"}

    def redeem(self, token: str, redeem_id: str, facts: ProcessFacts) -> SimulatedRedeemed:
        self.presenters.append((redeem_id, facts.process))
        self.redeemed.append(SimulatedRedeemed(token))
        return self.redeemed[-1]
