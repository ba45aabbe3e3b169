"""Reading a ledger for its verification: rows by ranges, what stands beside them, and whether rows and log agree."""

import gc
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from elevate.audit import merkle
from elevate.audit.chain import Outcome, Tampering, Verdict
from elevate.audit.entry import as_bytes, leaf_hash
from elevate.audit.notes import VerifierKey, decimal
from elevate.audit.ranges import AFTER, TILE, Range, check_range
from elevate.audit.verify import Known, Signed, Stored, join, read_signed
from elevate.errors import AuditError
from elevate.store.comparing import Rows, erased_since, loose_links, read_rows, token_that_was_not_issued
from elevate.store.reader import LedgerReader
from elevate.store.tree import TileReader, tile_id

_ROWS = (
    "SELECT e.seq, e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq"
    " WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one share of the work has found: of entries, of the ledger's rows, and of the checkpoints among them."""

    entries: Range
    rows: Rows
    signed: Mapping[int, Signed]


class Plan:
    """What will be checked: read once, before the work is divided.

    Args:
        path: The ledger.
        since: Entries before this one are not read again; their tiles stand for them.
        known: Anchors from outside.
        key: The log's first key as it was kept outside; None takes the ledger's word.
    """

    def __init__(self, path: Path, *, since: int = 0, known: Sequence[Known] = (), key: VerifierKey | None = None) -> None:
        self.path = path
        self.salt = int.from_bytes(os.urandom(8), "big")
        self.known = tuple(known)
        # In one transaction: a log that grows meanwhile must not look as if its tiles and checkpoints were not its own.
        with LedgerReader(path) as reader, reader.connection:
            self.size = reader.size()
            self.rows = int(reader.rows("SELECT coalesce(max(n), 0) FROM requests")[0][0])
            self.archived = archived = _archived(reader)
            self.start = max(archived, min(since, self.size) // TILE * TILE)
            self.left_out = self.start > archived
            self.checkpoints = [
                (int(size), str(note)) for size, note in reader.rows("SELECT size, note FROM checkpoints ORDER BY size")
            ]
            self.key = key or VerifierKey.parse(reader.meta("first_key"))
            self.roots = [
                as_bytes(root) for (root,) in reader.rows("SELECT root FROM tiles WHERE id < ? ORDER BY id", tile_id(1, 0))
            ]
            self.leaves = [hashlib.sha256(found).digest() for found in _hashes(reader, 0, self.start // TILE)]
            self.loose = _level_that_disagrees(reader, self.roots)
            self.last = self._last_before(reader)
            tree = TileReader(reader.connection, self.size)
            early = {self.start, *(one.size for one in self.known if one.size <= self.start)}
            self.early = {size: tree.root(size) for size in early}
            rotations = reader.rows("SELECT seq, old, new, signature FROM rotations ORDER BY seq")
            self.rotations = [
                (int(seq), {"old": old, "new": new, "signature": signature})
                for seq, old, new, signature in rotations
                if int(seq) < self.start
            ]
            self.keys = [self.key, *_keys(str(new) for _, _, new, _ in rotations)]
        beyond = {one.size for one in self.known}
        self.marks = frozenset({size for size, _ in self.checkpoints} | beyond)

    def ranges(self, parts: int) -> list[tuple[int, int]]:
        """Divide the work into so many ranges that begin with a tile."""
        tiles = (self.size - self.start + TILE - 1) // TILE
        cuts = [min(self.start + tiles * part // parts * TILE, self.size) for part in range(parts)] + [self.size]
        return [(first, stop) for first, stop in pairwise(cuts) if first < stop]

    def check(self, part: int, parts: Sequence[tuple[int, int]], progress: Callable[[int], None]) -> Part:
        """Check one range of `ranges`, and the same share of the ledger's rows."""
        start, stop = parts[part]
        with LedgerReader(self.path) as reader, _without_collector():
            with reader.each(_ROWS, start, stop + AFTER) as entries:
                found = check_range(entries, start, stop, marks=self.marks, progress=progress, salt=self.salt)
            span = range(self.start, self.size)
            numbers = range(self.rows * part // len(parts), self.rows * (part + 1) // len(parts))
            rows = read_rows(reader, numbers, self.salt, span)
            if part == 0:
                rows.links += loose_links(reader, self.salt, span)
        mine = (one for one in self.checkpoints if start < one[0] <= stop)
        return Part(entries=found, rows=rows, signed=read_signed(mine, self.keys))

    def verdict(self, checked: Sequence[Part]) -> Verdict:
        """Put the parts together, and compare the ledger with them where the log itself is good."""
        found = self._compared(checked)
        if not self.left_out or found.outcome is not Outcome.VERIFIED:
            return found
        # What was not read is not called verified, however good its hashes look.
        message = f"{found.message}; what lies before entry {self.start} was not read this time"
        return replace(found, outcome=Outcome.INCOMPLETE, message=message)

    def _compared(self, checked: Sequence[Part]) -> Verdict:
        ranges = [part.entries for part in checked]
        stored = Stored(
            size=self.size,
            before=self.roots[: self.start // TILE],
            last=self.last,
            roots=self.roots,
            checkpoints=self.checkpoints,
            key=self.key,
            early=self.early,
            rotations=self.rotations,
            signed={size: signed for part in checked for size, signed in part.signed.items()},
        )
        verdict = join(ranges, stored, self.known)
        if verdict.outcome is Outcome.TAMPERED:
            return verdict
        bad = self._tiles_disagree(ranges) or self._not_pruned(ranges) or self._rows_disagree(checked)
        return bad or self._openings_gone(ranges, verdict)

    def _not_pruned(self, ranges: Sequence[Range]) -> Verdict | None:
        """See that an entry tells of what was taken out; it stands behind it, and may not have been read this time."""
        if self.left_out or max([0, *(one.pruned for one in ranges)]) >= self.archived:
            return None
        why = f"no entry says that those before {self.archived} were pruned"
        return _tampered(0, Tampering.DELETED, f"entry 0 was deleted ({why})")

    def _openings_gone(self, ranges: Sequence[Range], verdict: Verdict) -> Verdict:
        """Compare the openings that are gone with the erasures that the log tells of, and with one that goes on."""
        gone, known = (sum(getattr(one, name) for one in ranges) for name in ("gone", "erased"))
        if gone <= known:
            return verdict
        with LedgerReader(self.path) as reader:
            later = erased_since(reader, self.size)
        if gone <= known + later:
            # SECURITY: what goes on is not signed: whoever writes the file could say it.
            message = f"{verdict.message}; of {gone - known} entries openings are gone by an erasure that had not ended"
            return replace(verdict, outcome=Outcome.INCOMPLETE, message=message)
        first = next(one.first_gone for one in ranges if one.gone)
        why = f"openings of {gone} entries are gone, erasures account for {known + later}"
        return _tampered(first, Tampering.OPENING, f"entry {first}: an opening was taken away ({why})")

    def _tiles_disagree(self, ranges: Sequence[Range]) -> Verdict | None:
        leaves = [found for one in ranges for found in one.leaves]
        for number, (ours, theirs) in enumerate(zip(leaves, self.leaves, strict=True), self.start // TILE):
            if ours != theirs:
                return _disagrees(number * TILE, "the hashes of its tile are not theirs")
        return _disagrees(0, f"the tiles of level {self.loose} are not made of those below") if self.loose else None

    def _rows_disagree(self, checked: Sequence[Part]) -> Verdict | None:
        for part in checked:
            if part.rows.bad:
                return _disagrees(part.rows.at, f"the row of request {part.rows.bad} is not what the log says")
        if sum(part.entries.links for part in checked) != sum(part.rows.links for part in checked):
            return _disagrees(0, "the list of a request's entries is not that of the log")
        if sum(part.entries.tokens for part in checked) != sum(part.rows.tokens for part in checked):
            with LedgerReader(self.path) as reader:
                at, request = token_that_was_not_issued(reader, self.start)
            return _disagrees(at, f"the token of request {request or 'unknown'} is not the one that the log issued")
        return None

    def _last_before(self, reader: LedgerReader) -> str:
        if not self.start:
            return ""
        number = self.start // TILE - 1
        hashes = [as_bytes(found) for (found,) in reader.rows("SELECT hashes FROM tiles WHERE id = ?", tile_id(0, number))]
        if not hashes:
            raise AuditError(f"the tile before entry {self.start} is missing")
        return hashes[0][-32:].hex()


def _archived(reader: LedgerReader) -> int:
    """Give the number of entries that were pruned."""
    text = reader.meta("pruned") or "0"
    if (number := decimal(text)) < 0:
        raise AuditError(f"the ledger says that {text[:20]!r} entries were pruned")
    return number


def _keys(texts: Iterable[str]) -> Iterator[VerifierKey]:
    """Give the keys that can be read; an entry that hands over to another is found when it is its turn."""
    for text in texts:
        with suppress(AuditError):
            yield VerifierKey.parse(text)


def _hashes(reader: LedgerReader, level: int, first: int = 0) -> Iterator[bytes]:
    """Give the hashes of a level's full tiles, as stored."""
    query = "SELECT hashes FROM tiles WHERE id >= ? AND id < ? ORDER BY id"
    values = tile_id(level, first), tile_id(level + 1, 0)
    return (as_bytes(found) for (found,) in reader.connection.execute(query, values))


def _level_that_disagrees(reader: LedgerReader, roots: Sequence[bytes]) -> int:
    """Give the lowest level whose tiles are not made of the roots below; 0 where all are."""
    level = 1
    while len(roots) >= TILE:
        parts = [roots[at : at + TILE] for at in range(0, len(roots) // TILE * TILE, TILE)]
        if [b"".join(part) for part in parts] != list(_hashes(reader, level)):
            return level
        query = "SELECT root FROM tiles WHERE id >= ? AND id < ? ORDER BY id"
        stored = [as_bytes(found) for (found,) in reader.rows(query, tile_id(level, 0), tile_id(level + 1, 0))]
        roots = [merkle.perfect(part) for part in parts]
        if stored != roots:
            return level
        level += 1
    return 0


@contextmanager
def _without_collector() -> Iterator[None]:
    """Hold the collector of cyclic garbage: a million entries make none, and it would look through them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _disagrees(position: int, why: str) -> Verdict:
    return _tampered(position, Tampering.INDEX, f"entry {position}: index or ledger disagrees with the log ({why})")


def _tampered(position: int, kind: Tampering, message: str) -> Verdict:
    return Verdict(outcome=Outcome.TAMPERED, size=position, head=leaf_hash(b""), position=position, kind=kind, message=message)
