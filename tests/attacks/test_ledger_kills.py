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

from elevate.audit import EMPTY, Outcome, leaf_hash, parse
from elevate.cli.audit_verify import run
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.store.checking import Plan
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


class Watch:
    """Looks after each kill at what is new, and from time to time and at the end at all of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acknowledged: dict[str, str] = {}
        self.redeemed: set[str] = set()
        self.size, self.head = 0, EMPTY

    def look(self, store: SqliteStore, requests: list[str]) -> None:
        """The log goes on from where it was, no token was redeemed twice, and what was acknowledged stands."""
        for data in store.entries(self.size):
            entry = parse(data)
            assert (entry.seq, entry.was) == (self.size, self.head)
            if entry.event == "redeemed":
                assert entry.request not in self.redeemed
                self.redeemed.add(entry.request)
            self.size, self.head = self.size + 1, leaf_hash(data)
        assert store.head() == (self.size, self.head)
        for request in requests:
            self.stands(store, request)

    def stands(self, store: SqliteStore, request: str) -> None:
        found = store.record(request)
        assert found is not None
        assert (found.state is State.REDEEMED) == (request in self.redeemed)
        assert found.redeem_id == self.acknowledged.get(request, found.redeem_id)
        assert request not in self.acknowledged or found.state is State.REDEEMED

    def look_at_all(self) -> None:
        """Entries, rows, tiles and checkpoints, by the product's own verification; nobody may hold the ledger."""
        verdict = run(Plan(self.path))
        assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, self.size), verdict.message

    def won(self, tokens: list[tuple[str, str]]) -> None:
        assert len(dict(tokens)) == len(tokens)
        assert not self.acknowledged.keys() & dict(tokens).keys()
        self.acknowledged.update(tokens)


@pytest.mark.timeout(7200)
def test_13_14_killed_at_any_moment_a_token_has_one_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After each kill the tokens of the round before are tried again beside new ones."""
    dice = random.Random(20)  # noqa: S311 - moments, not secrets
    watch = Watch(folder / "ledger")
    requests: list[str] = []
    for number in range(KILLS):
        store = SqliteStore(watch.path, entropy=SeededEntropy())
        watch.look(store, requests)
        requests = requests[-TOKENS:] + issue_tokens(store, number * TOKENS)
        store.close()
        if number % 20 == 0:
            watch.look(store := SqliteStore(watch.path, entropy=SeededEntropy()), requests)
            store.close()
            watch.look_at_all()
        watch.won(killed_round(folder, requests, number, dice))
    store = SqliteStore(watch.path, entropy=SeededEntropy())
    watch.look(store, sorted(watch.acknowledged))
    store.close()
    watch.look_at_all()
    assert watch.acknowledged
    with capsys.disabled():
        print(f"\n{KILLS} kills, {len(watch.acknowledged)} acknowledged redemptions, none lost, none twice")  # noqa: T201 - the count that ran


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
