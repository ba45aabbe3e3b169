"""The ledger's rows against the log: each says which entries are its request's, where its log ends, and what token was issued.

What the rows say is added up in the way in which `elevate.audit.ranges` adds up what the entries say, so that neither side need
be kept in memory. The salt is random: whoever wrote the file could not know which sums will be equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, compress, islice, repeat
from typing import Any

import orjson

from elevate.audit.entry import as_bytes, load
from elevate.canonical import MAX_INTEGER
from elevate.lifecycle import State
from elevate.store.reader import LedgerReader

_ROWS = (
    "SELECT r.request, r.positions, r.last, r.state, r.position, r.jti, e.data FROM requests r"
    " LEFT JOIN entries e ON e.seq = r.last WHERE r.n > ? AND r.n <= ? ORDER BY r.n"
)
_NOT_ISSUED = """
SELECT r.request, r.position FROM requests r LEFT JOIN entries e ON e.seq = r.position
WHERE r.position >= ? AND coalesce(instr(e.data, CAST('"jti":"' || r.jti || '"' AS BLOB)), 0) = 0 ORDER BY r.n LIMIT 1
"""
_LOOSE = "SELECT request, seq FROM loose WHERE seq >= ? AND (seq < ? OR seq NOT IN (SELECT seq FROM entries))"
_ENTRY = "SELECT data FROM entries WHERE seq = ?"
_ERASED = """SELECT data FROM entries WHERE seq >= ? AND instr(data, CAST('"event":"erased"' AS BLOB))"""
BATCH = 256


@dataclass(slots=True, kw_only=True)
class Rows:
    """What some rows say.

    Attributes:
        links: Sum of ``hash((salt, request, position))`` over all entries that rows name as their request's.
        tokens: Sum of ``hash((salt, position, jti))`` over all rows with a token.
        bad: The first row that does not end as its log does.
        at: The entry where that one ends.
    """

    links: int = 0
    tokens: int = 0
    bad: str = ""
    at: int = 0


def read_rows(reader: LedgerReader, numbers: range, salt: int, span: range) -> Rows:
    """Read the rows of some ``numbers``; what they say of entries outside of ``span`` is left out.

    Others come while a log is verified: a row may name entries behind the span that are there.
    """
    found = Rows()
    with reader.each(_ROWS, numbers.start, numbers.stop) as stream:
        while rows := list(islice(stream, BATCH)):
            for end in _add(rows, found, salt, span):
                if not (found.bad or _only_notes_follow(reader, end, span.start)):
                    found.bad, found.at = str(end.request), end.last if type(end.last) is int else 0
    return found


def loose_links(reader: LedgerReader, salt: int, span: range) -> int:
    """Give the sum over entries whose request has no row, as `Rows.links` has it."""
    with reader.each(_LOOSE, span.start, span.stop) as loose:
        return sum(hash((salt, request, seq)) for request, seq in loose)


@dataclass(frozen=True, slots=True)
class _End:
    """A row whose log goes on behind the entry where it is said to end."""

    request: object
    last: object
    numbers: Sequence[int]


def _add(rows: Sequence[tuple[Any, ...]], found: Rows, salt: int, span: range) -> list[_End]:
    """Add up what some rows say; give those that end before the last of their entries."""
    requests, positions, lasts, states, issued, jtis, ends = zip(*rows, strict=True)
    linked = [_numbers(text, span.start) for text in positions]
    inside = [numbers if numbers[-1:] < [span.stop] else [one for one in numbers if one < span.stop] for numbers in linked]
    owners = chain.from_iterable(map(repeat, requests, map(len, inside)))
    found.links += sum(map(hash, zip(repeat(salt), owners, chain.from_iterable(inside), strict=False)))
    of_tokens = [
        type(at) is not int or at in span or (at >= span.stop and at not in numbers)
        for at, numbers in zip(issued, linked, strict=True)
    ]
    found.tokens += sum(map(hash, compress(zip(repeat(salt), issued, jtis, strict=False), of_tokens)))
    good = map(_is_end, lasts, states, ends, repeat(span.start))
    if not found.bad and (wrong := [row for row, is_good in zip(rows, good, strict=True) if not is_good]):
        found.bad, found.at = str(wrong[0][0]), wrong[0][2] if type(wrong[0][2]) is int else 0
    return [_End(*one) for one in zip(requests, lasts, linked, strict=True) if one[2][-1:] != [one[1]]]


def _only_notes_follow(reader: LedgerReader, end: _End, start: int) -> bool:
    """Say whether a row's end is an entry of its own, and no step of its request stands behind it.

    SECURITY: a row that was set back to one of its earlier steps, as a used token to an unused one, names a true entry.
    """
    last = end.last
    if type(last) is not int or not (last < start or last in end.numbers):
        return False
    later = [number for number in end.numbers if number > last]
    if later and max(later) > MAX_INTEGER:
        return False
    entries = [as_bytes(data) for number in later for (data,) in reader.rows(_ENTRY, number)]
    return len(entries) == len(later) and not any(_mark(state.value) in data for data in entries for state in State)


def token_that_was_not_issued(reader: LedgerReader, start: int) -> tuple[int, str]:
    """Give the first row whose token is not the one of the entry that it names; its entry and its request."""
    found = reader.rows(_NOT_ISSUED, start)
    return (int(found[0][1]), str(found[0][0])) if found else (0, "")


def erased_since(reader: LedgerReader, size: int) -> int:
    """Give how many entries have lost openings by erasures that ended behind a position, and by one that goes on."""
    # In one transaction, or an erasure that ends in between would be missed.
    with reader.connection:
        ended = [load(as_bytes(data)) for (data,) in reader.rows(_ERASED, size)]
        going = reader.meta("erasing")
    counts = [one["body"].get("erasure") for one in ended if one["event"] == "erased"]
    return sum(map(_entries, counts)) + (_entries(_read(going)) if going else 0)


def _read(text: str) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _entries(told: object) -> int:
    count = told.get("entries") if isinstance(told, dict) else 0
    return count if isinstance(count, int) else 0


def _numbers(text: object, start: int) -> list[int]:
    try:
        found = list(map(int, text.split()))  # type: ignore[attr-defined]  # what is no text is caught
    except (ValueError, AttributeError):
        return [-1]
    return [number for number in found if number >= start] if start else found


def _is_end(last: object, state: object, data: object, start: int) -> bool:
    """Say whether the entry where a row's log ends tells of the row's state."""
    if type(last) is not int:
        return False
    return last < start or (type(data) is bytes and _mark(state) in data)


@lru_cache(maxsize=256)
def _mark(state: object) -> bytes:
    return f'"event":"{state}"'.encode(errors="replace")
