"""Rows 37 and 41: an erasure is done in steps; others are served in between, and a crash at any step loses nothing of it."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import pytest

from elevate.audit import Outcome, parse
from elevate.cli.audit_verify import run
from elevate.errors import AuditError, StoreUnwritableError
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.eraser import Eraser
from elevate.store.pages import _MINE, Whose, life
from elevate.store.reader import LedgerReader
from elevate.store.sqlite_ledger import Ledger
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import AT, draft, issue, redeem, request_id, row, step

SIZE = 284
WORDS = (b"carol", b"S-1-5-21-1-2-3-1003")
T = TypeVar("T")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of which a fifth is carol's, closed."""
    folder = tmp_path_factory.mktemp("erasure")
    store = make_log(folder / "ledger.sqlite", 300)
    assert store.head()[0] == SIZE
    store.close()
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> SqliteStore:
    shutil.copytree(made, tmp_path / "copy")
    return SqliteStore(tmp_path / "copy/ledger.sqlite", entropy=SeededEntropy(4))


class Steps:
    """The writer, with somebody who does something between its steps."""

    def __init__(self, store: SqliteStore, between: Callable[[int], None]) -> None:
        self.store, self.between, self.count = store, between, 0

    def __call__(self, work: Callable[[Ledger], T], /, *, settles: bool = False) -> "Future[T]":
        self.between(self.count)
        self.count += 1
        return self.store._writer.submit(work, settles=settles)


def erase(store: SqliteStore, between: Callable[[int], None]) -> int:
    """Erase carol; give the number of steps."""
    steps = Steps(store, between)
    store._eraser = Eraser(store.path, steps, store._checkpoint)
    store.erase("carol", AT)
    return steps.count


def traces(folder: Path) -> list[tuple[str, bytes]]:
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return [(name, word) for name, data in files.items() for word in WORDS if word in data]


def erasures(store: SqliteStore) -> int:
    return sum(parse(data).event == "erased" for data in store.entries())


def test_41_others_are_served_between_the_steps_of_an_erasure(store: SqliteStore) -> None:
    """A whole elevation fits in between any two, and is there afterwards."""

    def elevate(number: int) -> None:
        request = request_id(5000 + number)
        store.open_request(row(request, user="bob"), draft("requested", request, actor={"user": "bob"}))
        assert store.step(issue(request)).won
        assert store.step(redeem(request)).won

    count = erase(store, elevate)
    assert count > 12
    for number in range(count):
        found = store.record(request_id(5000 + number))
        assert found is not None
        assert (found.state, found.user) == ("redeemed", "bob")
        assert b'"user":"bob"' in store.openings_of(request_id(5000 + number))[0]
    assert run(Plan(store.path)).outcome is Outcome.INCOMPLETE
    assert traces(store.path.parent) == []
    store.close()


def ended(store: SqliteStore, request: str, *, end: bool = True) -> None:
    """A request of carol's, which ends or not."""
    store.open_request(row(request, user="carol"), draft("requested", request, actor={"user": "carol"}))
    assert store.step(issue(request)).won
    if end:
        assert store.step(redeem(request)).won
        assert store.step(step(request, State.REDEEMED, State.DESTROYED)).won


@pytest.mark.parametrize("often", [1, 2])
def test_37_what_is_written_meanwhile_is_erased_too(store: SqliteStore, often: int) -> None:
    """A request of the person, and a question about the person, while the tables are built anew; also in a second round."""
    told: list[int] = []

    def write(number: int) -> None:
        if number in (12, 30)[:often]:
            ended(store, request_id(6000 + number))
            store.append(draft("access", "", access={"kind": "search", "named": [{"user": "carol"}]}))
            told.append(number)

    steps = Steps(store, write)
    store._eraser = Eraser(store.path, steps, store._checkpoint)
    gone = store.erase("carol", AT)
    assert (len(told), gone.later, erasures(store)) == (often, 0, 1)
    assert gone.before == store.head()[0] - 1
    assert traces(store.path.parent) == []
    assert run(Plan(store.path)).outcome is Outcome.INCOMPLETE
    store.close()


def test_37_what_has_not_ended_meanwhile_is_said_and_erased_by_the_next(store: SqliteStore) -> None:
    """The answer counts it; the entry says up to where nothing names the person."""
    request = request_id(6000)

    def write(number: int) -> None:
        if number == 12:
            ended(store, request, end=False)

    steps = Steps(store, write)
    store._eraser = Eraser(store.path, steps, store._checkpoint)
    gone = store.erase("carol", AT)
    assert (gone.before, gone.later) == (SIZE, 1)
    with pytest.raises(AuditError, match="has not ended"):
        store.erase("carol", AT)
    assert store.step(redeem(request)).won
    assert store.step(step(request, State.REDEEMED, State.DESTROYED)).won
    assert store.erase("carol", AT).later == 0
    assert (erasures(store), traces(store.path.parent)) == (2, [])
    store.close()


