"""What is searched for is found, the newest first, with the index and without it."""

import os
import shutil
from pathlib import Path

import apsw
import pytest
from typer.testing import CliRunner

from elevate.audit.query import Query, parse
from elevate.cli.audit import app
from elevate.errors import AuditError
from elevate.store import SqliteStore
from elevate.store.reader import LedgerReader
from elevate.store.searching import BLOCK, index_agrees, index_path, search
from elevate.testing import SeededEntropy
from tests.biglog import BEGIN_US, USERS, make_log
from tests.ledgers import AT, draft

SIZE = 3800
LIVES = 1000
STEP_US = 2_000_000
NOW_US = BEGIN_US + LIVES * STEP_US


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    store = make_log(folder / "ledger.sqlite", 4000, step_us=STEP_US)
    assert store.head()[0] == SIZE > 3 * BLOCK
    store.close()
    return folder / "ledger.sqlite"


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent, tmp_path / "copy")
    return tmp_path / "copy" / made.name


def found(path: Path, text: str, *, before: int | None = None) -> list[int]:
    with LedgerReader(path) as reader:
        return [entry.seq for entry in search(reader, parse(text, NOW_US), before=before)]


def expected(user: str) -> int:
    return sum(1 for number in range(LIVES) if USERS[number * 7 % 5] == user)


@pytest.mark.parametrize("user", USERS)
def test_a_users_requests_are_all_found(path: Path, user: str) -> None:
    """By the request's user, also those entries that name nobody."""
    assert len(found(path, f"user:{user} event:requested")) == expected(user)
    assert len(found(path, f"user:{user} outcome:denied")) == (100 if user == "bob" else 0)
    assert len(found(path, f"user:{user} event:destroyed")) == expected(user) - (100 if user == "bob" else 0)


def test_the_newest_comes_first_and_pages_go_on(path: Path) -> None:
    """A page begins where the one before ended; together they are all."""
    everything = found(path, "outcome:approved")
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 900
    assert found(path, "outcome:approved", before=everything[99]) == everything[100:]


def test_times_bound_a_search(path: Path) -> None:
    """Backwards from now, or between two moments."""
    last = found(path, "event:requested since:100s")
    assert len(last) == 50
    assert found(path, "event:requested since:2026-09-21T14:13:20 until:2026-09-21T14:13:30Z") == [14, 12, 8, 4, 0]


def test_texts_and_turned_words(path: Path) -> None:
    """A text is looked for in all that is open; a minus turns a word round."""
    assert len(found(path, "tool-13 event:requested")) == LIVES // 40
    assert len(found(path, "TOOL-13 event:requested -user:bob")) == len(found(path, "tool-13 event:requested")) * 0
    assert len(found(path, "event:requested -user:bob")) == LIVES - expected("bob")


def test_what_comes_later_is_found_with_an_older_index(path: Path) -> None:
    """The index is brought up to date, and what fills no block is looked at."""
    before = len(found(path, "event:tick"))
    store = SqliteStore(path, entropy=SeededEntropy(8))
    for _ in range(BLOCK + 5):
        store.append(draft("tick"))
    assert (before, len(found(path, "event:tick"))) == (0, BLOCK + 5)
    store.close()


def test_an_erased_person_is_in_no_index(path: Path) -> None:
    """The index goes with the openings and is made again without them."""
    assert found(path, "user:alice")
    store = SqliteStore(path, entropy=SeededEntropy(8))
    store.erase("alice", AT)
    assert not index_path(path).exists()
    assert found(path, "user:alice") == []
    store.close()
    assert b"alice" not in index_path(path).read_bytes()


def test_the_library_searches_with_the_same_words(path: Path) -> None:
    """Beside the broker's own writing."""
    store = SqliteStore(path, entropy=SeededEntropy(8))
    entries = list(store.search("user:bob outcome:denied", AT))
    assert len(entries) == 100
    assert entries[0].body["reason"] == {"code": "denied", "text": "no rule allows it"}
    store.close()


def test_a_damaged_or_foreign_index_is_made_again(path: Path) -> None:
    """It is never more than a copy of what the log says."""
    wanted = found(path, "outcome:denied")
    index_path(path).write_bytes(b"junk" * 5000)
    assert found(path, "outcome:denied") == wanted
    connection = apsw.Connection(str(index_path(path)))
    connection.execute("UPDATE source SET generation = 'another'; UPDATE bits SET bits = zeroblob(128)").fetchall()
    connection.close()
    assert found(path, "outcome:denied") == wanted


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE bits SET bits = zeroblob(128) WHERE block = 1",
        "DELETE FROM bits WHERE block = 1",
        "UPDATE blocks SET last_us = -1 WHERE block = 1",
        "UPDATE blocks SET first_us = first_us + 1 WHERE block = 1",
        "UPDATE terms SET term = 'outcome:other' WHERE term = 'outcome:denied'",
    ],
)
def test_42_an_index_that_hides_entries_is_found(path: Path, query: str) -> None:
    """It no longer says what the log says; where it was not asked for, the verdict says that nobody looked."""
    found(path, "outcome:denied")
    with LedgerReader(path) as reader:
        assert index_agrees(reader)
        connection = apsw.Connection(str(index_path(path)))
        connection.execute(query).fetchall()
        connection.close()
        assert not index_agrees(reader)
    plain = CliRunner().invoke(app, ["verify", "--state", str(path.parent)])
    assert (plain.exit_code, "the search index was not checked" in plain.output) == (2, True)
    result = CliRunner().invoke(app, ["verify", "--index", "--state", str(path.parent)])
    assert (result.exit_code, '"kind":"index"' in result.output) == (1, True)
    index_path(path).unlink()
    again = CliRunner().invoke(app, ["verify", "--index", "--state", str(path.parent)])
    assert (again.exit_code, "index" in again.output) == (2, False)


def test_11_an_index_is_not_written_through_a_link(path: Path, tmp_path: Path) -> None:
    """What the link leads to stays as it was."""
    target = tmp_path / "victim"
    target.write_text("mine")
    index_path(path).symlink_to(target)
    assert found(path, "outcome:denied")
    assert target.read_text() == "mine"
    index_path(path).unlink()
    os.link(target, index_path(path))
    assert found(path, "outcome:denied")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("text", ["colour:red", "since:yesterday", "until:25h61", "x " * 33])
def test_a_search_that_means_nothing_is_refused(text: str) -> None:
    """With what could have been meant."""
    with pytest.raises(AuditError):
        parse(text, NOW_US)


def test_a_search_reads_as_it_is_written() -> None:
    """Words, terms, turned terms and times."""
    query = parse("user:a -rule:b Text since:1970-01-01T00:00:01 until:1h", 3_700_000_000)
    assert query == Query(
        terms=frozenset({"user:a"}),
        without=frozenset({"rule:b"}),
        words=("text",),
        since_us=1_000_000,
        until_us=100_000_000,
    )
