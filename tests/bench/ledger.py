"""Durable redemptions per second, audit entry included, at 1, 8 and 64 callers.

The peer writes the same rows, the chained entry too, in the same run: plain SQLite of the standard library, WAL and FULL, with
a connection and a transaction of its own for every thread.
"""

import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from elevate.audit import EMPTY, leaf_hash
from elevate.lifecycle import State
from elevate.ports import Step
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.bench.figure import Figure
from tests.ledgers import issue, redeem, request_id, row, sealed

RUNS = 3
TOKENS = {1: 600, 8: 2400, 64: 4800}
_SCHEMA = """
CREATE TABLE entries(seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE requests(request TEXT PRIMARY KEY, state TEXT, jti TEXT, redeem_id TEXT, result TEXT, positions TEXT);
CREATE UNIQUE INDEX requests_jti ON requests(jti);
"""


def redemptions(callers: int) -> Figure:
    """Measure ours and the peer's in turns and give the medians."""
    ours, theirs, slowest = [], [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            rate, p99_ms = _ours(Path(folder), callers)
            ours.append(rate)
            slowest.append(p99_ms)
            theirs.append(_plain(Path(folder), callers))
    return Figure(
        name=f"redeem_{callers}",
        value=statistics.median(ours),
        unit=f"/s, p99 {statistics.median(slowest):.1f} ms",
        peer="sqlite3, one transaction per thread",
        peer_value=statistics.median(theirs),
    )


def _ours(folder: Path, callers: int) -> tuple[float, float]:
    store = SqliteStore(folder / "ledger", entropy=SeededEntropy())
    requests = [request_id(number) for number in range(TOKENS[callers])]
    steps = [_prepare(store, request) for request in requests]
    for pending in [store.submit(issue(request)) for request in requests]:
        pending.result()

    def one(step: Step) -> None:
        assert store.step(step).won

    try:
        return _timed(one, steps, callers)
    finally:
        store.close()


def _prepare(store: SqliteStore, request: str) -> Step:
    step = redeem(request, f"redeem-{request}")
    store.open_request(row(request), step.entry)
    return step


def _plain(folder: Path, callers: int) -> float:
    path = folder / "plain"
    connection = _connect(path)
    connection.executescript(_SCHEMA)
    requests = [request_id(number) for number in range(TOKENS[callers])]
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO requests VALUES(?, 'issued', ?, '', '{}', '0 1')", [(request, request) for request in requests]
    )
    connection.execute("COMMIT")
    own = threading.local()

    def one(step: Step) -> None:
        if not hasattr(own, "connection"):
            own.connection = _connect(path)
        _redeem_plain(own.connection, step)

    rate, _ = _timed(one, [redeem(request, f"redeem-{request}") for request in requests], callers)
    connection.close()
    return rate


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _redeem_plain(connection: sqlite3.Connection, step: Step) -> None:
    connection.execute("BEGIN IMMEDIATE")
    last = connection.execute("SELECT seq, data FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    position, previous = (last[0] + 1, leaf_hash(last[1])) if last else (0, EMPTY)
    changed = connection.execute(
        "UPDATE requests SET state = ?, redeem_id = ?, positions = positions || ? WHERE request = ? AND state = ?",
        (State.REDEEMED.value, step.fields["redeem_id"], f" {position}", step.request, State.ISSUED.value),
    )
    assert changed.rowcount == 1
    connection.execute("INSERT INTO entries VALUES(?, ?)", (position, sealed(step.entry, position, previous).data))
    connection.execute("COMMIT")


def _timed(one: Callable[[Step], None], steps: Sequence[Step], callers: int) -> tuple[float, float]:
    """Give operations per second and the 99th percentile of one, in ms."""
    took: list[float] = []
    gate = threading.Barrier(callers + 1)

    def caller(number: int) -> None:
        gate.wait()
        for step in steps[number::callers]:
            begun = time.perf_counter()
            one(step)
            took.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    gate.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    assert len(took) == len(steps)
    return len(steps) / seconds, statistics.quantiles(took, n=100)[98] * 1000


FIGURES = {f"redeem_{callers}": partial(redemptions, callers) for callers in (1, 8, 64)}
