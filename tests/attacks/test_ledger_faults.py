"""Row 41 on the ledger: whatever one operation brings, the writer answers it and goes on."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from elevate.canonical import MAX_INTEGER
from elevate.errors import StoreError
from elevate.lifecycle import State
from elevate.ports import Step, Stepped
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row

ONE, TWO = request_id(1), request_id(2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "ledger", entropy=SeededEntropy())
    for request in (ONE, TWO):
        made.open_request(row(request), draft("requested", request))
        made.step(issue(request))
        made.step(redeem(request))
    yield made
    made.close()


def _end(request: str, result: dict[str, Any]) -> Step:
    entry = draft("destroyed", request)
    return Step(request=request, before=State.REDEEMED, after=State.DESTROYED, entry=entry, fields={"result": result})


def _wait(future: "Future[Stepped]") -> Stepped:
    return future.result(timeout=10)


def test_41_a_result_that_can_not_be_written_is_refused_and_its_neighbours_are_not(store: SqliteStore) -> None:
    """A file of 2^60 bytes has a size that canonical JSON does not hold: an error for that caller, and for nobody else."""
    bad = store.submit(_end(ONE, {"size": MAX_INTEGER + 1}))
    good = store.submit(_end(TWO, {"size": MAX_INTEGER}))
    with pytest.raises(StoreError):
        _wait(bad)
    assert _wait(good).won
    found = store.record(ONE)
    assert found is not None
    assert found.state is State.REDEEMED
    assert _wait(store.submit(_end(ONE, {"size": 1}))).won


def test_41_reading_a_closed_ledger_is_a_store_error(store: SqliteStore) -> None:
    """No error of the database library crosses the seam."""
    store.close()
    with pytest.raises(StoreError):
        store.record(ONE)
