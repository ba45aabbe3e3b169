"""Check a range of stored entries in one pass over its rows, so that several processes can share the work.

Many entries are read at once. What the quick way (`elevate.audit.bulk`) does not take is read one by one, as everywhere else:
what is called good here is what `load` reads. Only where that fails, too, is the first bad entry looked for and named.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice, repeat
from operator import contains
from typing import Any

from elevate.audit import bulk, merkle, private
from elevate.audit.bulk import Read
from elevate.audit.chain import Tampering, name_first_bad
from elevate.audit.entry import EMPTY, as_bytes, leaf_hash, load
from elevate.errors import AuditError
from elevate.lifecycle import State, is_final

TILE = 256
BATCH = 64
"""So many entries are taken at once: few enough that what is made of them is still in the cache when it is looked at again."""
AFTER = 2
"""So many entries behind the first bad one tell what happened to it."""
ROTATED, ERASED, PRUNED = "log-key-rotated", "erased", "log-pruned"
_ENDS = frozenset(state.value for state in State if is_final(state))

Row = tuple[Any, Any, Any]
"""As stored: position, an entry's bytes, and those of its openings, None where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """The first bad entry of a range."""

    position: int
    kind: Tampering
    why: str = ""


@dataclass(slots=True, kw_only=True)
class Range:
    """What one pass over the rows ``start`` to ``stop - 1`` found; ``start`` is the beginning of a tile.

    Attributes:
        was: What the first entry says of the one before.
        last: Hash of the last entry, in hexadecimal digits.
        before: Hash of the one before it.
        tiles: Roots of the full tiles.
        leaves: SHA-256 over the hashes of each full tile, to be compared with what is stored.
        edge: Hashes of the entries after the last full tile.
        marks: For each asked size inside, the roots of the perfect subtrees over its entries since the tile's beginning.
        rotations: Positions and bodies of entries that hand over to a new log key.
        links: Sum of ``hash((salt, request, position))`` over the entries of requests, to be compared with the ledger's.
        gone: So many entries have fewer openings than they commit to; ``first_gone`` is the first of them.
        erased: So many lost openings by the erasures that entries of this range tell of.
        pruned: Up to here entries were taken out, as an entry of this range says.
        ends: The same of ``hash((salt, position, event, digest))`` over the entries that end a request, with its row's digest.
        blanked: So many rows were blanked by the erasures that entries of this range tell of.
        erased_at: The last entry that tells of one; -1 where none does.
    """

    start: int
    stop: int
    was: str = ""
    last: str = ""
    before: str = ""
    tiles: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    edge: list[bytes] = field(default_factory=list)
    marks: dict[int, list[bytes]] = field(default_factory=dict)
    rotations: list[tuple[int, Mapping[str, object]]] = field(default_factory=list)
    links: int = 0
    salt: int = 0
    ends: int = 0
    blanked: int = 0
    erased_at: int = -1
    gone: int = 0
    first_gone: int = -1
    erased: int = 0
    pruned: int = 0
    bad: Bad | None = None


def check_range(
    rows: Iterable[Row], start: int, stop: int, *, marks: frozenset[int], progress: Callable[[int], None], salt: int = 0
) -> Range:
    """Check the entries of a range, each for itself and against the one before it.

    Args:
        rows: In order, beginning with the one at ``start``; `AFTER` more than the range has, where they are there.
        start: First position; the beginning of a tile.
        stop: Position after the last.
        marks: Sizes for which a root will be asked.
        progress: Told how many more have been checked, from time to time.
        salt: Random, the same for all ranges of one verification.
    """
    found = Range(start=start, stop=stop, salt=salt)
    stream = iter(rows)
    position = start
    while position < stop:
        rows_read = list(islice(stream, min(BATCH, stop - position)))
        if not _take(rows_read, position, found):
            found.bad = _name(rows_read, stream, position, found)
            return found
        position += len(rows_read)
        if len(rows_read) < BATCH or position % TILE == 0:
            _mark(found, marks, position)
            progress(len(found.edge) or TILE)
        if len(rows_read) < BATCH:
            break
    if position < stop:
        found.bad = Bad(position=position, kind=Tampering.DELETED)
    return found


def _take(rows: Sequence[Row], position: int, found: Range) -> bool:
    """Take in some entries where all of them are good."""
    _, data, openings = zip(*rows, strict=True) if rows else ((), (), ())
    entries = _read(data)
    if not entries:
        return not rows
    digests = merkle.leaves(data)
    hashes = [found.last or entries[0].was, *(digest.hex() for digest in digests)]
    positions = range(position, position + len(rows))
    chained = [one.was for one in entries] == hashes[:-1] and [one.seq for one in entries] == list(positions)
    if not chained:
        return False
    known = [one.body.get(private.DIGESTS, ()) for one in entries]
    opened = _opened(openings, known)
    if opened is None:
        return False
    if opened != sum(map(len, known)):
        _note_gone(openings, known, positions, found)
    found.was = found.was or hashes[0]
    found.before, found.last = hashes[-2:]
    found.edge += digests
    _note_requests(entries, positions, found)
    return True


