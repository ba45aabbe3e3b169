"""What a step of an elevation waits for an erasure that goes on beside it; on a copy of the log of `tests.bench.log`."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.bench.figure import Figure
from tests.bench.log import log
from tests.ledgers import AT, draft, issue, redeem, request_id, row

PAUSE_SECONDS = 0.002
FIRST = 10**6
"""Number of the first request that the log does not have."""


def erasure_wait() -> Figure:
    """The longest wait for one step while a fifth of the log is erased, in ms, beside their 99th percentile."""
    with _copy() as store:
        took: list[float] = []
        ended = threading.Event()
        steps = threading.Thread(target=_elevate, args=(store, took, ended))
        steps.start()
        try:
            erased = store.erase("carol", AT)
        finally:
            ended.set()
            steps.join()
    took.sort()
    unit = f"ms, 99 of 100 within {took[len(took) * 99 // 100]:.1f}, {erased.entries:,} entries erased"
    return Figure(name="erasure_wait", value=took[-1], unit=unit)


def _elevate(store: SqliteStore, took: list[float], ended: threading.Event) -> None:
    """Step requests of somebody else on and on."""
    number = FIRST
    while not ended.wait(PAUSE_SECONDS):
        number += 1
        request = request_id(number)
        for work in (
            lambda request=request: store.open_request(row(request, user="bob"), draft("requested", request)),
            lambda request=request: store.step(issue(request)),
            lambda request=request: store.step(redeem(request)),
        ):
            begun = time.perf_counter()
            work()  # type: ignore[no-untyped-call]  # a lambda with a default
            took.append((time.perf_counter() - begun) * 1000)


@contextmanager
def _copy() -> Iterator[SqliteStore]:
    """Copy the log; synced, or the erasure's first sync would be that of the copy."""
    with tempfile.TemporaryDirectory(prefix="elevate-bench-") as folder:
        for file in log().parent.glob("ledger.sqlite*"):
            shutil.copy(file, folder)
        os.sync()
        store = SqliteStore(Path(folder) / "ledger.sqlite", entropy=SeededEntropy(4))
        try:
            yield store
        finally:
            store.close()


FIGURES = {"erasure_wait": erasure_wait}
