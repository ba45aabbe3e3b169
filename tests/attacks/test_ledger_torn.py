"""Row 41 on the ledger: power fails while a write is on its way. At whatever byte it tears, what is left is a whole log.

Three ways to be left with a part: the file ends there, zeros follow (the file is allocated ahead), or what an earlier use of
the same blocks left follows, which is the hardest, because it was once good. ``ELEVATE_SOAK=1`` gives the verdict at every
byte of four commits in all three ways; without it every byte of two is read in the hardest way, and a sample is verified.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import apsw
import pytest

from elevate.audit import Outcome
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row

SOAK = os.environ.get("ELEVATE_SOAK") == "1"
HEADER, FRAME, PAGE = 32, 24 + 4096, 4096
SECTOR = 512
NEAR = 5
ONE = request_id(1)


@dataclass(frozen=True, kw_only=True)
class Write:
    """A write-ahead log that is being written over an older one.

    Attributes:
        file: The ledger's file beneath it; `moved` once its pages have been moved there.
        old: What was there before.
        new: What is to be there; it is shorter, and the rest of the older one stands behind it.
        ends: Where each commit ends, and how many entries the log has from there on.
        entries: All of them.
    """

    file: bytes
    moved: bytes
    old: bytes
    new: bytes
    ends: tuple[tuple[int, int], ...]
    entries: tuple[bytes, ...]

    @property
    def used(self) -> int:
        """Give the length of what is written."""
        return self.ends[-1][0]

    def size(self, torn: int, behind: bytes | None = None) -> int:
        """Give the entries of a log whose write tore at this byte; what was there may be just what was to come."""
        rest = self.old[torn:] if behind is None else behind
        return max(size for end, size in self.ends if end <= torn or rest[: end - torn] == self.new[torn:end])


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Four commits over an older log file of the same length."""
    path = tmp_path_factory.mktemp("torn") / "ledger"
    store = SqliteStore(path, entropy=SeededEntropy())
    for number in range(40):
        store.append(draft(f"older-{number}", said="x" * 300))
    wal = path.with_name("ledger-wal")
    old = wal.read_bytes()
    old = old[: _used(old)]
    store._mover.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    file, ends = path.read_bytes(), [(0, 40)]
    for work in _steps(store):
        work()
        ends.append((_used(wal.read_bytes()), store.head()[0]))
    new, entries = wal.read_bytes(), tuple(store.entries())
    store._mover.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    moved = path.read_bytes()
    store.close()
    assert ends[-1][0] < len(old)
    return Write(file=file, moved=moved, old=old, new=new[: len(old)], ends=tuple(ends), entries=entries)


def _steps(store: SqliteStore) -> Iterator[Callable[[], object]]:
    yield lambda: store.append(draft("tick"))
    yield lambda: store.open_request(row(ONE), draft("requested", ONE, actor={"user": "alice"}))
    yield lambda: store.step(issue(ONE))
    yield lambda: store.step(redeem(ONE))


def _used(wal: bytes) -> int:
    """Give where the frames of the log's present salt end."""
    at = HEADER
    while wal[at + 8 : at + 16] == wal[16:24]:
        at += FRAME
    return at


class Ledger:
    """A folder with a ledger, whose write-ahead log is torn byte by byte."""

    def __init__(self, folder: Path, write: Write) -> None:
        self.path, self.write = folder / "ledger", write
        self.wal, self.shm = folder / "ledger-wal", folder / "ledger-shm"
        folder.chmod(0o700)
        self.path.write_bytes(write.file)
        self.wal.write_bytes(write.new)

    def read(self, size: int) -> None:
        """The log has these entries, and its request is where they leave it."""
        self.shm.unlink(missing_ok=True)
        with LedgerReader(self.path) as reader:
            assert [data for (data,) in reader.rows("SELECT data FROM entries ORDER BY seq")] == list(self.write.entries[:size])
            states = ["requested", "issued", "redeemed"][max(size - 42, 0)] if size > 41 else ""
            assert "".join(state for (state,) in reader.rows("SELECT state FROM requests")) == states

    def verify(self, size: int) -> None:
        """The verdict: nothing was tampered with."""
        self.shm.unlink(missing_ok=True)
        plan = Plan(self.path)
        verdict = plan.verdict([plan.check(0, plan.ranges(1), lambda _: None)])
        assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, size), verdict.message


