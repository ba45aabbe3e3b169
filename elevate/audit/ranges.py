"""Check a range of stored entries in one pass over its rows, so that several processes can share the work.

Many entries are read at once. What the quick way (`elevate.audit.bulk`) does not take is read one by one, as everywhere else:
what is called good here is what `load` reads. Only where that fails, too, is the first bad entry looked for and named.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress, islice, repeat
from typing import Any

from msgspec import UNSET

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
_RARE = frozenset({ROTATED, ERASED, PRUNED})
_ends = frozenset(state.value for state in State if is_final(state)).__contains__
_HASH_CHARS = 64

Row = tuple[Any, Any]
"""As stored: an entry's bytes, and those of its openings, None where there are none."""


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
        loose: Beginning of the first full tile whose stored hashes are not those of its entries; -1 where all are.
        edge: Hashes of the entries after the last full tile.
        marks: For each asked size inside, the roots of the perfect subtrees over its entries since the tile's beginning.
        rotations: Positions and bodies of entries that hand over to a new log key.
        links: Sum of ``hash((salt, request, position))`` over the entries of requests, to be compared with the ledger's.
        gone: So many entries have fewer openings than they commit to; ``first_gone`` is the first of them.
        erased: So many lost openings by the erasures that entries of this range tell of.
        pruned: Up to here entries were taken out, as an entry of this range says.
        lost: So many of these had lost openings by erasures that stand behind them.
        lost_rows: So many rows were taken out with them that such erasures had blanked.
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
    loose: int = -1
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
    lost: int = 0
    lost_rows: int = 0
    bad: Bad | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a range, and what is stored beside it.

    Attributes:
        marks: Sizes for which a root will be asked, in order.
        tiles: The hashes of its full tiles, as stored.
        salt: Random, the same for all ranges of one verification.
    """

    marks: Sequence[int]
    tiles: Iterator[bytes]
    salt: int


def check_range(rows: Iterable[Row], start: int, stop: int, asked: Asked, progress: Callable[[int], None]) -> Range:
    """Check the entries of a range, each for itself and against the one before it.

    Args:
        rows: In order, beginning with the one at ``start``; `AFTER` more than the range has, where they are there.
        start: First position; the beginning of a tile.
        stop: Position after the last.
        asked: What is asked of it.
        progress: Told how many more have been checked, from time to time.
    """
    found = Range(start=start, stop=stop, salt=asked.salt)
    stream = iter(rows)
    position = start
    while position < stop:
        rows_read = list(islice(stream, min(BATCH, stop - position)))
        if not _take(rows_read, position, found):
            found.bad = _name(rows_read, stream, position, found)
            return found
        position += len(rows_read)
        if len(rows_read) < BATCH or position == stop or position % TILE == 0:
            _mark(found, asked, position)
            progress(len(found.edge) or TILE)
        if len(rows_read) < BATCH:
            break
    if position < stop:
        found.bad = Bad(position=position, kind=Tampering.DELETED)
    return found


def _take(rows: Sequence[Row], position: int, found: Range) -> bool:
    """Take in some entries where all of them are good."""
    data, openings = zip(*rows, strict=True) if rows else ((), ())
    entries = _read(data)
    if not entries:
        return not rows
    digests = merkle.leaves(data)
    was = [one.was for one in entries]
    positions = range(position, position + len(rows))
    if not _follow(was, digests, found.last) or [one.seq for one in entries] != list(positions):
        return False
    known = [one.body.digests for one in entries]
    if not _all_opened(openings, known) and not _note_gone(openings, known, positions, found):
        return False
    found.was = found.was or was[0]
    found.before, found.last = digests[-2].hex() if len(digests) > 1 else was[0], digests[-1].hex()
    found.edge += digests
    events = [one.event for one in entries]
    _note_requests(entries, events, positions, found)
    if not _RARE.isdisjoint(events):
        _note_care([one for one in map(load, data) if one["event"] in _RARE], found)
    return True


def _follow(was: Sequence[str], digests: Sequence[bytes], last: str) -> bool:
    """Say whether each entry names the one before it; where that is not known, the first may name any."""
    # As one text, and of one length each, so that none can take from its neighbour.
    told = "".join(was[1:]) == b"".join(digests[:-1]).hex() and {*map(len, was[1:])} <= {_HASH_CHARS}
    return told and was[0] == (last or was[0])


def _read(data: Sequence[Any]) -> Sequence[Read]:
    """Read entries strictly; nothing where one of them is none."""
    entries = bulk.read(data)
    if entries is None:
        try:
            entries = [bulk.read_one(one) for one in data if isinstance(one, bytes)]
        except AuditError:
            return ()
    return entries if len(entries) == len(data) else ()


def _all_opened(openings: Sequence[Any], known: Sequence[Any]) -> bool:
    """Say whether openings are all that their entries commit to, in the order in which they are written."""
    try:
        counts = [found.count(b"\n") + 1 for found in openings]
        digests = bulk.commitments(b"\n".join(openings).split(b"\n"))
        return counts == list(map(len, known)) and digests == bulk.BETWEEN.join(chain.from_iterable(known))
    except (TypeError, AttributeError):
        return False  # something is missing, or of another type


def _note_gone(openings: Sequence[Any], known: Sequence[Any], positions: range, found: Range) -> bool:
    """Count the entries that have lost openings: erasures must account for as many. False where one has another's."""
    kept = [one is not None for one in openings]
    gone = [at for at, there, digests in zip(positions, kept, known, strict=True) if digests and not there]
    some = [list(compress(part, kept)) for part in (openings, known, positions)]
    if not _all_opened(some[0], some[1]):
        for opening, digests, at in zip(*some, strict=True):
            if (opened := _opened(opening, digests)) < 0:
                return False
            gone += [at] if opened < len(digests) else []
    found.gone += len(gone)
    found.first_gone = min(gone) if gone and found.first_gone < 0 else found.first_gone
    return True