def _read(data: Sequence[Any]) -> Sequence[Read]:
    """Read entries strictly; nothing where one of them is none."""
    entries = bulk.read(data)
    if entries is None:
        try:
            entries = [Read(**load(one)) for one in data if isinstance(one, bytes)]
        except AuditError:
            return ()
    return entries if len(entries) == len(data) else ()


def _note_gone(openings: Sequence[Any], known: Sequence[Any], positions: range, found: Range) -> None:
    """Count the entries that have lost openings: erasures must account for as many."""
    pairs = zip(openings, known, positions, strict=True)
    gone = [position for kept, digests, position in pairs if (_opened([kept], [digests]) or 0) < len(digests)]
    found.gone += len(gone)
    found.first_gone = gone[0] if gone and found.first_gone < 0 else found.first_gone


def _note_requests(entries: Sequence[Read], positions: range, found: Range) -> None:
    """Add up what the ledger's rows must say, too, and keep what hands over to another key."""
    requests, events = [one.request for one in entries], [one.event for one in entries]
    found.links += sum(map(hash, compress(zip(repeat(found.salt), requests, positions, strict=False), requests)))
    if not _ENDS.isdisjoint(events):
        ends = [one for one in entries if one.event in _ENDS and private.ROW in one.body]
        found.ends += sum([hash((found.salt, one.seq, one.event, *one.body[private.ROW])) for one in ends])
    if ERASED in events:
        _note_erasures([one for one in entries if one.event == ERASED], found)
    if PRUNED in events:
        stops = (_part(one.body, "pruning").get("before") for one in entries if one.event == PRUNED)
        found.pruned = max([found.pruned, *(stop for stop in stops if isinstance(stop, int))])
    if ROTATED in events:
        said = zip(entries, positions, strict=True)
        found.rotations += [(at, _part(one.body, "log_key")) for one, at in said if one.event == ROTATED]


def _note_erasures(entries: Sequence[Read], found: Range) -> None:
    told = [_part(one.body, "erasure") for one in entries]
    entries_gone, rows_gone = ([one.get(name) for one in told] for name in ("entries", "requests"))
    found.erased += sum(count for count in entries_gone if isinstance(count, int))
    found.blanked += sum(count for count in rows_gone if isinstance(count, int))
    found.erased_at = entries[-1].seq


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, object]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _opened(openings: Sequence[Any], known: Sequence[Any]) -> int | None:
    """Say how many commitments are opened; None where an opening is not among what its entry commits to.

    Args:
        openings: As stored, of some entries.
        known: What each of them commits to.
    """
    if None in openings:
        kept = [found is not None for found in openings]
        openings, known = list(compress(openings, kept)), list(compress(known, kept))
    if not openings:
        return 0
    if set(map(type, known)) != {list} or set(map(type, openings)) != {bytes}:
        return None
    parts = [found.split(b"\n") for found in openings]
    owners = chain.from_iterable(map(repeat, known, map(len, parts)))
    digests = bulk.commitments(list(chain.from_iterable(parts)))
    # One that stands there twice opens nothing twice.
    return len(set(digests)) if all(map(contains, owners, digests)) else None


def _mark(found: Range, marks: frozenset[int], position: int) -> None:
    """Keep what roots will be asked for, and close the tile where it is full."""
    begun = position - len(found.edge)
    levels = merkle.levels(found.edge)
    for size in marks.intersection(range(begun + 1, position + 1)):
        found.marks[size] = merkle.parts(levels, size - begun)
    if len(found.edge) == TILE:
        found.tiles.append(levels[-1][0])
        found.leaves.append(hashlib.sha256(b"".join(found.edge)).digest())
        found.edge.clear()


def _name(tile: Sequence[Row], rest: Iterable[Row], position: int, found: Range) -> Bad:
    """Name the first bad entry of a tile, and what happened to it."""
    before, previous = found.before, found.last
    for number, (_, data, openings) in enumerate(tile):
        raw = as_bytes(data)
        try:
            members = load(raw)
        except AuditError:
            return Bad(position=position + number, kind=Tampering.TORN)
        previous = previous or (members["was"] if position else EMPTY)
        if members["seq"] != position + number or members["was"] != previous:
            window = [as_bytes(row[1]) for row in islice(chain(tile[number:], rest), 1 + AFTER)]
            at, kind = name_first_bad(window, position + number, previous, before)
            return Bad(position=at, kind=kind)
        if _opened([openings], [members["body"].get(private.DIGESTS, ())]) is None:
            return Bad(position=position + number, kind=Tampering.OPENING)
        before, previous = previous, leaf_hash(raw)
    return Bad(position=position, kind=Tampering.TORN, why="an entry is stored as another type")
