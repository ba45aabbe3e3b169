"""Reading a ledger for its verification: rows by ranges, what stands beside them, and whether rows and log agree."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import apsw

from elevate.audit import merkle
from elevate.audit.chain import Outcome, Tampering, Verdict
from elevate.audit.entry import leaf_hash
from elevate.audit.notes import VerifierKey
from elevate.audit.ranges import TILE, Range, as_bytes, check_range
from elevate.audit.verify import Known, Stored, join
from elevate.errors import AuditError, StoreError
from elevate.store.reader import LedgerReader
from elevate.store.tree import TileReader, tile_id

_DAMAGED = "its pages can't be read as tables any more; keep a copy, and go back to one that verifies"
_DISAGREES = """
SELECT r.request, max(r.last, 0) FROM requests r
LEFT JOIN entries l ON l.seq = r.last LEFT JOIN entries i ON i.seq = r.position
WHERE r.n > ?1 AND r.n <= ?2 AND (
    (r.last >= ?3 AND coalesce(instr(l.data, CAST('"event":"' || r.state || '"' AS BLOB)), 0) = 0)
    OR (r.position >= ?3 AND i.data IS NULL)
    OR (r.position >= 0 AND instr(i.data, CAST('"jti":"' AS BLOB)) > 0
        AND instr(i.data, CAST('"jti":"' || r.jti || '"' AS BLOB)) = 0))
ORDER BY r.n LIMIT 1
"""
_ROWS = (
    "SELECT e.seq, e.data, o.data FROM entries e LEFT JOIN openings o ON o.seq = e.seq"
    " WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq"
)


Part = tuple[Range, int, str]
"""A range, the ledger's links, and the first row that disagrees."""


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
        with LedgerReader(path) as reader:
            self.size = reader.size()
            archived = int(reader.meta("pruned") or 0)
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
            query = "SELECT seq, old, new, signature FROM rotations WHERE seq < ? ORDER BY seq"
            self.rotations = [
                (int(seq), {"old": old, "new": new, "signature": signature})
                for seq, old, new, signature in reader.rows(query, self.start)
            ]
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
        with LedgerReader(self.path) as reader:
            read = reader.connection.execute(_ROWS, (start, stop))
            try:
                found = check_range(read, start, stop, marks=self.marks, progress=progress, salt=self.salt)
            except apsw.Error as exc:
                raise StoreError("the ledger's file is damaged", hint=_DAMAGED, detail=str(exc)) from exc
            return found, *_ledger(reader, (part, len(parts)), self.salt, self.start)

    def verdict(self, checked: Sequence[Part]) -> Verdict:
        """Put the parts together, and compare the ledger with them where the log itself is good."""
        found = self._compared(checked)
        if not self.left_out or found.outcome is not Outcome.VERIFIED:
            return found
        # What was not read is not called verified, however good its hashes look.
        message = f"{found.message}; what lies before entry {self.start} was not read this time"
        return replace(found, outcome=Outcome.INCOMPLETE, message=message)

    def _compared(self, checked: Sequence[Part]) -> Verdict:
        ranges = [found for found, _, _ in checked]
        stored = Stored(
            size=self.size,
            before=self.roots[: self.start // TILE],
            last=self.last,
            roots=self.roots,
            checkpoints=self.checkpoints,
            key=self.key,
            early=self.early,
            rotations=self.rotations,
        )
        verdict = join(ranges, stored, self.known)
        if verdict.outcome is Outcome.TAMPERED:
            return verdict
        leaves = [found for one in ranges for found in one.leaves]
        for number, (ours, theirs) in enumerate(zip(leaves, self.leaves, strict=True), self.start // TILE):
            if ours != theirs:
                return _disagrees(number * TILE, "the hashes of its tile are not theirs")
        if self.loose:
            return _disagrees(0, f"the tiles of level {self.loose} are not made of those below")
        for _, _, bad in checked:
            if bad:
                at, _, request = bad.partition(" ")
                return _disagrees(int(at), f"the row of request {request} is not what the log says")
        if sum(found.links for found in ranges) != sum(links for _, links, _ in checked):
            return _disagrees(0, "the list of a request's entries is not that of the log")
        return verdict

    def _last_before(self, reader: LedgerReader) -> str:
        if not self.start:
            return ""
        number = self.start // TILE - 1
        hashes = [as_bytes(found) for (found,) in reader.rows("SELECT hashes FROM tiles WHERE id = ?", tile_id(0, number))]
        if not hashes:
            raise AuditError(f"the tile before entry {self.start} is missing")
        return hashes[0][-32:].hex()


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


def _rows_of(reader: LedgerReader, part: int, parts: int) -> tuple[int, int]:
    """Give one share of the ledger's rows."""
    count = reader.rows("SELECT coalesce(max(n), 0) FROM requests")[0][0]
    return count * part // parts, count * (part + 1) // parts


def _ledger(reader: LedgerReader, share: tuple[int, int], salt: int, start: int) -> tuple[int, str]:
    """Give the sum of the links of some rows, and the first request whose row is not where its log ends."""
    first, stop = _rows_of(reader, *share)
    links = 0
    for request, positions in reader.connection.execute(
        "SELECT request, positions FROM requests WHERE n > ? AND n <= ?", (first, stop)
    ):
        for word in str(positions).split():
            position = int(word) if word.isdecimal() else stop
            if position >= start:
                links += hash((salt, request, position))
    if share[0] == 0:
        for request, seq in reader.rows("SELECT request, seq FROM loose WHERE seq >= ?", start):
            links += hash((salt, request, seq))
    for request, at in reader.rows(_DISAGREES, first, stop, start):
        return links, f"{at} {request}"
    return links, ""


def _disagrees(position: int, why: str) -> Verdict:
    message = f"entry {position}: index or ledger disagrees with the log ({why})"
    return Verdict(
        outcome=Outcome.TAMPERED, size=position, head=leaf_hash(b""), position=position, kind=Tampering.INDEX, message=message
    )
