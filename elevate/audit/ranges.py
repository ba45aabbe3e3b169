"""Check a range of stored entries in one pass over its rows, so that several processes can share the work."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from elevate.audit import merkle, private
from elevate.audit.chain import Tampering, name_first_bad
from elevate.audit.entry import EMPTY, leaf_hash, load
from elevate.errors import AuditError

TILE = 256
ROTATED = b"log-key-rotated"

Row = tuple[Any, Any, Any]
"""As stored: position, an entry's bytes, and those of its openings, None where there are none."""

_END_BEGINS = b',"boot":"'
# What follows the body in canonical JSON. A quotation mark inside of a text has a backslash before it, so that the last place
# where this begins is not inside of one.
_END = re.compile(
    rb',"boot":"[^"\\]*","broker":"[^"\\]*","event":"([^"\\]*)","machine":"[^"\\]*","mono_us":-?[0-9]+,'
    rb'"request":"([^"\\]*)","seq":([0-9]+),"unix_us":-?[0-9]+,"v":1,"was":"([0-9a-f]{64})"\}'
)


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
        tiles: Roots of the full tiles.
        leaves: SHA-256 over the hashes of each full tile, to be compared with what is stored.
        edge: Hashes of the entries after the last full tile.
        marks: For each asked size inside, the hashes of its entries since the tile's beginning.
        rotations: Positions and bodies of entries that hand over to a new log key.
        links: Sum of ``hash((salt, request, position))`` over the entries of requests, to be compared with the ledger's.
        open: Number of entries with openings.
    """

    start: int
    stop: int
    was: str = ""
    last: bytes = b""
    tiles: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    edge: list[bytes] = field(default_factory=list)
    marks: dict[int, list[bytes]] = field(default_factory=dict)
    rotations: list[tuple[int, Mapping[str, object]]] = field(default_factory=list)
    links: int = 0
    salt: int = 0
    open: int = 0
    bad: Bad | None = None


def check_range(
    rows: Iterable[Row], start: int, stop: int, *, marks: frozenset[int], progress: Callable[[int], None], salt: int = 0
) -> Range:
    """Check the entries of a range, each for itself and against the one before it.

    Args:
        rows: In order, beginning with the one at ``start``.
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
        tile = list(islice(stream, TILE))
        if not _take(tile, position, found):
            found.bad = _name(tile, stream, position, found)
            return found
        position += len(tile)
        _mark(found, marks, position)
        progress(len(tile))
        if len(tile) < TILE:
            break
    if position < stop:
        found.bad = Bad(position=position, kind=Tampering.DELETED)
    return found


def _take(tile: Sequence[Row], position: int, found: Range) -> bool:
    """Take in the entries of one tile where all of them are good; a million pass here, so it looks at the bytes."""
    data = [row[1] for row in tile if type(row[1]) is bytes]
    seen = [end for one in data if (end := _END.fullmatch(one, one.rfind(_END_BEGINS)))]
    if len(seen) != len(tile) or not _opens(tile):
        return False
    digests = [hashlib.sha256(b"\0" + one).digest() for one in data]
    ends = [end.groups() for end in seen]
    was = [end[3] for end in ends]
    expected = [found.last or was[0] if was else b"", *(digest.hex().encode() for digest in digests)]
    if was != expected[:-1] or [end[2] for end in ends] != [b"%d" % at for at in range(position, position + len(tile))]:
        return False
    found.was = found.was or (was[0].decode() if was else "")
    salt = found.salt
    found.links += sum([hash((salt, end[1].decode(), at)) for at, end in enumerate(ends, position) if end[1]])
    found.rotations += [
        (at, load(one)["body"].get("log_key", {}))
        for at, (one, end) in enumerate(zip(data, ends, strict=True), position)
        if end[0] == ROTATED
    ]
    found.last = expected[-1]
    found.edge += digests
    return True


def _opens(tile: Sequence[Row]) -> bool:
    """Say whether all openings are committed to: the digests stand in the entry in quotation marks, 256 bits each."""
    for _, data, openings in tile:
        if openings is not None:
            if type(openings) is not bytes or type(data) is not bytes:
                return False
            for opening in openings.split(b"\n"):
                if b'"' + private.digest_of(opening) + b'"' not in data:
                    return False
    return True


def _mark(found: Range, marks: frozenset[int], position: int) -> None:
    """Keep what roots will be asked for, and close the tile where it is full."""
    begun = position - len(found.edge)
    for size in range(begun + 1, position + 1):
        if size in marks:
            found.marks[size] = found.edge[: size - begun]
    if len(found.edge) == TILE:
        found.tiles.append(merkle.perfect(found.edge))
        found.leaves.append(hashlib.sha256(b"".join(found.edge)).digest())
        found.edge.clear()


def _name(tile: Sequence[Row], rest: Iterable[Row], position: int, found: Range) -> Bad:
    """Name the first bad entry of a tile, and what happened to it."""
    previous = found.last.decode()
    for number, (_, data, openings) in enumerate(tile):
        raw = as_bytes(data)
        try:
            members = load(raw)
        except AuditError:
            return Bad(position=position + number, kind=Tampering.TORN)
        previous = previous or (members["was"] if position else EMPTY)
        if members["seq"] != position + number or members["was"] != previous:
            window = [as_bytes(row[1]) for row in islice(chain(tile[number:], rest), 3)]
            at, kind = name_first_bad(window, position + number, previous)
            return Bad(position=at, kind=kind)
        if openings is not None and not _opens([(0, raw, openings)]):
            return Bad(position=position + number, kind=Tampering.OPENING)
        previous = leaf_hash(raw)
    return Bad(position=position, kind=Tampering.TORN, why="an entry is stored as another type")


def as_bytes(value: object) -> bytes:
    """Give what a column holds as bytes; who tampers may have put anything there, which is then no entry."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return value if isinstance(value, bytes) else b""