def test_37_a_crash_at_any_step_of_an_erasure_is_made_good_by_the_next_start(store: SqliteStore, tmp_path: Path) -> None:
    """What the disk held then is opened: sooner or later nothing of the person is left, and the log says so once."""

    def crash(number: int) -> None:
        target = tmp_path / f"crash-{number}"
        target.mkdir(mode=0o700)
        for file in store.path.parent.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, target / file.name)

    count = erase(store, crash)
    store.close()
    for number in range(2, count):
        folder = tmp_path / f"crash-{number}"
        assert traces(folder) != []
        after = SqliteStore(folder / "ledger.sqlite", entropy=SeededEntropy(5))
        if (thread := after._eraser._thread) is not None:
            thread.join(timeout=60)
        assert erasures(after) == 1, number
        assert traces(folder) == [], number
        after.close()
        assert run(Plan(folder / "ledger.sqlite")).outcome is Outcome.INCOMPLETE
    assert not erasures(SqliteStore(tmp_path / "crash-1/ledger.sqlite", entropy=SeededEntropy(5)))


def test_36_own_requests_are_found_by_their_index_after_an_erasure_too(store: SqliteStore) -> None:
    """What is looked for says nothing of how many requests others have; the new tables have the same indexes."""
    for _ in range(2):
        with LedgerReader(store.path) as reader:
            (plan,) = reader.rows(f"EXPLAIN QUERY PLAN {_MINE}", "dan", 1003, "x", "x", 1, "x")
            request = str(reader.rows("SELECT request FROM requests WHERE user = 'dan' LIMIT 1")[0][0])
            assert "USING INDEX requests_user" in plan[3]
            assert life(reader, request, Whose(user="dan", uid=1000))[0] == request
            names = {str(name) for (name,) in reader.rows("SELECT name FROM sqlite_schema WHERE type = 'index'")}
        assert len(names) == 3
        store.erase("carol", AT) if not erasures(store) else None
    store.close()


def test_41_a_second_erasure_waits_for_the_first(store: SqliteStore) -> None:
    """One at a time; the second says so."""
    refused: list[int] = []

    def second(number: int) -> None:
        if number == 3:
            with pytest.raises(AuditError, match="another erasure"):
                store.erase("bob", AT)
            refused.append(number)

    erase(store, second)
    assert refused == [3]
    assert store.erase("bob", AT).requests > 0
    assert erasures(store) == 2
    store.close()


def test_41_an_erasure_that_failed_is_finished_by_the_next(store: SqliteStore) -> None:
    """As on a disk that was full for a moment: nothing has to be started again."""

    def fail(number: int) -> None:
        if number == 6:
            raise StoreUnwritableError("no room is left")

    with pytest.raises(StoreUnwritableError):
        erase(store, fail)
    assert erasures(store) == 0
    store._eraser = Eraser(store.path, store._writer.submit, store._checkpoint)
    assert store.erase("bob", AT).requests > 0
    assert (erasures(store), traces(store.path.parent)) == (2, [])
    store.close()


def test_41_closing_ends_an_erasure_after_its_step(store: SqliteStore) -> None:
    """And the next start goes on."""
    closing = threading.Thread(target=store.close)

    def close(number: int) -> None:
        if number == 5:
            closing.start()
            closing.join(timeout=10)

    with pytest.raises(Exception, match="closed"):
        erase(store, close)
    again = SqliteStore(store.path, entropy=SeededEntropy(5))
    thread = again._eraser._thread
    assert thread is not None
    thread.join(timeout=60)
    assert (erasures(again), traces(store.path.parent)) == (1, [])
    again.close()


def test_41_others_are_served_between_the_steps_of_a_pruning(tmp_path: Path) -> None:
    """What the disk holds at any step is a whole log, and the next pruning takes the rest."""
    store = make_log(tmp_path / "ledger.sqlite", 2100)
    copies: list[Path] = []

    def append(number: int) -> None:
        store.append(draft("note", said=str(number)))
        copies.append(tmp_path / f"copy-{number}")
        copies[-1].mkdir(mode=0o700)
        for file in tmp_path.glob("ledger.sqlite*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, copies[-1] / file.name)

    store._eraser = Eraser(store.path, Steps(store, append), store._checkpoint)
    assert store.prune(1600, AT) == 1536
    store.close()
    assert len(copies) > 4
    for copy in copies:
        after = SqliteStore(copy / "ledger.sqlite", entropy=SeededEntropy(5))
        assert run(Plan(after.path)).outcome is Outcome.INCOMPLETE
        assert after.prune(1600, AT) == 1536
        after.close()
        assert run(Plan(copy / "ledger.sqlite")).outcome is Outcome.INCOMPLETE