def _note_requests(entries: Sequence[Read], events: Sequence[str], positions: range, found: Range) -> None:
    """Add up what the ledger's rows must say, too."""
    requests = [one.request for one in entries]
    found.links += sum(map(hash, compress(zip(repeat(found.salt), requests, positions, strict=False), requests)))
    ends = [one for one in compress(entries, map(_ends, events)) if one.body.row is not UNSET]
    found.ends += sum([hash((found.salt, one.seq, one.event, *one.body.row)) for one in ends])


def _note_care(entries: Sequence[Mapping[str, Any]], found: Range) -> None:
    """Keep what hands over to another key, and what was erased and pruned."""
    for one in entries:
        if one["event"] == ROTATED:
            found.rotations.append((one["seq"], _part(one["body"], "log_key")))
            continue
        erasure, pruned = (_part(one["body"], name) for name in ("erasure", "pruning"))
        if one["event"] == ERASED:
            found.erased += _count(erasure, "entries")
            found.blanked += _count(erasure, "requests")
            found.erased_at = one["seq"]
        elif (before := _count(pruned, "before")) > found.pruned:
            found.pruned, found.lost, found.lost_rows = before, _count(pruned, "lost"), _count(pruned, "blanked")


def _count(part: Mapping[str, object], name: str) -> int:
    count = part.get(name)
    return count if isinstance(count, int) else 0


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, object]:
    part = body.get(name)
    return part if isinstance(part, dict) else {}


def _opened(openings: object, known: object) -> int:
    """Say how many of an entry's commitments are opened; -1 where an opening is not among what it commits to.

    Args:
        openings: As stored; not None.
        known: What the entry commits to; `UNSET` where that is nothing.
    """
    if not isinstance(openings, bytes) or not isinstance(known, list):
        return -1
    digests = set(map(private.commitment, openings.split(b"\n")))
    # One that stands there twice opens nothing twice.
    return len(digests) if digests.issubset(known) else -1


def _mark(found: Range, asked: Asked, position: int) -> None:
    """Keep what roots will be asked for, and close the tile where it is full."""
    begun = position - len(found.edge)
    levels = merkle.levels(found.edge)
    for size in asked.marks[bisect_right(asked.marks, begun) : bisect_right(asked.marks, position)]:
        found.marks[size] = merkle.parts(levels, size - begun)
    if len(found.edge) == TILE:
        found.tiles.append(levels[-1][0])
        if next(asked.tiles, b"") != b"".join(found.edge) and found.loose < 0:
            found.loose = begun
        found.edge.clear()


def _name(tile: Sequence[Row], rest: Iterable[Row], position: int, found: Range) -> Bad:
    """Name the first bad entry of a tile, and what happened to it."""
    before, previous = found.before, found.last
    for number, (data, openings) in enumerate(tile):
        raw = as_bytes(data)
        try:
            members = load(raw)
        except AuditError:
            return Bad(position=position + number, kind=Tampering.TORN)
        previous = previous or (members["was"] if position else EMPTY)
        if members["seq"] != position + number or members["was"] != previous:
            window = [as_bytes(row[0]) for row in islice(chain(tile[number:], rest), 1 + AFTER)]
            at, kind = name_first_bad(window, position + number, previous, before)
            return Bad(position=at, kind=kind)
        if openings is not None and _opened(openings, bulk.digests_of(members["body"])) < 0:
            return Bad(position=position + number, kind=Tampering.OPENING)
        before, previous = previous, leaf_hash(raw)
    return Bad(position=position, kind=Tampering.TORN, why="an entry is stored as another type")
