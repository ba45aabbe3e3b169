"""Reading a ledger for its verification: rows by ranges, what stands beside them, and whether rows and log agree."""

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from elevate.audit import merkle
from elevate.audit.chain import Outcome, Tampering, Verdict
from elevate.audit.entry import as_bytes
from elevate.audit.notes import VerifierKey, decimal
from elevate.audit.ranges import AFTER, TILE, Asked, Bad, Range, check_range
from elevate.audit.verify import Known, Signed, Stored, join, read_signed, tampered
from elevate.errors import AuditError
from elevate.store import strays
from elevate.store.comparing import Rows, erased_since, first_bad_row, first_unnamed, loose_links, read_rows
from elevate.store.reader import WITH_OPENINGS, LedgerReader
from elevate.store.tree import TileReader, tile_id, tile_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one share of the work has found: of entries, of the ledger's rows, and of the checkpoints among them.

    Attributes:
        loose: Beginning of the first tile of entries that were pruned whose hashes do not lead to its root; -1 where all do.
    """

    loose: int
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
        self._since, self._pinned = since, key
        self.salt = int.from_bytes(os.urandom(8), "big")
        self.known = tuple(known)
        # In one transaction: a log that grows meanwhile must not look as if its tiles and checkpoints were not its own.
        with LedgerReader(path) as reader, reader.connection:
            self.size = reader.size()
            self.rows = range(*reader.rows("SELECT coalesce(min(n) - 1, 0), coalesce(max(n), 0) FROM requests")[0])
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
            self.loose = _level_that_disagrees(reader, self.roots)
            self.last = self._last_before(reader)
            tree = TileReader(reader.connection, self.size)
            early = {self.start, *(one.size for one in self.known if one.size <= self.start)}
            self.early = {size: tree.root(size) for size in early}
            self.named = strays.read(reader)
            self.outside = strays.outside(reader, archived, self.size)
            self.rotations = [rotation for rotation in self.named.rotations if 0 <= rotation[0] < self.start]
            self.keys = [self.key, *_keys(str(body["new"]) for _, body in self.named.rotations)]
        beyond = {one.size for one in self.known}
        self.marks = sorted({size for size, _ in self.checkpoints} | beyond)

    def again(self) -> "Plan | None":
        """Plan anew where entries were pruned since: what was to be read is not there any more. None where none were."""
        with LedgerReader(self.path) as reader:
            if _archived(reader) == self.archived:
                return None
        return Plan(self.path, since=self._since, known=self.known, key=self._pinned)

    def ranges(self, parts: int) -> list[tuple[int, int]]:
        """Divide the work into so many ranges that begin with a tile."""
        tiles = (self.size - self.start + TILE - 1) // TILE
        cuts = [min(self.start + tiles * part // parts * TILE, self.size) for part in range(parts)] + [self.size]
        return [(first, stop) for first, stop in pairwise(cuts) if first < stop]

    def check(self, part: int, parts: Sequence[tuple[int, int]], progress: Callable[[int], None]) -> Part:
        """Check one range of `ranges`, and the same share of the ledger's rows."""
        start, stop = parts[part]
        with LedgerReader(self.path) as reader, _without_collector():
            tiles = _hashes(reader, 0, start // TILE, stop // TILE)
            with reader.each(WITH_OPENINGS, start, stop + AFTER) as entries:
                asked = Asked(marks=self.marks, tiles=tiles, salt=self.salt)
                found = check_range(entries, start, stop, asked, progress)
            span = range(self.start, self.size)
            cuts = [self.rows.start + len(self.rows) * one // len(parts) for one in (part, part + 1)]
            rows = read_rows(reader, range(*cuts), self.salt, span, whole=not self.left_out)
            if part == 0:
                rows.links += loose_links(reader, self.salt, span)
            loose = self._loose_before(reader, part, len(parts))
        mine = (one for one in self.checkpoints if start < one[0] <= stop)
        return Part(loose=loose, entries=found, rows=rows, signed=read_signed(mine, self.keys))

    def _loose_before(self, reader: LedgerReader, part: int, parts: int) -> int:
        """Check a share of the tiles whose entries were pruned: proofs are made of their hashes still."""
        if self.left_out:
            return -1
        first, stop = (self.archived // TILE * one // parts for one in (part, part + 1))
        tiles = enumerate(zip(_hashes(reader, 0, first, stop), self.roots[first:stop], strict=False), first)
        return next((number * TILE for number, (hashes, root) in tiles if tile_root(hashes) != root), -1)

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
            start=self.start,
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
        bad = self.outside or self._tiles_disagree(checked) or self._not_pruned(ranges) or self._says_otherwise(ranges)
        bad = bad or self._rows_disagree(checked)
        return tampered(bad, verdict.head) if bad else self._forgotten(checked, verdict)

    def _says_otherwise(self, ranges: Sequence[Range]) -> Bad | None:
        """Compare what the ledger says of itself, its keys and its last erasure, with what its log says."""
        handed_over = [*self.rotations, *(rotation for one in ranges for rotation in one.rotations)]
        erased_at = max([-1, *(one.erased_at for one in ranges)])
        return strays.named(self.named, handed_over, self.key, erased_at, self.start)

    def _not_pruned(self, ranges: Sequence[Range]) -> Bad | None:
        """See that an entry tells of what was taken out; it stands behind it, and may not have been read this time."""
        if self.left_out or max([0, *(one.pruned for one in ranges)]) >= self.archived:
            return None
        why = f"no entry says that those before {self.archived} were pruned"
        return Bad(position=0, kind=Tampering.DELETED, why=why)

    def _forgotten(self, checked: Sequence[Part], verdict: Verdict) -> Verdict:
        """Compare what is gone with the erasures that the log tells of, and with one that goes on."""
        gone, known, blanked = (sum(getattr(part.entries, name) for part in checked) for name in ("gone", "erased", "blanked"))
        blank = sum(part.rows.blank for part in checked)
        # Where the pruning broke off, or entries were left out, nobody says which of that was taken out since.
        pruned = [part.entries for part in checked if self.archived and part.entries.pruned == self.archived]
        if pruned and not self.left_out:
            known, blanked = known - pruned[0].lost, blanked - pruned[0].lost_rows
        if gone <= known and blank <= blanked:
            return verdict
        with LedgerReader(self.path) as reader:
            later, later_rows = erased_since(reader, self.size)
        if gone > known + later:
            first = next(part.entries.first_gone for part in checked if part.entries.gone)
            why = f"openings of {gone} entries are gone, erasures account for {known + later}"
            return tampered(Bad(position=first, kind=Tampering.OPENING, why=why), verdict.head)
        if blank > blanked + later_rows:
            first = next(part.rows.first_blank for part in checked if part.rows.blank)
            why = f"{blank} rows are blank, erasures account for {blanked + later_rows}"
            return tampered(_disagrees(first, why), verdict.head)
        # SECURITY: what goes on is not signed: whoever writes the file could say it.
        lost = f"of {gone - known} entries openings are gone" if gone > known else f"{blank - blanked} rows are blank"
        message = f"{verdict.message}; {lost} by an erasure that had not ended"
        return replace(verdict, outcome=Outcome.INCOMPLETE, message=message)

    def _tiles_disagree(self, checked: Sequence[Part]) -> Bad | None:
        loose = [at for part in checked for at in (part.loose, part.entries.loose) if at >= 0]
        if loose:
            return _disagrees(min(loose), "the hashes of its tile are not theirs")
        return _disagrees(0, f"the tiles of level {self.loose} are not made of those below") if self.loose else None

    def _rows_disagree(self, checked: Sequence[Part]) -> Bad | None:
        at, request = next(((part.rows.at, part.rows.bad) for part in checked if part.rows.bad), (0, ""))
        links, ends = (
            sum(getattr(part.entries, name) for part in checked) == sum(getattr(part.rows, name) for part in checked)
            for name in ("links", "ends")
        )
        if not request and not (links and ends):
            span = range(self.start, self.size)
            with LedgerReader(self.path) as reader:
                at, request = first_bad_row(reader, span, whole=not self.left_out)
                at = at if request else first_unnamed(reader, span)
        if request:
            return _disagrees(at, f"the row of request {request[:64]} is not what the log says")
        return None if links and ends else _disagrees(at, "the list of a request's entries is not that of the log")

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


def _hashes(reader: LedgerReader, level: int, first: int, stop: int) -> Iterator[bytes]:
    """Give the hashes of a level's full tiles, as stored; from the first number to the one before ``stop``."""
    query = "SELECT hashes FROM tiles WHERE id >= ? AND id < ? ORDER BY id"
    values = tile_id(level, first), tile_id(level, stop)
    return (as_bytes(found) for (found,) in reader.connection.execute(query, values))


def _level_that_disagrees(reader: LedgerReader, roots: Sequence[bytes]) -> int:
    """Give the lowest level whose tiles are not made of the roots below; 0 where all are."""
    level = 1
    while len(roots) >= TILE:
        parts = [roots[at : at + TILE] for at in range(0, len(roots) // TILE * TILE, TILE)]
        if [b"".join(part) for part in parts] != list(_hashes(reader, level, 0, len(parts) + 1)):
            return level
        query = "SELECT root FROM tiles WHERE id >= ? AND id < ? ORDER BY id"
        stored = [as_bytes(found) for (found,) in reader.rows(query, tile_id(level, 0), tile_id(level + 1, 0))]
        roots = [merkle.perfect(part) for part in parts]
        if stored != roots:
            return level
        level += 1
    # Nothing can stand above the last full tile.
    return level if reader.rows("SELECT 1 FROM tiles WHERE id >= ? LIMIT 1", tile_id(level, 0)) else 0


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


def _disagrees(position: int, why: str) -> Bad:
    return Bad(position=position, kind=Tampering.INDEX, why=why)
