"""Several steps as one running task: one after the other, in one session, with one pair of pipes.

Each is started from the descriptors that were opened before the prompt and with the obligations of its own decision; one whose
file an earlier step has changed is not started. The first that fails, is ended or can't be started ends the row; then, and only
then, the steps that undo are started, all of them. INVARIANT: no log, no right: a step after the first is started once the log
has that it is. Nothing of it is ever started twice, and a broker that comes back starts none of it.
"""

import contextlib
import os
import signal
import threading
from dataclasses import dataclass, field, replace

from elevate.broker.several import steps_of
from elevate.broker.spill import spilled
from elevate.broker.starting import Listener, Start
from elevate.errors import ElevateError, HostError, NotStartedError, StartUnknownError
from elevate.model import Ended, Window
from elevate.outcome import Progress
from elevate.ports import Running


def start(what: Start, window: Window | None, listener: Listener) -> Running:
    """Start an agreed task, or the first of its steps.

    Raises:
        HostError: It could not be started; nothing of it runs.
    """
    if what.agreement.task.steps:
        return StepsRunning(what, listener)
    # SECURITY: what was agreed to says whether the task hears a person (attacks.md rows 26 and 27).
    extra = dict(what.agreement.decision.obligations.extra)
    declared = what.agreement.task.payload is not None and window is not None and 0 in window.streams
    return what.one(1, window=window if extra.get("interactive") is True and not declared else None)


@dataclass(slots=True)
class _State:
    """What several threads see of a row of steps; guarded by its lock."""

    current: Running | None = None
    cancelled: int = 0
    going: bool = False
    undoing: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class StepsRunning:
    """A `elevate.ports.Running` over steps that run one after the other, with one pair of pipes for all.

    The first step runs when this is made; the next ones follow once somebody calls `go`, or waits.
    """

    terminal = -1
    jobs = -1

    def __init__(self, what: Start, listener: Listener) -> None:
        self._what = what
        self._listener = listener
        self._state = _State()
        self._ended: list[Ended] = []
        self._broken: Exception | None = None
        self.stdout, write_out = os.pipe()
        self.stderr, write_err = os.pipe()
        self._streams = (write_out, write_err)
        try:
            self._tell(1)
            first = self._state.current = what.one(1, streams=self._streams)
        except BaseException:
            _close(self.stdout, self.stderr, *self._streams)
            raise
        self.pid = first.pid
        self._thread = threading.Thread(target=self._go, args=(first,), name="steps", daemon=True)

    def go(self) -> None:
        """Let the further steps follow; twice is the same as once."""
        with self._state.lock:
            going, self._state.going = self._state.going, True
        if not going:
            self._thread.start()

    def wait(self) -> Ended:
        """Wait until all that is to run has ended; the same answer every time."""
        self.go()
        self._thread.join()
        if self._broken is not None:
            raise self._broken
        return together(self._ended, self._what.forward, self._state.cancelled)

    def cancel(self, number: int = signal.SIGTERM) -> None:
        """Ask the step that runs to end; none but those that undo follows, and these are let be."""
        with self._state.lock:
            self._state.cancelled = self._state.cancelled or number
            current = None if self._state.undoing else self._state.current
        if current is not None:
            current.cancel(number)

    def signal(self, number: int) -> None:
        """Pass a signal to the step that runs; what undoes hears none."""
        with self._state.lock:
            current = None if self._state.undoing else self._state.current
        if current is not None:
            current.signal(number)

    def _go(self, first: Running) -> None:
        what = self._what
        try:
            well = self._await(1, first).succeeded
            for number in range(2, what.forward + 1):
                if not well or self._state.cancelled:
                    break
                well = self._do(number).succeeded
            if not well or len(self._ended) < what.forward:
                with self._state.lock:
                    self._state.undoing = True
                for number in range(what.forward + 1, what.steps + 1):
                    # SECURITY: whoever left reads nothing any more; that must not end what takes the change back.
                    with spilled(self._streams) as streams:
                        self._do(number, streams)
        except Exception as error:  # noqa: BLE001 - a thread's own loop: whoever waits is told that the end is not known
            self._broken = error
        finally:
            _close(*self._streams)

    def _do(self, number: int, streams: tuple[int, int] | None = None) -> Ended:
        try:
            self._what.note(number, self._ended[-1])
            self._tell(number)
            running = self._what.one(number, streams=streams or self._streams)
        except StartUnknownError:
            raise  # nobody knows whether it runs: neither is it taken back, nor goes anything on
        except Exception as error:  # noqa: BLE001 - whatever it is, the step did not begin, and the row ends here
            return self._not_begun(number, error)
        return self._await(number, running)

    def _await(self, number: int, running: Running) -> Ended:
        with self._state.lock:
            self._state.current = running
            cancelled = 0 if self._state.undoing else self._state.cancelled
        if cancelled:
            running.cancel(cancelled)
        try:
            ended = replace(running.wait(), step=number)
        except NotStartedError as error:
            return self._not_begun(number, error)
        steps_of(self._what.inspection)[number - 1].close()
        return self._add(ended)

    def _not_begun(self, number: int, error: Exception) -> Ended:
        known = error if isinstance(error, ElevateError) else HostError("the step could not be started", detail=repr(error))
        with contextlib.suppress(ElevateError):
            self._what.note(number, known)
        return self._add(Ended(exit_status=known.exit_code, step=number, problem=known.message))

    def _add(self, ended: Ended) -> Ended:
        self._ended.append(ended)
        self._tell(ended.step, ended)
        return ended

    def _tell(self, number: int, ended: Ended | None = None) -> None:
        what = self._what
        step, _ = what.agreement.steps[number - 1]
        progress = Progress(
            step=number,
            steps=what.forward,
            undo=number > what.forward,
            task=step.task.display(),
            ended=ended is not None,
            exit_status=ended.exit_status if ended else None,
            signal=ended.signal if ended else None,
            timed_out=ended.timed_out if ended else False,
            problem=ended.problem if ended else "",
        )
        # Whoever listens can't change the story by failing.
        with contextlib.suppress(Exception):
            self._listener(progress)


def together(ended: list[Ended], forward: int, cancelled: int) -> Ended:
    """Say how a row of steps ended: as the last that was to do something, or by the signal that let the next one not begin."""
    last = [one for one in ended if one.step <= forward][-1]
    cut = cancelled if last.succeeded and last.step < forward else 0
    return Ended(
        exit_status=None if cut else last.exit_status,
        signal=cut or last.signal,
        timed_out=last.timed_out,
        leftover=sum(one.leftover for one in ended),
        written=tuple(written for one in ended for written in one.written),
        watched=tuple(sorted({folder for one in ended for folder in one.watched})),
        duration_ms=sum(one.duration_ms for one in ended),
        problem=last.problem,
        steps=tuple(ended),
    )


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
