"""The ledger's rows against the log: each is as the entry where its log ends has left it, and names its request's entries.

The entry of a step holds the digest of the row that the step leaves (`elevate.store.rows.digest`). Rows of requests that have
ended are added up in the way in which `elevate.audit.ranges` adds up what the entries say, so that neither side need be kept in
memory, nor an entry be looked up for each row. The salt is random: whoever wrote the file could not know which sums will be
equal. Every other row, and all of them where the sums differ, is held against its entries one by one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from typing import Any

import orjson

from elevate.audit import bulk, merkle
from elevate.audit.entry import as_bytes, load
from elevate.audit.private import row_of
from elevate.canonical import MAX_INTEGER
from elevate.errors import AuditError
from elevate.lifecycle import ENDS_TOKEN, State, is_final
from elevate.store.reader import LedgerReader
from elevate.store.rows import BLANK, COLUMNS

_SELECT = f"SELECT {', '.join(COLUMNS)}, positions, last FROM requests WHERE n > ? AND n <= ? ORDER BY n"  # noqa: S608 - constant names
_LOOSE = "SELECT request, seq FROM loose WHERE seq >= ? AND (seq < ? OR seq NOT IN (SELECT seq FROM entries))"
_ENTRY = "SELECT data FROM entries WHERE seq = ?"
_DATA = "SELECT seq, data FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
_ERASED = """SELECT data FROM entries WHERE seq >= ? AND instr(data, CAST('"event":"erased"' AS BLOB))"""
BATCH = 256
_REQUEST, _STATE, _USER, _JTI, _POSITION = map(COLUMNS.index, ("request", "state", "user", "jti", "position"))
_WIDTH = len(COLUMNS)
_BLANK = [(COLUMNS.index(name), value) for name, value in BLANK.items()]
_FINAL = frozenset(state.value for state in State if is_final(state))
_STEPS = frozenset(state.value for state in State)
_BEGIN = hashlib.sha256().copy


@dataclass(slots=True, kw_only=True)
class Rows:
    """What some rows say.

    Attributes:
        links: Sum of ``hash((salt, request, position))`` over all entries that rows name as their request's.
        ends: Sum of ``hash((salt, position, state, digest))`` over all rows whose request has ended.
        blank: So many were blanked, as an erasure does.
        first_blank: The entry where the first of them ends.
        bad: The first row that is not as the log has left it.
        at: The entry where that one ends.
    """

    links: int = 0
    ends: int = 0
    blank: int = 0
    first_blank: int = -1
    bad: str = ""
    at: int = 0


def read_rows(reader: LedgerReader, numbers: range, salt: int, span: range, *, whole: bool = True) -> Rows:
    """Read the rows of some ``numbers``; what they say of entries outside of ``span`` is left out.

    Others come while a log is verified: a row may name entries behind the span that are there.

    Args:
        reader: Of the ledger.
        numbers: Rows behind the first of these numbers, up to the last one and with it.
        salt: Random, the same for all shares.
        span: The entries that are verified.
        whole: Nothing lies before the span but what was pruned: no row ends there.
    """
    found = Rows()
    with reader.each(_SELECT, numbers.start, numbers.stop) as stream:
        while rows := list(islice(stream, BATCH)):
            _take(reader, rows, found, (salt, span, whole))
    return found


def first_bad_row(reader: LedgerReader, span: range, *, whole: bool) -> tuple[int, str]:
    """Give where the first row ends that is not as the log has left it, and its request; all are held against their entries."""
    with reader.each(_SELECT, -MAX_INTEGER, MAX_INTEGER) as stream:
        for row in stream:
            if _within(row, span, whole=whole) and not _fits(reader, row, span):
                return _at(row), str(row[_REQUEST])
    return 0, ""


def first_unnamed(reader: LedgerReader, span: range) -> int:
    """Give the first entry of a request that the ledger does not name as some request's just once; 0 where there is none."""
    named = bytearray(len(span))
    with reader.each(_SELECT, -MAX_INTEGER, MAX_INTEGER) as rows, reader.each(_LOOSE, span.start, span.stop) as loose:
        for seq in chain(chain.from_iterable(_numbers(row[_WIDTH], span.start) for row in rows), (seq for _, seq in loose)):
            if seq in span:
                named[seq - span.start] = min(named[seq - span.start] + 1, 2)
    with reader.each(_DATA, span.start, span.stop) as entries:
        return next((seq for seq, data in entries if named[seq - span.start] != bool(load(as_bytes(data))["request"])), 0)


def loose_links(reader: LedgerReader, salt: int, span: range) -> int:
    """Give the sum over entries whose request has no row, as `Rows.links` has it."""
    with reader.each(_LOOSE, span.start, span.stop) as loose:
        return sum(hash((salt, request, seq)) for request, seq in loose)


def _take(reader: LedgerReader, rows: Sequence[tuple[Any, ...]], found: Rows, how: tuple[int, range, bool]) -> None:
    salt, span, whole = how
    linked, stop = _linked(rows, span.start), span.stop
    inside = [numbers if not numbers or numbers[-1] < stop else [one for one in numbers if one < stop] for numbers in linked]
    owners = chain.from_iterable(map(repeat, [row[_REQUEST] for row in rows], map(len, inside)))
    found.links += sum(map(hash, zip(repeat(salt), owners, chain.from_iterable(inside), strict=False)))
    for row, digest, numbers in zip(rows, _digests(rows), linked, strict=True):
        last, state = row[-1], row[_STATE]
        # Where its log ends with its last entry, the digest alone says that nothing follows.
        ends = digest and numbers and numbers[-1] == last and last < stop and numbers == sorted(numbers)
        if ends and state in _FINAL and row[_USER]:
            found.ends += hash((salt, last, state, digest))
        elif _within(row, span, whole=whole):
            _look_closely(reader, row, found, how)


