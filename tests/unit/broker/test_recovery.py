"""What a crash left open is ended at the next start, and no token survives it."""

import shutil
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Broker
from elevate.errors import NoBrokerError, StoreError
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.broker.conftest import events

TRUE = Task.run(["true"])


def _crashed_copy(broker: Broker, folder: Path) -> Path:
    """Copy the files as a crash at this moment would leave them."""
    shutil.copytree(broker.home.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
    return folder


def _last(folder: Path, request: str, clock: ManualClock) -> str:
    with Broker.open(folder, clock=clock) as again:
        return events(again, request)[-1]


def test_13_a_token_does_not_survive_a_restart(broker: Broker, clock: ManualClock, tmp_path: Path) -> None:
    """Issued before, not used: taken back at the next start."""
    grant = broker.elevate(TRUE)
    assert _last(_crashed_copy(broker, tmp_path / "copy"), grant.request, clock) == "revoked"


def test_13_an_expired_token_is_found_expired(broker: Broker, clock: ManualClock, tmp_path: Path) -> None:
    """Its time was over before the restart."""
    grant = broker.elevate(TRUE)
    copy = _crashed_copy(broker, tmp_path / "copy")
    clock.advance(600)
    assert _last(copy, grant.request, clock) == "expired"


def test_a_crash_after_redemption_leaves_the_outcome_unknown(broker: Broker, clock: ManualClock, tmp_path: Path) -> None:
    """The token is burnt, and the log says that nobody knows what became of the task."""
    grant = broker.elevate(Task.run(["sleep", "60"]))
    running = grant.start("ab" * 16, grant.agreement.requester.process)
    copy = _crashed_copy(broker, tmp_path / "copy")
    grant.cancel(9)
    grant.finish(running)
    assert _last(copy, grant.request, clock) == "outcome-unknown"


def test_start_and_stop_are_in_the_log(tmp_path: Path, clock: ManualClock) -> None:
    """Every start names its version, epoch and policy; a clean stop says so."""
    Broker.embedded(tmp_path / "state", clock=clock).close()
    with Broker.open(tmp_path / "state", clock=clock) as again:
        found = [parse(entry).event for entry in again.parts.store.entries()]
    assert found == ["broker-started", "broker-stopped", "broker-started"]


def test_epochs_never_repeat(tmp_path: Path, clock: ManualClock) -> None:
    """Each start has an epoch and a key of its own, and the ledger's generation is in it."""
    seen = set()
    for _ in range(3):
        with Broker.embedded(tmp_path / "state", clock=clock) as one:
            seen.add((one.parts.epoch, one.parts.key.kid))
            assert one.parts.store.generation in one.parts.epoch
    assert len({epoch for epoch, _ in seen}) == len({key for _, key in seen}) == 3


def test_a_second_broker_on_the_same_folder_is_refused(broker: Broker, clock: ManualClock) -> None:
    """One owner."""
    with pytest.raises(StoreError):
        Broker.open(broker.home.folder, clock=clock)


def test_an_empty_folder_is_no_broker(tmp_path: Path) -> None:
    """Nothing is made silently."""
    with pytest.raises(NoBrokerError, match="no broker was made"):
        Broker.open(tmp_path)
    assert list(tmp_path.iterdir()) == []
