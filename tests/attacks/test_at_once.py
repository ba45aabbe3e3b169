"""Rows 13 and 47 on issue and redemption that are one commit: killed at any point between the two, there is neither or both.

A broker of its own is killed by itself, at the very instruction; what the next one finds and says is looked at.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import Outcome, parse, verify_chain
from elevate.broker import Ask, AtOnce, Broker, Cancellation, Terms
from elevate.host.processes import read_process
from elevate.store.sqlite_ledger import Ledger
from elevate.tasks import Task

ROOT = Path(__file__).resolve().parents[2]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _written(ledger: Ledger, event: str) -> bool:
    """Say whether the entry written last is this one."""
    data = ledger.connection.execute("SELECT data FROM entries ORDER BY seq DESC LIMIT 1").get
    return isinstance(data, bytes) and parse(data).event == event


def _between(ledger: Ledger) -> None:
    write = ledger.log.write

    def wrapped(draft: Any, *, row: str = "") -> int:  # noqa: ANN401 - handed on
        position = write(draft, row=row)
        if draft.event == "issued":
            _die()
        return position

    ledger.log.write = wrapped  # type: ignore[method-assign]  # the process ends by it


def _before_the_sync(ledger: Ledger) -> None:
    commit = ledger.commit

    def wrapped() -> None:
        if _written(ledger, "redeemed"):
            _die()
        commit()

    ledger.commit = wrapped  # type: ignore[method-assign]  # the same


def _after_the_sync(ledger: Ledger) -> None:
    commit = ledger.commit

    def wrapped() -> None:
        commit()
        if _written(ledger, "redeemed"):
            _die()

    ledger.commit = wrapped  # type: ignore[method-assign]  # the same


def _nowhere(_ledger: Ledger) -> None:
    """The ledger is let be: the broker is killed before the start."""


POINTS: dict[str, Callable[[Ledger], None]] = {
    "between": _between,
    "before-the-sync": _before_the_sync,
    "after-the-sync": _after_the_sync,
    "before-the-start": _nowhere,
}


def main(folder: str, point: str, marker: str) -> None:
    """Ask for one task at once, and be killed at ``point``."""
    broker = Broker.embedded(Path(folder))
    POINTS[point](broker.parts.ledger._ledger)
    host = broker.parts.host
    broker.parts = replace(broker.parts, host=_Deadly(host))  # type: ignore[arg-type]
    me = broker.requester(read_process(os.getpid()))
    use = AtOnce(redeem_id="ab" * 16, presenter=lambda: me.process)
    terms = Terms(prompter=lambda: broker.prompter(None), cancel=Cancellation())
    broker.request(Ask(task=Task.run(["/bin/sh", "-c", f"touch {marker}"]), requester=me, at_once=use), terms).go()


class _Deadly:
    """A host with which nobody lives to start a task."""

    def __init__(self, host: object) -> None:
        self._host = host

    def __getattr__(self, name: str) -> object:
        if name == "start":
            _die()
        return getattr(self._host, name)


def _killed(tmp_path: Path, point: str) -> tuple[list[str], bool]:
    """Let a broker be killed; give the request's events after the next start, and whether the task ran."""
    marker = tmp_path / "marker"
    words = [sys.executable, "-m", "tests.attacks.test_at_once", str(tmp_path / "state"), point, str(marker)]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Broker.embedded(tmp_path / "state") as broker:
        store = broker.parts.store
        assert verify_chain(list(store.entries())).outcome is not Outcome.TAMPERED
        assert list(store.unfinished()) == []
        request = next(entry.request for data in store.entries() if (entry := parse(data)).event == "requested")
        return [parse(data).event for data in store.entries_of(request)], marker.exists()


@pytest.mark.parametrize("point", ["between", "before-the-sync"])
def test_47_killed_before_both_are_durable_there_is_neither(tmp_path: Path, point: str) -> None:
    """No token was ever issued; the request has failed."""
    events, ran = _killed(tmp_path, point)
    # The prompt's entry is of the same commit, or of one before.
    assert (events[0], events[-1], {"issued", "redeemed"} & {*events}, ran) == ("requested", "failed", set(), False)


@pytest.mark.parametrize("point", ["after-the-sync", "before-the-start"])
def test_13_killed_once_both_are_durable_the_token_is_burnt(tmp_path: Path, point: str) -> None:
    """It is used up and nothing runs by it, then or later."""
    events, ran = _killed(tmp_path, point)
    assert (events, ran) == (["requested", "prompting", "issued", "redeemed", "outcome-unknown"], False)


if __name__ == "__main__":
    main(*sys.argv[1:])
