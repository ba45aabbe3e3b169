"""The ledger's file: what is refused, with which error, and that it is left alone."""

import os
import sqlite3
from pathlib import Path

import pytest

from elevate.errors import StoreError, StoreForeignError, StoreNewerError, StoreUnwritableError
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row

ONE = request_id(1)


def opened(path: Path) -> SqliteStore:
    return SqliteStore(path, entropy=SeededEntropy(str(path).encode()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def refused(path: Path, kind: type[StoreError]) -> StoreError:
    """The error is of this kind, says what to do, and the file's bytes are as before."""
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(kind) as caught:
        opened(path)
    assert caught.value.hint
    assert (path.read_bytes() if path.is_file() else b"") == before
    return caught.value


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    """Rows, log and name survive; the next position follows."""
    store = opened(path)
    store.open_request(row(ONE), draft("requested", ONE))
    store.step(issue(ONE))
    head, name = store.head(), store.generation
    store.close()
    again = opened(path)
    assert (again.head(), again.generation) == (head, name)
    assert again.step(redeem(ONE)).position == 2
    again.close()


def test_the_files_are_for_their_owner_only(path: Path) -> None:
    """0600, whatever the umask says, side files included."""
    previous = os.umask(0)
    try:
        store = opened(path)
        store.append(draft("a"))
        modes = {found.name: found.stat().st_mode & 0o777 for found in path.parent.iterdir()}
    finally:
        os.umask(previous)
    store.close()
    assert set(modes) == {path.name + end for end in ("", "-wal", "-shm", "-owner", "-key")}
    assert set(modes.values()) == {0o600}


def test_a_second_owner_is_refused(path: Path) -> None:
    """Until the first one closes."""
    store = opened(path)
    with pytest.raises(StoreError, match="another broker"):
        opened(path)
    store.close()
    opened(path).close()


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to have a header" * 10])
def test_a_file_that_is_not_ours_is_refused(path: Path, content: bytes) -> None:
    """An empty one, too: a ledger of ours is never half made."""
    path.write_bytes(content)
    path.chmod(0o600)
    refused(path, StoreForeignError)


def test_another_programs_database_is_refused(path: Path) -> None:
    """It has no mark of ours."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta(name, value)")
    connection.close()
    path.chmod(0o600)
    assert "not a ledger" in refused(path, StoreForeignError).message


def test_a_newer_ledger_is_refused(path: Path) -> None:
    """Nothing is downgraded."""
    opened(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert "99" in refused(path, StoreNewerError).message


def test_a_file_open_to_others_is_refused(path: Path) -> None:
    """Who could write it could have changed it."""
    opened(path).close()
    path.chmod(0o660)
    refused(path, StoreForeignError)


def test_a_folder_that_others_can_write_is_refused(path: Path) -> None:
    """Names in it could be changed under us."""
    path.parent.chmod(0o777)
    refused(path, StoreForeignError)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The ledger makes no folders."""
    refused(tmp_path / "none" / "ledger", StoreUnwritableError)


def test_a_damaged_ledger_is_refused(path: Path) -> None:
    """A page of tables overwritten is no ledger any more."""
    opened(path).close()
    data = bytearray(path.read_bytes())
    data[100:4096] = os.urandom(3996)
    path.write_bytes(data)
    refused(path, StoreError)


def test_an_unwritable_folder_is_refused(path: Path) -> None:
    """Nothing can be recorded there."""
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    path.parent.chmod(0o500)
    try:
        refused(path, StoreUnwritableError)
    finally:
        path.parent.chmod(0o700)


def test_a_crash_while_making_leaves_nothing_in_the_way(path: Path) -> None:
    """What a crash left under the working name is made anew."""
    path.with_name(path.name + "-new").write_bytes(b"half")
    opened(path).close()
    assert not path.with_name(path.name + "-new").exists()


def test_a_ledger_moved_away_takes_no_more_entries(path: Path) -> None:
    """What would be written would be lost at the next start."""
    store = opened(path)
    store.append(draft("before"))
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(StoreUnwritableError, match="moved or replaced"):
        store.append(draft("after"))
    path.with_name("elsewhere").rename(path)
    assert store.append(draft("again")) == 1
    store.close()


@pytest.mark.parametrize(
    ("pragma", "value"), [("synchronous", 2), ("secure_delete", 1), ("journal_mode", "wal"), ("temp_store", 2)]
)
def test_the_writer_writes_as_it_says(path: Path, pragma: str, value: object) -> None:
    """Every commit synced, what is deleted overwritten, nothing in temporary files."""
    store = opened(path)
    assert store._ledger.connection.execute(f"PRAGMA {pragma}").get == value
    store.close()
