"""A person is erased in steps, so that nobody waits long for the ledger meanwhile, and a crash in between loses nothing.

First the openings that name the person and those of the person's requests go, some at a time. Then the tables that held them
are built anew: a deleted row is overwritten, but not the copies of it that earlier splits of a page have left in the page's
free space. So what is left is copied to a new table, some rows at a time, while triggers carry over what changes; the new one
takes the place of the old one, which is then emptied, and that overwrites its pages. At last the entry is written. What is left
to do stands in the ledger (`meta`, ``erasing``), with the name, until it is done; the next start goes on with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import orjson

from elevate import canonical
from elevate.audit.body import Body
from elevate.audit.entry import as_bytes, load
from elevate.errors import AuditError
from elevate.lifecycle import State, is_final
from elevate.ports import Draft, Instant
from elevate.store.reader import LedgerReader
from elevate.store.rows import BLANK
from elevate.store.schema import PERSONAL_TABLES, carriers
from elevate.store.sqlite_ledger import Ledger

STEP_REQUESTS = 32
"""So many requests are forgotten at once: some milliseconds."""
PAGE_ENTRIES = 2048

_BLANK = f"UPDATE requests SET {', '.join(f'{name} = ?' for name in BLANK)} WHERE n = ?"  # noqa: S608 - constant names
_NAME = "erasing"
_ACTOR = b'"actor"'
_NAME_AT = 48
"""An opening begins with 24 characters of salt and its name."""
_NAMED = """
SELECT o.seq, e.data FROM openings o JOIN entries e USING (seq)
WHERE o.seq > ? AND o.seq <= ? AND (instr(o.data, CAST(? AS BLOB)) OR instr(o.data, CAST(? AS BLOB)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure removed.

    Attributes:
        entries: Entries that lost openings, of so many ``requests``.
        before: Nothing names the person below this position.
        later: So many entries do from there on: they were written while the erasure was ending.
    """

    entries: int
    requests: int
    before: int
    later: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """How far an erasure is.

    Attributes:
        subject: The user's name, or the SID.
        by: Who erases, as parts of the entry.
        size: Entries below this position are meant.
        last: Rows up to this one are meant.
        entries: Entries whose openings are gone.
        requests: Rows that no longer name the person.
        tables: Of so many tables the new one has taken the old one's place.
        copied: Rows of the next one up to this key have been copied; None where that has not begun.
        until: Rows up to this one are copied; later ones are carried over as they come.
    """

    subject: str
    at: Instant
    by: Body
    size: int
    last: int
    entries: int = 0
    requests: int = 0
    tables: int = 0
    copied: int | None = None
    until: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Where a person stands: entries that name the person, and rows of the person's requests."""

    seqs: Sequence[int]
    rows: Sequence[int]


def unfinished(ledger: Ledger) -> Erasure | None:
    """Give what a crash has broken off."""
    text = ledger.meta(_NAME)
    if not text:
        return None
    members = orjson.loads(text)
    return Erasure(**(members | {"at": Instant(**members["at"])}))


def reach(reader: LedgerReader) -> tuple[int, int]:
    """Give how far an erasure reaches that begins now: entries below a position, and rows up to one."""
    return reader.size(), int(reader.rows("SELECT coalesce(max(n), 0) FROM requests")[0][0])


def named_from(reader: LedgerReader, subject: str, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Give the positions and bytes of the entries that name a person."""
    marks = [mark.decode() for mark in _marks(subject)]
    for first in range(start, stop, PAGE_ENTRIES):
        for seq, data in reader.rows(_NAMED, first - 1, min(first + PAGE_ENTRIES, stop) - 1, *marks):
            yield int(seq), as_bytes(data)


def look(reader: LedgerReader, subject: str, *, size: int, last: int, start: int = 0) -> Named:
    """Find a person, beside the writer.

    Args:
        reader: Of the ledger.
        subject: The user's name, or the SID.
        size: Only entries below this position.
        last: Only rows up to this one.
        start: Entries below this position do not name the person any more.

    Raises:
        AuditError: A request of theirs has not ended.
    """
    seqs, found = [], set()
    for seq, data in named_from(reader, subject, start, size):
        seqs.append(seq)
        entry = load(data)
        if entry["event"] == State.REQUESTED:
            found |= set(reader.rows("SELECT n, state FROM requests WHERE request = ?", entry["request"]))
    found |= set(reader.rows("SELECT n, state FROM requests WHERE user = ? AND user <> ''", subject))
    rows = {int(n): str(state) for n, state in found if n <= last}
    if not all(is_final(State(state)) for state in rows.values()):
        raise AuditError("a request of this person has not ended yet", hint="wait for its end, or revoke it")
    return Named(seqs=seqs, rows=sorted(rows))


def begin(ledger: Ledger, erasure: Erasure, named: Named) -> None:
    """Write down what is to be done.

    Raises:
        AuditError: Nobody of that name is in the log.
    """
    if not named.seqs and not named.rows:
        raise AuditError("nobody of that name is in the log", hint="give the user's name or SID as it was logged")
    _keep(ledger, erasure)


def extend(ledger: Ledger, size: int, last: int) -> None:
    """Let an erasure reach further, once what it reached is gone: what was written meanwhile goes the same way."""
    _keep(ledger, replace(_state(ledger), size=size, last=last, tables=0, copied=None, until=-1))


def steps(named: Named) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Divide what is to be forgotten: rows of requests, then entries."""
    for rows in _chunks(named.rows):
        yield rows, ()
    for seqs in _chunks(named.seqs):
        yield (), seqs


def forget(ledger: Ledger, rows: Sequence[int], seqs: Sequence[int]) -> None:
    """Delete the openings of some requests and what names the person in some entries; blank the rows."""
    erasure = _state(ledger)
    gone = _delete_of(ledger, rows) + _delete_named(ledger, seqs, _marks(erasure.subject))
    ledger.connection.executemany(_BLANK, [(*BLANK.values(), n) for n in rows])
    _keep(ledger, replace(erasure, entries=erasure.entries + gone, requests=erasure.requests + len(rows)))


def renew(ledger: Ledger, rows: int) -> bool:
    """Do one step of building the tables anew, so many rows; say whether there is more to do."""
    erasure = _state(ledger)
    if _empty_old(ledger, rows):
        return True
    if erasure.tables == len(PERSONAL_TABLES):
        return False
    table = list(PERSONAL_TABLES)[erasure.tables]
    if erasure.copied is None:
        erasure = replace(erasure, copied=-1, until=_prepare(ledger, table, erasure.size))
    elif erasure.copied < erasure.until:
        erasure = replace(erasure, copied=_copy(ledger, table, erasure, rows))
    else:
        _swap(ledger, table)
        erasure = replace(erasure, copied=None, tables=erasure.tables + 1)
    _keep(ledger, erasure)
    return True


def finish(ledger: Ledger) -> Erased:
    """Write the entry; the caller empties the write-ahead log and removes the search index."""
    erasure = _state(ledger)
    own = any(mark in canonical.encode(erasure.by) for mark in _marks(erasure.subject))
    said: Body = {
        "erasure": {"entries": erasure.entries, "requests": erasure.requests, "before": erasure.size, "by_subject": own}
    }
    said |= {} if own else erasure.by
    position = ledger.log.write(Draft(event="erased", request="", at=erasure.at, body=said))
    ledger.connection.execute("INSERT OR REPLACE INTO meta VALUES('erased', ?)", (str(position),))
    ledger.connection.execute("DELETE FROM meta WHERE name = ?", (_NAME,))
    ledger.empty_wal = True
    return Erased(entries=erasure.entries, requests=erasure.requests, before=erasure.size)


def _state(ledger: Ledger) -> Erasure:
    found = unfinished(ledger)
    if found is None:
        raise AuditError("no erasure is going on")
    return found


def _keep(ledger: Ledger, erasure: Erasure) -> None:
    ledger.connection.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (_NAME, orjson.dumps(asdict(erasure)).decode()))


def _chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    stream = iter(numbers)
    while chunk := list(islice(stream, STEP_REQUESTS)):
        yield chunk


def _marks(subject: str) -> tuple[bytes, bytes]:
    """Give how an opening names a person."""
    name = canonical.encode(subject)
    return b'"user":' + name, b'"sid":' + name


def _delete_of(ledger: Ledger, rows: Sequence[int]) -> int:
    """Delete all openings of some requests; give their number."""
    found = 0
    for n in rows:
        positions = ledger.connection.execute("SELECT positions FROM requests WHERE n = ?", (n,)).get
        for word in str(positions or "").split():
            ledger.connection.execute("DELETE FROM openings WHERE seq = ?", (int(word),))
            found += ledger.connection.changes()
    return found


def _delete_named(ledger: Ledger, seqs: Sequence[int], marks: tuple[bytes, bytes]) -> int:
    """Delete what names a person from the other entries; all of an entry that the person made."""
    found = 0
    for seq in seqs:
        data = ledger.connection.execute("SELECT data FROM openings WHERE seq = ?", (seq,)).get
        openings = data.split(b"\n") if isinstance(data, bytes) else []
        hit = [opening for opening in openings if any(mark in opening for mark in marks)]
        left = [] if any(_ACTOR in opening[:_NAME_AT] for opening in hit) else [one for one in openings if one not in hit]
        if left:
            ledger.connection.execute("UPDATE openings SET data = ? WHERE seq = ?", (b"\n".join(left), seq))
        else:
            ledger.connection.execute("DELETE FROM openings WHERE seq = ?", (seq,))
        found += bool(hit)
    return found


def _prepare(ledger: Ledger, table: str, mark: int) -> int:
    """Make the new table, and let it follow the old one from now on; give the last key that must be copied."""
    script, key = PERSONAL_TABLES[table]
    ledger.connection.execute(script.format(table=f"{table}_next", mark=f"_{mark}"))
    for _, trigger in carriers(table):
        ledger.connection.execute(trigger)
    return int(ledger.connection.execute(f"SELECT coalesce(max({key}), -1) FROM {table}").get)  # noqa: S608 - the same


def _copy(ledger: Ledger, table: str, erasure: Erasure, rows: int) -> int:
    """Copy some rows; give the key of the last."""
    key, after = PERSONAL_TABLES[table][1], erasure.copied
    some = f"SELECT {key} FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?"  # noqa: S608 - constant names
    last: Any = ledger.connection.execute(f"SELECT max({key}) FROM ({some})", (after, rows)).get  # noqa: S608 - the same
    last = erasure.until if last is None else last
    query = f"INSERT OR IGNORE INTO {table}_next SELECT * FROM {table} WHERE {key} > ? AND {key} <= ? ORDER BY {key}"  # noqa: S608 - the same
    ledger.connection.execute(query, (after, last))
    return int(last)


def _swap(ledger: Ledger, table: str) -> None:
    for name, _ in carriers(table):
        ledger.connection.execute(f"DROP TRIGGER {name}")
    ledger.connection.execute(f"ALTER TABLE {table} RENAME TO {table}_old")
    ledger.connection.execute(f"ALTER TABLE {table}_next RENAME TO {table}")


def _empty_old(ledger: Ledger, rows: int) -> bool:
    """Delete some rows of an old table, and the table when it is empty; say whether there was one."""
    for table, (_, key) in PERSONAL_TABLES.items():
        if not ledger.connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (f"{table}_old",)).get:
            continue
        some = f"SELECT {key} FROM {table}_old ORDER BY {key} LIMIT ?"  # noqa: S608 - constant names
        ledger.connection.execute(f"DELETE FROM {table}_old WHERE {key} IN ({some})", (rows,))  # noqa: S608 - the same
        if ledger.connection.changes() == 0:
            ledger.connection.execute(f"DROP TABLE {table}_old")
        return True
    return False
