"""How an agreed task, or one step of it, becomes processes: the one place of the broker from which `Host.start` is called."""

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from elevate.broker.several import steps_of
from elevate.errors import ElevateError
from elevate.model import AdminIdentity, Agreement, Allow, Ended, InspectedTask, Window
from elevate.outcome import Progress
from elevate.ports import Host, Inspection, Mandate, Prepared, Running
from elevate.tasks import DEFAULT_TIME_LIMIT_SECONDS

MAX_UNDO_SECONDS = 60
"""What undoes can't be cancelled, so its time is bounded: whoever stops the broker waits for it."""

Listener = Callable[[Progress], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is started: the steps of one agreement, as they were looked at.

    Attributes:
        ahead: What the host has made for the first step already.
        note: Writes into the log that a step is to be started, by its number, after how the one before it ended; or why it
            could not be.
    """

    host: Host
    identity: AdminIdentity
    session: str
    agreement: Agreement
    inspection: Inspection
    note: Callable[[int, Ended | ElevateError], None]
    ahead: Prepared | None = None

    @property
    def steps(self) -> int:
        """How many there are, with those that undo."""
        return len(self.agreement.steps)

    @property
    def forward(self) -> int:
        """How many are done where none fails."""
        return self.steps - self.agreement.task.task.undo

    def one(self, number: int, *, window: Window | None = None, streams: tuple[int, int] | None = None) -> Running:
        """Start one step by its number, from 1."""
        inspection = steps_of(self.inspection)[number - 1]
        if number > 1:
            # SECURITY: the steps before were admin, too, and can write where only root does (attacks.md row 48).
            inspection.check()
        task, decided = self.agreement.steps[number - 1]
        limit = limit_of(task, decided)
        return self.host.start(
            inspection,
            Mandate(
                identity=self.identity,
                session=self.session,
                time_limit_seconds=min(limit, MAX_UNDO_SECONDS) if number > self.forward else limit,
                obligations=decided.obligations,
            ),
            window=window,
            streams=streams,
            ahead=self.ahead if number == 1 else None,
        )


def prepare(host: Host, identity: AdminIdentity, session: str, agreement: Agreement, inspection: Inspection) -> Prepared | None:
    """Let the host make ahead what a task needs; None for several steps, and for what may have a terminal of its own."""
    task, decided = agreement.steps[0]
    if agreement.task.task.steps or dict(decided.obligations.extra).get("interactive") is True:
        return None
    # Whatever fails here fails again at the start, after the redemption, where it is told and written.
    with contextlib.suppress(Exception):
        return host.prepare(
            inspection,
            Mandate(
                identity=identity, session=session, time_limit_seconds=limit_of(task, decided), obligations=decided.obligations
            ),
        )
    return None


def limit_of(task: InspectedTask, decided: Allow) -> int:
    """Say how long a task may take: as asked, and no longer than the rules say."""
    limit = decided.obligations.time_limit_seconds
    asked = dict(task.task.params).get("time_limit_seconds", DEFAULT_TIME_LIMIT_SECONDS)
    asked = asked if isinstance(asked, int) else DEFAULT_TIME_LIMIT_SECONDS
    return min(limit, asked) if limit else asked


def stop(running: Running) -> None:
    """End what was started at once and close its descriptors, where nobody else will."""
    running.cancel(signal.SIGKILL)
    with contextlib.suppress(Exception):
        running.wait()
    for fd in (running.stdout, running.stderr, running.terminal, running.jobs):
        with contextlib.suppress(OSError):
            os.close(fd)
