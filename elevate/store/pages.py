"""Pages of the log, each a bounded piece of work: for those who ask a running broker, which has more to do than to answer them.

A page ends when it is full, when so much was looked at, or at the end; what is left comes back as the `Span` for the next.
Together the pages are the whole answer, each entry once and in order, whatever is appended meanwhile. Between two pieces of
work `page` calls ``rest``, so that whoever waits for the interpreter gets it.

SECURITY: a page for one user takes entries by name and uid in the ledger's rows, in the database's own query: others' entries
are not read for it, so that neither words nor time tell anything of them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from elevate.audit.entry import Entry, as_bytes, leaf_hash, parse
from elevate.audit.entry import opened as open_entry
from elevate.audit.own import own_view
from elevate.audit.query import Query, own_term, terms_of
from elevate.errors import AuditError
from elevate.store.reader import MIN_PREFIX, LedgerReader
from elevate.store.searching import BLOCK, SearchIndex
from elevate.text import escape

PIECE = 64
"""Entries that are read at once; each may have 128 KiB."""
MAX_LOOKED = 4 * BLOCK
MAX_LOOKED_BYTES = 4 * 2**20
MAX_BLOCKS = 512
"""Without anything that is meant, by the index."""
MAX_BYTES = 256 * 1024
CATCH_UP = 1
"""Blocks by which one page brings the index forward."""

_ENTRIES = """
SELECT e.seq, e.data, o.data, r.request, r.user, r.uid, r.positions FROM entries e LEFT JOIN openings o ON o.seq = e.seq
LEFT JOIN requests r ON r.request = CAST(substr(e.data, instr(e.data, CAST('"request":"' AS BLOB)) + 11, 32) AS TEXT)
WHERE e.seq >= ? AND e.seq < ?"""
_OWN = " AND r.user = ? AND r.uid = ? AND r.user <> ''"
_ORDER = " ORDER BY e.seq"
_MINE = """
SELECT request FROM requests WHERE user = ? AND uid = ? AND user <> ''
AND (+request = ? OR +jti = ? OR substr(request, 1, ?) = ?) LIMIT 2"""
"""The signs leave only the index on users to be taken; by its name it can't be asked for, which an erasure changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Whose requests' entries are meant: the name and the uid of a row must both be this one's."""

    user: str
    uid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Positions that are still to be looked at: from ``start`` to before ``stop``."""

    start: int
    stop: int
    oldest_first: bool = False

    def after(self, position: int) -> "Span":
        """Give what is left once all up to and with ``position`` is done."""
        return replace(self, start=position + 1) if self.oldest_first else replace(self, stop=position)

    def holds(self, other: "Span") -> bool:
        """Say whether another looks nowhere else, in the same order."""
        return self.oldest_first is other.oldest_first and self.start <= other.start and other.stop <= self.stop

    def again(self, position: int) -> "Span":
        """Give what is left where this position is to be looked at again."""
        return replace(self, start=position) if self.oldest_first else replace(self, stop=position + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry that is meant.

    Attributes:
        entry: Opened, as far as whoever asks may see it.
        hash: Of the entry as it stands in the log.
        user: Whose request it belongs to; empty where nobody's.
        first: It is the first of its request, or belongs to no request of the ledger.
        size_bytes: As stored, with its openings.
    """

    entry: Entry
    hash: str
    user: str
    first: bool
    size_bytes: int


@dataclass(slots=True)
class Page:
    """Entries in order, and what is left; ``rest`` is None at the end."""

    found: list[Found] = field(default_factory=list)
    rest: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a page is made of.

    Attributes:
        query: As `elevate.audit.query.parse` gives it.
        whose: Only entries of this one's requests, as their requester may see them; None for all.
        limit: Entries on one page, at least 1.
    """

    query: Query
    whose: Whose | None = None
    limit: int = 256


def page(reader: LedgerReader, wanted: Wanted, span: Span, *, rest: Callable[[], object] = lambda: None) -> Page:
    """Give the next page of an answer.

    Args:
        reader: The ledger.
        wanted: What is asked.
        span: Where to look: all at first, then what the page before left.
        rest: Called between two pieces of work.

    Raises:
        AuditError: An entry is damaged.
    """
    made = Page(rest=None)
    looked = read = size = 0
    index = SearchIndex(reader, memory=not os.access(reader.path.parent, os.W_OK), most=0)
    try:
        for _ in range(CATCH_UP):
            index.catch_up(1)
            rest()
        for start, stop, bits in _pieces(index, wanted, span):
            if looked >= MAX_LOOKED or read >= MAX_LOOKED_BYTES:
                made.rest = span
                return made
            rows = _rows(reader, start, stop, wanted.whose)
            read += sum(len(as_bytes(data)) + len(as_bytes(openings)) for _, data, openings, *_ in rows)
            for found in _meant(rows if span.oldest_first else rows[::-1], start, bits, wanted):
                size += found.size_bytes
                if len(made.found) >= wanted.limit or (size > MAX_BYTES and made.found):
                    made.rest = span
                    return made
                made.found.append(found)
                span = span.after(found.entry.seq)
            looked += stop - start if bits else MAX_LOOKED
            span = span.after(stop - 1 if span.oldest_first else start)
            rest()
    finally:
        index.close()
    return made


def stands(reader: LedgerReader, position: int, whose: Whose | None) -> bool:
    """Say whether an entry is there, and is one of this one's requests."""
    rows = _rows(reader, position, position + 1, whose)
    return any(whose is None or parse(as_bytes(data)).request == request for _, data, _, request, *_ in rows)


