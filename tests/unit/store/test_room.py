"""A full disk: nothing is granted that can't be recorded, and what takes rights away still is.

The disk is full because the process may not make a file longer (RLIMIT_FSIZE), or is a real file system of a few megabytes.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate.audit import Outcome, verify_chain
from elevate.cli.audit_verify import run
from elevate.errors import StoreUnwritableError
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.tree import TILE
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row, step

GRANTS = 20


@contextmanager
def full_disk(store: SqliteStore) -> Iterator[None]:
    """No file grows beyond what the ledger has by now."""
    size = max(found.stat().st_size for found in store.path.parent.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "ledger", entropy=SeededEntropy())
    yield made
    made.close()


def issued(store: SqliteStore, number: int) -> str:
    request = request_id(number)
    store.open_request(row(request), draft("requested", request))
    store.step(issue(request))
    return request


def grants_until_refused(store: SqliteStore) -> list[str]:
    granted: list[str] = []
    for number in range(GRANTS, 100_000):
        try:
            granted.append(issued(store, number))
        except StoreUnwritableError:
            return granted
    raise AssertionError("the disk never filled")


def requests_until_refused(store: SqliteStore) -> list[str]:
    asked: list[str] = []
    for number in range(200_000, 300_000):
        try:
            store.open_request(row(request_id(number)), draft("requested", request_id(number), text="x" * 20_000))
        except StoreUnwritableError:
            return asked
        asked.append(request_id(number))
    raise AssertionError("the disk never filled")


def test_41_a_full_disk_grants_nothing_and_still_ends(store: SqliteStore) -> None:
    """Issue and redemption are refused; every denial and every end is recorded, and the log is whole."""
    first = [issued(store, number) for number in range(GRANTS)]
    with full_disk(store):
        granted = grants_until_refused(store)
        assert granted, "what fits is granted"
        asked = requests_until_refused(store)
        with pytest.raises(StoreUnwritableError, match="no room"):
            store.step(redeem(first[0]))
        head = store.head()
        for request in asked:
            assert store.step(step(request, State.REQUESTED, State.DENIED)).won
        for request in [*first, *granted]:
            assert store.step(step(request, State.ISSUED, State.REVOKED)).won
    assert store.head()[0] == head[0] + len(asked) + len(first) + len(granted)
    store.checkpoint()
    assert run(Plan(store.path)).outcome is Outcome.INCOMPLETE, "no false alarm"


def test_41_with_room_again_grants_go_on(store: SqliteStore) -> None:
    """Nothing has to be restarted."""
    with full_disk(store):
        grants_until_refused(store)
    assert store.step(redeem(issued(store, 1))).won


def test_41_a_refused_redemption_leaves_the_token_as_it_was(store: SqliteStore) -> None:
    """Neither row nor log has changed, also after a restart."""
    request = issued(store, 1)
    with full_disk(store):
        grants_until_refused(store)
        head = store.head()
        with pytest.raises(StoreUnwritableError):
            store.step(redeem(request))
    store.close()
    again = SqliteStore(store.path, entropy=SeededEntropy())
    assert again.head() == head
    assert again.step(redeem(request)).won
    again.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_41_a_file_system_without_room(tmp_path: Path) -> None:
    """The same on a real small file system that something else has filled."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", str(folder)], check=False)
    if mount.returncode:
        pytest.skip("this machine mounts nothing")
    store = SqliteStore(folder / "ledger", entropy=SeededEntropy())
    try:
        first = [issued(store, number) for number in range(GRANTS)]
        fill(folder / "other")
        grants_until_refused(store)
        requests_until_refused(store)
        for request in first:
            assert store.step(step(request, State.ISSUED, State.EXPIRED)).won
        assert verify_chain(store.entries()).size == store.head()[0]
        verdict = run(Plan(store.path))
        assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, store.head()[0]), "no false alarm"
    finally:
        store.close()
        subprocess.run(["/bin/umount", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as other:
        try:
            while True:
                other.write(b"x" * 65_536)
        except OSError:
            return


def test_37_a_tile_that_finds_no_room_leaves_the_tree_as_it_was(store: SqliteStore) -> None:
    """The entry that would fill it is refused; the next one, and what is signed then, are as if nobody had tried."""
    for number in range(TILE - 1):
        store.append(draft("note", "", text=str(number)))
    connection = store._ledger.connection
    pages, most = (connection.execute(f"PRAGMA {name}").get for name in ("page_count", "max_page_count"))
    connection.execute(f"PRAGMA max_page_count = {pages + 1}").fetchall()
    with pytest.raises(StoreUnwritableError):
        store.append(draft("note", "", text="the last of its tile"))
    connection.execute(f"PRAGMA max_page_count = {most}").fetchall()
    store.append(draft("note", "", text="again"))
    store.checkpoint()
    verdict = run(Plan(store.path))
    assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, TILE), verdict.message