@pytest.fixture
def ledger(tmp_path: Path, write: Write) -> Ledger:
    return Ledger(tmp_path, write)


def _sample(write: Write) -> set[int]:
    """Bytes around the ends of frames and sectors, and some more."""
    used = write.used
    edges = {*range(0, used, SECTOR), *range(HEADER, used + 1, FRAME), used}
    near = {edge + by for edge in edges for by in range(-NEAR, NEAR + 1)}
    some = {*near, *range(0, used, 101)} if not SOAK else set(range(used + 1))
    return {at for at in some if 0 <= at <= used}


@pytest.mark.timeout(3600)
def test_41_a_write_torn_at_any_byte_over_an_older_one(ledger: Ledger, write: Write) -> None:
    """Every byte: read back, the first frame also verified, and beyond it a sample."""
    sample, sizes = _sample(write) | set(range(HEADER + FRAME)), set()
    before = write.used + 1
    with ledger.wal.open("r+b", buffering=0) as file:
        for torn in sorted(sample | set(range(write.ends[2][0])), reverse=True):
            # So many bytes more are as they were before.
            os.pwrite(file.fileno(), write.old[torn:before], torn)
            before = torn
            size = write.size(torn)
            ledger.read(size)
            sizes.add(size)
            if torn in sample:
                ledger.verify(size)
    assert sizes == {40, 41, 42, 43, 44}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rest", ["nothing", "zeros"])
def test_41_a_write_torn_with_nothing_or_zeros_behind_it(ledger: Ledger, write: Write, rest: str) -> None:
    """As a new file, and as one that was allocated ahead, would be left."""
    for torn in sorted(_sample(write)):
        behind = b"" if rest == "nothing" else bytes(write.used - torn)
        ledger.wal.write_bytes(write.new[:torn] + behind)
        ledger.read(size := write.size(torn, behind))
        if SOAK or torn % 7 == 0:
            ledger.verify(size)


@pytest.mark.parametrize("lost", ["zeros", "old"])
def test_41_a_sector_that_was_not_written_ends_the_log_before_it(ledger: Ledger, write: Write, lost: str) -> None:
    """A disk may write later sectors first."""
    for first, stop in pairwise([*range(0, write.used, SECTOR), write.used]):
        gone = bytes(stop - first) if lost == "zeros" else write.old[first:stop]
        ledger.wal.write_bytes(write.new[:first] + gone + write.new[stop:])
        size = write.size(first, gone + write.new[stop:])
        ledger.read(size)
        ledger.verify(size)


@pytest.mark.timeout(3600)
def test_41_moving_pages_to_the_file_torn_at_any_byte_loses_nothing(ledger: Ledger, write: Write) -> None:
    """The write-ahead log is whole until all of them are there."""
    every: Iterable[int] = range(len(write.moved) + 1) if SOAK else range(0, len(write.moved) + 1, 61)
    for torn in every:
        ledger.path.write_bytes(write.moved[:torn] + write.file[torn:])
        ledger.read(len(write.entries))
        if SOAK or torn % 5 == 0:
            ledger.verify(len(write.entries))


def test_41_a_broker_goes_on_after_a_torn_write(tmp_path: Path, write: Write) -> None:
    """At every end of a frame, before it and behind it: opened for writing, one more entry, verified."""
    for torn in sorted({edge + by for edge in range(HEADER, write.used + 1, FRAME) for by in (-1, 0, 1)}):
        folder = tmp_path / str(torn)
        folder.mkdir()
        ledger = Ledger(folder, write)
        ledger.wal.write_bytes(write.new[:torn] + write.old[torn:])
        for place in (ledger.path, ledger.wal):
            place.chmod(0o600)
        _make_key(folder)
        store = SqliteStore(ledger.path, entropy=SeededEntropy(9))
        assert store.head()[0] == write.size(torn)
        store.append(draft("after"))
        store.close()
        ledger.verify(write.size(torn) + 1)


def _make_key(folder: Path) -> None:
    """The same as the first ledger's: both were made of the same seed."""
    made = folder / "made"
    made.mkdir(mode=0o700)
    SqliteStore(made / "ledger", entropy=SeededEntropy()).close()
    (made / "ledger-key").rename(folder / "ledger-key")