def life(reader: LedgerReader, name: str, whose: Whose | None) -> tuple[str, list[tuple[Entry, bytes]]]:
    """Give one request's id and entries, each with its bytes.

    Args:
        reader: The ledger.
        name: Id of the request or of its token, or the beginning of the request's.
        whose: Look among this one's requests only.

    Raises:
        AuditError: None, or more than one; somebody else's is none.
    """
    request = reader.find(name) if whose is None else _find_own(reader, name, whose)
    pairs = [(open_entry(data, openings), data) for data, openings in reader.pairs_of(request)]
    return request, [(entry if whose is None else own_view(entry, whose.uid), data) for entry, data in pairs]


def _find_own(reader: LedgerReader, name: str, whose: Whose) -> str:
    # SECURITY: only the user's own rows are looked at, by the index on users; how long it takes says nothing of others' ids.
    length = len(name) if len(name) >= MIN_PREFIX else -1
    found = reader.rows(_MINE, whose.user, whose.uid, name, name, length, name) if name else []
    if len(found) != 1:
        word = "more than one request of yours begins" if found else "no request or token of yours is named"
        raise AuditError(f"{word} {escape(name)}", hint="elevate audit tail shows the ids")
    return str(found[0][0])


def _pieces(index: SearchIndex, wanted: Wanted, span: Span) -> Iterator[tuple[int, int, int]]:
    """Give stretches of positions in order, each with a bit for every one that may be meant; one without any ends a page."""
    query, whose = wanted.query, wanted.whose
    if whose is not None:
        query = replace(query, terms=query.terms | {own_term(whose.user, whose.uid)})
    first, last = span.start // BLOCK, (span.stop - 1) // BLOCK
    blocks: Sequence[int] = range(first, last + 1)
    for number, block in enumerate(blocks if span.oldest_first else reversed(blocks)):
        if number and number % MAX_BLOCKS == 0:
            edge = block * BLOCK if span.oldest_first else (block + 1) * BLOCK
            yield edge, edge, 0
        bits = index.candidates(query, block) if block < index.blocks else (1 << BLOCK) - 1
        if bits:
            yield from _stretches(block * BLOCK, bits, span)


def _stretches(base: int, bits: int, span: Span) -> Iterator[tuple[int, int, int]]:
    starts: Sequence[int] = range(base, base + BLOCK, PIECE)
    for begin in starts if span.oldest_first else reversed(starts):
        start, stop = max(begin, span.start), min(begin + PIECE, span.stop)
        piece = bits >> (start - base) & ((1 << max(stop - start, 0)) - 1)
        if piece:
            yield start, stop, piece


def _rows(reader: LedgerReader, start: int, stop: int, whose: Whose | None) -> list[tuple[Any, ...]]:
    if whose is None:
        return reader.rows(_ENTRIES + _ORDER, start, stop)
    return reader.rows(_ENTRIES + _OWN + _ORDER, start, stop, whose.user, whose.uid)


def _meant(rows: Sequence[tuple[Any, ...]], start: int, bits: int, wanted: Wanted) -> Iterator[Found]:
    whose = wanted.whose
    for seq, data, openings, request, *row in rows:
        if not bits >> int(seq) - start & 1:
            continue
        raw, hidden = as_bytes(data), as_bytes(openings)
        entry = open_entry(raw, hidden)
        if whose is not None:
            if entry.request != request:  # the query finds the row by the bytes of the entry; what they mean is read here
                continue
            entry = own_view(entry, whose.uid)
        user, uid, positions = str(row[0] or ""), -1 if row[1] is None else int(row[1]), str(row[2] or seq)
        if wanted.query.fits(entry, terms_of(entry, user, uid)):
            first = positions.split(" ", 1)[0] == str(seq)
            yield Found(entry=entry, hash=leaf_hash(raw), user=user, first=first, size_bytes=len(raw) + len(hidden))
