"""Ctrl-C in the main thread of a program with a broker inside it, while a step waits to be written."""

import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.store import SqliteStore
from elevate.store.sqlite_ledger import Ledger
from elevate.store.sqlite_writer import Writer
from elevate.tasks import Task
from tests.unit.broker.conftest import events

SECONDS = 20
T = TypeVar("T")
ISSUED = ("requested", "prompting", "issued")
RUNS = (*ISSUED, "redeemed", "running")
ENDS = {
    (1, False): ("requested", "cancelled"),
    (1, True): ("requested", "prompting", "cancelled"),
    (2, False): ("requested", "prompting", "cancelled"),
    (2, True): (*ISSUED, "revoked"),
    (3, False): (*ISSUED, "revoked"),
    (3, True): (*ISSUED, "redeemed", "outcome-unknown"),
    (4, False): (*ISSUED, "redeemed", "outcome-unknown"),
    (4, True): (*RUNS, "outcome-unknown"),
    (5, False): (*RUNS, "destroyed"),
    (5, True): (*RUNS, "destroyed"),
}
"""How a request ends, by the step that is broken off and whether that was being written already."""


class BrokenOff:
    """Sends Ctrl-C while the main thread waits for its n-th step to be written; before that, or while it is."""

    def __init__(self, writer: Writer, number: int, *, written: bool) -> None:
        self._writer, self._run, self._left, self._written = writer, writer.run, number, written
        self._go = threading.Event()

    def run(self, work: Callable[[Ledger], T]) -> T:
        self._left -= threading.current_thread() is threading.main_thread()
        if self._left != 0:
            return self._run(work)
        if self._written:
            return self._run(partial(self._late, work))
        begun = threading.Event()
        self._writer.submit(partial(self._hold, begun))
        assert begun.wait(SECONDS)
        threading.Thread(target=self._when_queued).start()
        try:
            return self._run(work)
        finally:
            self._go.set()

    def _late(self, work: Callable[[Ledger], T], ledger: Ledger) -> T:
        self._interrupt()
        return work(ledger)

    def _hold(self, begun: threading.Event, _ledger: Ledger) -> None:
        begun.set()
        assert self._go.wait(SECONDS)

    def _when_queued(self) -> None:
        pause = threading.Event()
        assert any(self._writer._queue or pause.wait(0.001) for _ in range(SECONDS * 1000))
        self._interrupt()

    def _interrupt(self) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.parametrize(("step", "written"), ENDS)
def test_the_request_ends_wherever_it_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, *, written: bool
) -> None:
    """What was not written has not happened, what was written is known, and nothing stays open."""
    state = tmp_path / "state"
    with Broker.embedded(state) as broker:
        store = broker.parts.store
        assert isinstance(store, SqliteStore)
        monkeypatch.setattr(store._writer, "run", BrokenOff(store._writer, step, written=written).run)
        with pytest.raises(KeyboardInterrupt), broker.elevate(Task.run(["true"])) as grant:
            grant.run()
    with Broker.open(state) as broker:
        (request,) = {entry.request for entry in map(parse, broker.parts.store.entries()) if entry.event == "requested"}
        assert tuple(events(broker, request)) == ENDS[step, written]
