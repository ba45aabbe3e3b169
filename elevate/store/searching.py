"""Search: an index beside the ledger, made from the log whenever somebody searches, never on the way of what is granted.

For each block of 1,024 entries and each term that occurs there the index holds 1,024 bits. What fills no block yet is looked at
itself. The index holds names, so an erasure deletes it; it can be deleted at any time.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw

from elevate.audit.entry import Entry, as_bytes
from elevate.audit.entry import opened as open_entry
from elevate.audit.query import Query, terms_of
from elevate.store.reader import LedgerReader

BLOCK = 1024
FORMAT = 2
"""Of the terms in the index; an index of another format is made again."""
_BYTES = BLOCK // 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS blocks(block INTEGER PRIMARY KEY, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS terms(id INTEGER PRIMARY KEY, term TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS bits(term INTEGER NOT NULL, block INTEGER NOT NULL, bits BLOB NOT NULL,
    PRIMARY KEY(term, block)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS source(generation TEXT NOT NULL);
"""
_ENTRIES = """
SELECT e.seq, e.data, o.data, r.user, r.uid FROM entries e LEFT JOIN openings o ON o.seq = e.seq
LEFT JOIN requests r ON r.request = CAST(substr(e.data, instr(e.data, CAST('"request":"' AS BLOB)) + 11, 32) AS TEXT)
WHERE e.seq >= ? AND e.seq < ? ORDER BY e.seq
"""
Found = tuple[Entry, frozenset[str]]


def index_path(ledger: Path) -> Path:
    """Give the index's file of a ledger."""
    return ledger.with_name(ledger.name + "-index")


def source_of(generation: str, erased: str) -> str:
    """Name what an index was made of: the ledger, and its last erasure; an index of anything else is made again."""
    return f"{FORMAT} {generation} {erased}"


def remove_index(ledger: Path) -> None:
    """Remove the index, and what SQLite may have left beside it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path = index_path(ledger)
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def forget_stale_index(ledger: Path, source: str) -> None:
    """Remove an index that was made before the last erasure, which a crash may have left."""
    path = index_path(ledger)
    if not path.exists():
        return
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        try:
            named = connection.execute("SELECT generation FROM source").get
        finally:
            connection.close()
    except apsw.Error:
        named = None
    if named != source:
        remove_index(ledger)


def read_block(reader: LedgerReader, start: int, stop: int, *, bits: int = -1, words: Sequence[bytes] = ()) -> Iterator[Found]:
    """Give entries with what they are found by.

    Args:
        reader: The ledger.
        start: First position.
        stop: Position after the last.
        bits: Which of the positions to look at, the lowest first.
        words: Texts in lower case, all of which the stored bytes must hold.
    """
    for seq, data, openings, user, uid in reader.rows(_ENTRIES, start, stop):
        if not bits >> int(seq) - start & 1:
            continue
        raw, hidden = as_bytes(data), as_bytes(openings)
        if words:
            text = (raw + hidden).lower()
            if not all(word in text for word in words):
                continue
        entry = open_entry(raw, hidden)
        yield entry, terms_of(entry, str(user or ""), -1 if uid is None else int(uid))


class SearchIndex:
    """The index of one ledger, brought up to date when it is opened.

    Args:
        reader: The ledger.
        memory: Keep the index in memory only, as where nothing can be written beside the ledger.
        most: Bring it forward by at most so many blocks; all of them where not given.
    """

    def __init__(self, reader: LedgerReader, *, memory: bool = False, most: int | None = None) -> None:
        self._reader = reader
        source = source_of(reader.meta("generation"), reader.meta("erased"))
        self._connection = _connect(reader.path, source, memory=memory)
        self.blocks = reader.size() // BLOCK
        self._terms = {str(term): int(str(number)) for number, term in self._connection.execute("SELECT id, term FROM terms")}
        self.catch_up(most)

    def close(self) -> None:
        """Close the index's file."""
        self._connection.close()

    def candidates(self, query: Query, block: int) -> int:
        """Give the entries of a block that have all terms, as bits; a query without terms has all of them."""
        times = self._connection.execute("SELECT first_us, last_us FROM blocks WHERE block = ?", (block,)).fetchall()
        if not times or not (int(str(times[0][0])) < query.until_us and int(str(times[0][1])) >= query.since_us):
            return 0
        found = (1 << BLOCK) - 1
        for term in query.terms:
            found &= self._bits(term, block)
        return found

    def matches(self, block: int, expected: dict[str, int], first_us: int, last_us: int) -> bool:
        """Say whether the index says of a block exactly this."""
        times = self._connection.execute("SELECT first_us, last_us FROM blocks WHERE block = ?", (block,)).fetchall()
        names = {number: term for term, number in self._terms.items()}
        query = "SELECT term, bits FROM bits WHERE block = ?"
        held = {
            names.get(int(str(term)), ""): int.from_bytes(as_bytes(bits), "big")
            for term, bits in self._connection.execute(query, (block,))
        }
        return held == expected and times == [(first_us, last_us)]

    def _bits(self, term: str, block: int) -> int:
        query = "SELECT bits FROM bits WHERE term = ? AND block = ?"
        return int.from_bytes(as_bytes(self._connection.execute(query, (self._terms.get(term, -1), block)).get), "big")

    def catch_up(self, most: int | None = None) -> None:
        """Bring it forward by at most so many blocks."""
        done = int(self._connection.execute("SELECT coalesce(max(block) + 1, 0) FROM blocks").get)
        whole = self._reader.size() // BLOCK
        self.blocks = whole if most is None else min(whole, done + most)
        for block in range(done, self.blocks):
            bits, first_us, last_us = bits_of(self._reader, block)
            with self._connection:
                self._connection.execute("INSERT INTO blocks VALUES(?, ?, ?)", (block, first_us, last_us))
                rows = [(self._term(term), block, found.to_bytes(_BYTES, "big")) for term, found in bits.items()]
                self._connection.executemany("INSERT INTO bits VALUES(?, ?, ?)", rows)

    def _term(self, term: str) -> int:
        if term not in self._terms:
            self._connection.execute("INSERT INTO terms(term) VALUES(?)", (term,))
            self._terms[term] = self._connection.last_insert_rowid()
        return self._terms[term]


