"""Rows 13, 14 and 47 on the ledger: killed at any moment, raced by many processes, a token has one use.

``ELEVATE_SOAK=1`` kills 1,000 times instead of 50; the count that ran is printed.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate.audit import Outcome, parse, verify_chain
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledger_client import redeem_all
from tests.ledgers import draft, issue, request_id, row

KILLS = 1000 if os.environ.get("ELEVATE_SOAK") == "1" else 50
CLIENTS = 8
TOKENS = 120
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: the name of a socket has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        yield Path(name)


@contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    address = folder / "s"
    address.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.ledger_server", str(folder / "ledger"), str(address)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process, str(address)
        finally:
            process.kill()


def issue_tokens(store: SqliteStore, first: int) -> list[str]:
    requests = [request_id(number) for number in range(first, first + TOKENS)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda request: store.open_request(row(request), draft("requested", request)), requests))
        list(pool.map(lambda request: store.step(issue(request)), requests))
    return requests


def killed_round(folder: Path, requests: list[str], number: int, dice: random.Random) -> list[tuple[str, str]]:
    """Let the clients redeem and kill the server at a random moment; give what was acknowledged."""
    orders = [dice.sample(requests, len(requests)) for _ in range(CLIENTS)]
    with server(folder) as (process, address), ThreadPoolExecutor(CLIENTS) as pool:
        names = [f"{number}-{client}" for client in range(CLIENTS)]
        waiting = [pool.submit(redeem_all, address, order, name) for order, name in zip(orders, names, strict=True)]
        time.sleep(dice.uniform(0, 0.08))  # the moment of the kill is what is random here
        process.send_signal(signal.SIGKILL)
        return [won for client in waiting for won in client.result()]


def check(store: SqliteStore, acknowledged: dict[str, str]) -> None:
    """No acknowledged redemption is lost, none happened twice, and the log is one chain."""
    assert verify_chain(store.entries()).outcome is Outcome.INCOMPLETE
    redeemed = [entry.request for entry in map(parse, store.entries()) if entry.event == "redeemed"]
    assert len(redeemed) == len(set(redeemed))
    for request, redeem_id in acknowledged.items():
        found = store.record(request)
        assert found is not None
        assert (found.state, found.redeem_id) == (State.REDEEMED, redeem_id)
    assert {found.request for found in store.unfinished() if found.state is State.REDEEMED} == set(redeemed)


@pytest.mark.timeout(1800)
def test_13_14_killed_at_any_moment_a_token_has_one_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After each kill the tokens of all earlier rounds are tried again beside new ones."""
    dice = random.Random(20)  # noqa: S311 - moments, not secrets
    acknowledged: dict[str, str] = {}
    requests: list[str] = []
    for number in range(KILLS):
        store = SqliteStore(folder / "ledger", entropy=SeededEntropy())
        check(store, acknowledged)
        requests = requests[-TOKENS:] + issue_tokens(store, number * TOKENS)
        store.close()
        won = killed_round(folder, requests, number, dice)
        assert len({request for request, _ in won}) == len(won)
        assert not acknowledged.keys() & {request for request, _ in won}
        acknowledged.update(won)
    store = SqliteStore(folder / "ledger", entropy=SeededEntropy())
    check(store, acknowledged)
    store.close()
    assert acknowledged
    with capsys.disabled():
        print(f"\n{KILLS} kills, {len(acknowledged)} acknowledged redemptions, none lost, none twice")  # noqa: T201 - the count that ran


def test_14_of_64_threads_in_8_processes_one_wins(folder: Path) -> None:
    """One token, one winner."""
    store = SqliteStore(folder / "ledger", entropy=SeededEntropy())
    request = issue_tokens(store, 0)[0]
    store.close()
    with server(folder) as (_, address):
        command = [sys.executable, "-m", "tests.ledger_client", address, request]
        clients = [
            subprocess.Popen([*command, str(name), "8"], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in range(8)
        ]
        assert sum(int(client.communicate()[0]) for client in clients) == 1
