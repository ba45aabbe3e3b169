"""Check a range of stored entries in one pass over its rows, so that several processes can share the work."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from elevate.audit import merkle, private
from elevate.audit.chain import Tampering, name_first_bad
from elevate.audit.entry import EMPTY, load
from elevate.errors import AuditError

TILE = 256
ROTATED = "log-key-rotated"

Row = tuple[bytes, bytes]
"""An entry's bytes and those of its openings; empty where there are none."""


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
        last: Hash of the last entry, in hexadecimal.
        tiles: Roots of the full tiles.
        edge: Hashes of the entries after the last full tile.
        marks: For each asked size inside, the hashes of its entries since the tile's beginning.
        rotations: Positions and bodies of entries that hand over to a new log key.
        links: Sum of ``hash((salt, request, position))`` over the entries of requests, to be compared with the ledger's.
        open: Number of entries with openings.
    """

    start: int
    stop: int
    was: str = ""
    last: str = ""
    tiles: list[bytes] = field(default_factory=list)
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
    for row in stream:
        why = _check_row(row, position, found)
        if why is not None:
            found.bad = _name(row, stream, position, found, why)
            return found
        position += 1
        if position in marks:
            found.marks[position] = list(found.edge)
        if len(found.edge) == TILE:
            found.tiles.append(merkle.perfect(found.edge))
            found.edge.clear()
            progress(TILE)
    if position < stop:
        found.bad = Bad(position=position, kind=Tampering.DELETED)
    progress(len(found.edge))
    return found


def _check_row(row: Row, position: int, found: Range) -> Tampering | None:
    """Take in one entry; give what is wrong with it."""
    data, openings = row
    try:
        members = load(data)
    except AuditError:
        return Tampering.TORN
    if members["seq"] != position or (members["was"] != found.last and position != found.start):
        return Tampering.EDITED
    if position == found.start:
        found.was = members["was"]
    body = members["body"]
    if openings:
        if not private.check(body.get("_sd", ()), openings):
            return Tampering.OPENING
        found.open += 1
    if members["request"]:
        found.links += hash((found.salt, members["request"], position))
    if members["event"] == ROTATED:
        found.rotations.append((position, body.get("log_key", {})))
    digest = hashlib.sha256(b"\0" + data).digest()
    found.edge.append(digest)
    found.last = digest.hex()
    return None


def _name(row: Row, rest: Iterable[Row], position: int, found: Range, kind: Tampering) -> Bad:
    if kind is not Tampering.EDITED:
        return Bad(position=position, kind=kind)
    window = [row[0], *(data for _, (data, _) in zip(range(2), rest, strict=False))]
    previous = found.last or (EMPTY if position == 0 else found.was)
    at, named = name_first_bad(window, position, previous)
    return Bad(position=at, kind=named)