def bits_of(reader: LedgerReader, block: int) -> tuple[dict[str, int], int, int]:
    """Give what the index holds of a block: bits by term, and the earliest and latest time."""
    bits: dict[str, int] = {}
    times = []
    for entry, terms in read_block(reader, block * BLOCK, (block + 1) * BLOCK):
        times.append(entry.unix_us)
        for term in terms:
            bits[term] = bits.get(term, 0) | 1 << entry.seq % BLOCK
    return bits, min(times, default=0), max(times, default=-1)


def search(reader: LedgerReader, query: Query, *, before: int | None = None) -> Iterator[Entry]:
    """Give the entries that a query means, the newest first, all of them.

    Args:
        reader: The ledger.
        query: As `elevate.audit.query.parse` gives it.
        before: Go on below this position, the last one that an earlier search gave.
    """
    size = reader.size() if before is None else before
    blocks = range((size + BLOCK - 1) // BLOCK - 1, -1, -1)
    for page in _pages(reader, query, blocks, size):
        yield from (entry for entry, _ in reversed(page))


def search_found(reader: LedgerReader, query: Query) -> Iterator[Found]:
    """Give the entries that a query means with what they are found by, the oldest first."""
    size = reader.size()
    for page in _pages(reader, query, range((size + BLOCK - 1) // BLOCK), size):
        yield from page


def _pages(reader: LedgerReader, query: Query, blocks: range, size: int) -> Iterator[list[Found]]:
    """Give what a query means in each of some blocks."""
    index = SearchIndex(reader, memory=not os.access(reader.path.parent, os.W_OK))
    words = [word.encode() for word in query.words if word.isascii()]  # others have capitals that bytes do not know
    try:
        for block in blocks:
            bits = index.candidates(query, block) if block < index.blocks else -1
            if bits:
                page = read_block(reader, block * BLOCK, min((block + 1) * BLOCK, size), bits=bits, words=words)
                yield [(entry, terms) for entry, terms in page if query.fits(entry, terms)]
    finally:
        index.close()


def index_agrees(reader: LedgerReader) -> bool:
    """Say whether the index, where there is one, says what the log says; what it lacks is no fault."""
    if not index_path(reader.path).exists():
        return True
    index = SearchIndex(reader)
    try:
        return all(index.matches(block, *bits_of(reader, block)) for block in range(index.blocks))
    finally:
        index.close()


def _connect(ledger: Path, source: str, *, memory: bool) -> apsw.Connection:
    path = index_path(ledger)
    if memory:
        connection = apsw.Connection(":memory:")
        connection.execute(_SCHEMA)
        return connection
    for _ in range(2):
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
            connection.set_busy_timeout(10_000)
            # A crash may lose what was added last, and it is added again: nobody's commit waits for the index's.
            connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL").fetchall()
            connection.execute(_SCHEMA).fetchall()
            named = connection.execute("SELECT generation FROM source").get
            if named is None:
                connection.execute("INSERT INTO source VALUES(?)", (source,))
            if named in {None, source}:
                return connection
            connection.close()
        except (apsw.Error, OSError):
            pass
        remove_index(ledger)  # Damaged, or of another ledger or before an erasure: it is made again from the log.
    return _connect(ledger, source, memory=True)