def _look_closely(reader: LedgerReader, row: tuple[Any, ...], found: Rows, how: tuple[int, range, bool]) -> None:
    """Hold a row against its entries: an open one, a blanked one, one with notes behind its end, one that goes on meanwhile."""
    salt, span, _ = how
    if not _fits(reader, row, span):
        found.bad, found.at = found.bad or str(row[_REQUEST]), found.at if found.bad else _at(row)
        return
    last = row[-1]
    if last not in span:
        return
    if row[_STATE] in _FINAL:
        found.ends += hash((salt, last, row[_STATE], row_of(_entry(reader, last)["body"])))
    if _is_blank(row):
        found.blank += 1
        found.first_blank = last if found.first_blank < 0 else found.first_blank


def _digests(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Give what `elevate.store.rows.digest` gives; nothing for a row with another type in it than a step writes."""
    kept = [row[:_WIDTH] for row in rows]
    if set(map(type, chain.from_iterable(kept))) <= {str, int}:
        return [digest.hex() for digest in merkle.digests(_BEGIN, bulk.lists(kept))]
    return [found for row in rows for found in (_digests([row]) if set(map(type, row)) <= {str, int} else [""])]


def _within(row: tuple[Any, ...], span: range, *, whole: bool) -> bool:
    """Say whether a row is to be looked at: one that ended before the span was verified earlier."""
    return whole or type(row[-1]) is not int or row[-1] >= span.start


def _at(row: tuple[Any, ...]) -> int:
    return row[-1] if type(row[-1]) is int and row[-1] >= 0 else 0


def _fits(reader: LedgerReader, row: tuple[Any, ...], span: range) -> bool:
    """Say whether a row is as the entry where its log ends has left it, and no step of its request stands behind that.

    SECURITY: a row that was set back to one of its earlier steps, as a used token to an unused one, is as a true entry says.
    """
    last, numbers = row[-1], _numbers(row[_WIDTH], span.start)
    if type(last) is not int or last not in numbers or numbers != sorted(numbers) or numbers[-1] > MAX_INTEGER:
        return False
    end, *later = (_entry(reader, number) for number in numbers[numbers.index(last) :])
    if not all(later) or any(one["event"] in _STEPS and row_of(one["body"]) for one in later):
        return False
    if not end or (end["event"], end["request"]) != (row[_STATE], row[_REQUEST]):
        return False
    return _keeps_token(reader, row, span) if _is_blank(row) else [row_of(end["body"])] == _digests([row])


def _keeps_token(reader: LedgerReader, row: tuple[Any, ...], span: range) -> bool:
    """Say whether a row that was blanked is of a request that has ended, and still names the token that was issued."""
    position, jti = row[_POSITION], row[_JTI]
    if row[_STATE] not in ENDS_TOKEN:
        return row[_STATE] in _FINAL and (position, jti) == (-1, "")
    if type(position) is not int or 0 <= position < span.start:  # that entry is not there any more, or was read earlier
        return type(position) is int and bool(jti)
    issued = _entry(reader, position)
    token = issued["body"].get("token") if issued else None
    named = isinstance(token, dict) and (issued["event"], token.get("jti")) == (State.ISSUED, jti)
    return named and issued["request"] == row[_REQUEST]


def _is_blank(row: tuple[Any, ...]) -> bool:
    return all(row[at] == value for at, value in _BLANK)


def _entry(reader: LedgerReader, number: int) -> dict[str, Any]:
    """Give an entry's members; empty where there is none."""
    for (data,) in reader.rows(_ENTRY, number):
        try:
            return load(as_bytes(data))
        except AuditError:
            return {}
    return {}


def erased_since(reader: LedgerReader, size: int) -> tuple[int, int]:
    """Give how many entries have lost openings, and how many rows were blanked, by erasures from a position on.

    One that goes on is counted with them.
    """
    # In one transaction, or an erasure that ends in between would be missed.
    with reader.connection:
        ended = [load(as_bytes(data)) for (data,) in reader.rows(_ERASED, size)]
        going = reader.meta("erasing")
    told = [one["body"].get("erasure") for one in ended if one["event"] == "erased"] + [_read(going)]
    return _sum(told, "entries"), _sum(told, "requests")


def _read(text: str) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _sum(told: Iterable[object], name: str) -> int:
    counts: Iterator[object] = (one.get(name) for one in told if isinstance(one, dict))
    return sum(count for count in counts if isinstance(count, int))


def _linked(rows: Sequence[tuple[Any, ...]], start: int) -> list[list[int]]:
    """Give the entries that each row names."""
    try:
        found = [list(map(int, row[_WIDTH].split())) for row in rows]
    except (ValueError, AttributeError):
        return [_numbers(row[_WIDTH], start) for row in rows]
    return [[number for number in numbers if number >= start] for numbers in found] if start else found


def _numbers(text: object, start: int) -> list[int]:
    try:
        found = list(map(int, text.split()))  # type: ignore[attr-defined]  # what is no text is caught
    except (ValueError, AttributeError):
        return [-1]
    return [number for number in found if number >= start] if start else found
