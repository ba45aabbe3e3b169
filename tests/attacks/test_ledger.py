"""Rows 11, 13, 41 and 47 on the ledger itself."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import StoreForeignError, StoreUnwritableError
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row

ONE = request_id(1)


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, entropy=SeededEntropy(str(path).encode()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    made = opened(path)
    made.open_request(row(ONE), draft("requested", ONE))
    made.step(issue(ONE))
    yield made
    made.close()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-owner"])
@pytest.mark.parametrize("link", ["symbolic", "dangling", "hard"])
def test_11_a_link_in_place_of_the_log_is_refused(path: Path, tmp_path: Path, suffix: str, link: str) -> None:
    """Nothing is written through a link, to whatever it leads."""
    opened(path).close()
    target = tmp_path / "victim"
    if link != "dangling":
        target.write_bytes(path.read_bytes())
        target.chmod(0o600)
    before = target.read_bytes() if target.exists() else None
    place = path.with_name(path.name + suffix)
    place.unlink(missing_ok=True)
    if link == "hard":
        os.link(target, place)
    else:
        place.symlink_to(target)
    with pytest.raises(StoreForeignError):
        opened(path)
    assert (target.read_bytes() if target.exists() else None) == before


def test_11_a_link_planted_where_the_ledger_is_made_is_replaced_not_followed(path: Path, tmp_path: Path) -> None:
    """The working name is removed and made anew, exclusively."""
    target = tmp_path / "victim"
    target.write_text("mine")
    path.with_name(path.name + "-new").symlink_to(target)
    opened(path).close()
    assert target.read_text() == "mine"
    assert not path.is_symlink()


def test_11_a_log_swapped_while_it_is_open_takes_nothing_more(path: Path, store: SqliteStore) -> None:
    """A copy in its place, or its write-ahead log removed: no redemption succeeds that would be forgotten."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)
    with pytest.raises(StoreUnwritableError):
        store.step(redeem(ONE))


def test_11_a_removed_write_ahead_log_takes_nothing_more(path: Path, store: SqliteStore) -> None:
    """What is in it would be lost at the next start."""
    path.with_name(path.name + "-wal").rename(path.with_name("elsewhere"))
    with pytest.raises(StoreUnwritableError):
        store.step(redeem(ONE))
    path.with_name("elsewhere").rename(path.with_name(path.name + "-wal"))


def test_13_a_used_token_is_refused_after_a_restart(path: Path, store: SqliteStore) -> None:
    """The row is durable, whatever id the replay brings."""
    assert store.step(redeem(ONE, "first")).won
    store.close()
    again = opened(path)
    for redeem_id in ("first", "second"):
        replayed = again.step(redeem(ONE, redeem_id))
        assert (replayed.won, replayed.record.redeem_id) == (False, "first")
    assert again.head()[0] == 3
    again.close()


def test_13_a_token_from_before_a_crash_is_spent_when_it_was_acknowledged(path: Path, store: SqliteStore) -> None:
    """The files as a crash leaves them, write-ahead log not yet moved, say the same."""
    assert store.step(redeem(ONE, "first")).won
    left = path.parent / "left"
    left.mkdir(mode=0o700)
    for suffix in ("", "-wal", "-key"):
        shutil.copy(path.with_name(path.name + suffix), left)
    again = opened(left / path.name)
    assert not again.step(redeem(ONE, "second")).won
    again.close()


def test_47_the_same_redeem_id_again_does_not_win(store: SqliteStore) -> None:
    """It learns what became of the first call; only the call that changed the row may start anything."""
    assert store.step(redeem(ONE, "same")).won
    again = store.step(redeem(ONE, "same"))
    assert (again.won, again.record.state, again.record.redeem_id) == (False, State.REDEEMED, "same")


def test_47_in_one_group_the_same_redeem_id_wins_once(store: SqliteStore) -> None:
    """All racers carry the winner's id; still one of them has won."""
    racing = [store.submit(redeem(ONE, "same")) for _ in range(100)]
    assert sum(future.result().won for future in racing) == 1
