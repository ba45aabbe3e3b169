"""What is done to a log as it ages: its key is rotated, a person is erased, what is old is moved out. Each is itself an entry.

These run in the writer, inside its transaction. Nothing here changes an entry or a hash: an erasure deletes openings, and
what is pruned leaves its hashes in the tiles, so that every proof stays.
"""

from base64 import b64encode
from dataclasses import dataclass

import apsw

from elevate import canonical
from elevate.audit import body
from elevate.audit.body import Body
from elevate.audit.notes import Signer
from elevate.errors import AuditError
from elevate.lifecycle import TRANSITIONS
from elevate.ports import Draft, Instant
from elevate.store import logkey
from elevate.store.sqlite_file import PERSONAL_SCHEMA
from elevate.store.sqlite_ledger import Ledger
from elevate.store.tree import TILE

_OPEN = ", ".join(f"'{state.value}'" for state in TRANSITIONS)
SEED_BYTES = 32
_ACTOR = b'"actor"'
_NAME_AT = 48
"""An opening begins with 24 characters of salt and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure removed: openings of so many entries, of so many requests."""

    entries: int
    requests: int


def rotate_key(ledger: Ledger, at: Instant, seed: bytes, by: Body) -> str:
    """Hand over to a new log key, by an entry that the old one signs and that says by whom; give the new one in text form."""
    old, log = ledger.log.signer, ledger.log
    new = Signer.make(old.name, seed)
    names = str(old.verifier), str(new.verifier)
    signature = b64encode(old.key.sign(body.rotation_text(*names, log.size))).decode()
    logkey.prepare(ledger.path, new)
    position = log.write(Draft(event="log-key-rotated", request="", at=at, body=by | body.log_key(*names, signature)))
    ledger.connection.execute("INSERT INTO rotations VALUES(?, ?, ?, ?)", (position, *names, signature))
    ledger.connection.execute("UPDATE meta SET value = ? WHERE name = 'key'", (names[1],))
    return names[1]


def erase(ledger: Ledger, subject: str, at: Instant, by: Body) -> Erased:
    """Delete what opens a person's entries, and the person from the rows of the ledger.

    Of an entry that others made of a request of their own or of none, only the openings that name the person go: who looked for
    somebody's entries stays known when that somebody is erased.

    Args:
        ledger: Its files hold nothing of the person any more once the caller has emptied the write-ahead log.
        subject: The user's name, or the SID.
        at: When.
        by: Who erases, as parts of the entry; left out where that is the person, of whom nothing is to stay.

    Raises:
        AuditError: Nobody of that name is in the log, or a request of theirs has not ended.
    """
    connection = ledger.connection
    marks = _marks(subject)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS gone(seq INTEGER PRIMARY KEY); DELETE FROM temp.gone")
    connection.execute(
        "INSERT INTO temp.gone SELECT seq FROM openings WHERE instr(data, CAST(? AS BLOB)) OR instr(data, CAST(? AS BLOB))",
        [mark.decode() for mark in marks],
    )
    requests = _requests_of(ledger, subject)
    if any(connection.execute(f"SELECT 1 FROM requests WHERE n = ? AND state IN ({_OPEN})", (n,)).get for n in requests):  # noqa: S608 - constant names
        raise AuditError("a request of this person has not ended yet", hint="wait for its end, or revoke it")
    entries = _delete_of(connection, requests) + _delete_named(connection, marks)
    if not entries and not requests:
        raise AuditError("nobody of that name is in the log", hint="give the user's name or SID as it was logged")
    blank = "user = '', uid = -1, session = '', request_digest = '', result = '{}'"
    connection.executemany(f"UPDATE requests SET {blank} WHERE n = ?", [(n,) for n in requests])  # noqa: S608 - constant text
    connection.execute("DELETE FROM temp.gone")
    _rebuild(connection)
    own = any(mark in canonical.encode(by) for mark in marks)
    said: Body = {"erasure": {"entries": entries, "requests": len(requests), "by_subject": own}}
    said |= {} if own else by
    position = ledger.log.write(Draft(event="erased", request="", at=at, body=said))
    connection.execute("INSERT OR REPLACE INTO meta VALUES('erased', ?)", (str(position),))
    ledger.empty_wal = True
    return Erased(entries=entries, requests=len(requests))


def prune(ledger: Ledger, before: int, at: Instant, by: Body) -> int:
    """Take out what the caller has archived: entries, their openings, and the rows of requests that ended there.

    Args:
        ledger: Keeps every hash.
        before: Entries below this position go, as far as whole tiles do and no open request is touched.
        at: When.
        by: Who prunes, as parts of the entry.

    Returns:
        The position at which the log now begins.
    """
    stop = prunable(ledger, before)
    connection = ledger.connection
    began = int(connection.execute("SELECT value FROM meta WHERE name = 'pruned'").get or 0)
    if stop <= began:
        return began
    for table in ("entries", "openings", "loose"):
        connection.execute(f"DELETE FROM {table} WHERE seq < ?", (stop,))  # noqa: S608 - constant names
    connection.execute("DELETE FROM requests WHERE last < ?", (stop,))
    connection.execute("INSERT OR REPLACE INTO meta VALUES('pruned', ?)", (str(stop),))
    parts: Body = {"pruning": {"before": stop, "entries": stop - began}}
    ledger.log.write(Draft(event="log-pruned", request="", at=at, body=by | parts))
    ledger.empty_wal = True
    return stop


def prunable(ledger: Ledger, before: int) -> int:
    """Give how far a log can be pruned: whole tiles, below every open request, and never all of it."""
    first_open = ledger.connection.execute(f"SELECT min(CAST(positions AS INTEGER)) FROM requests WHERE state IN ({_OPEN})").get  # noqa: S608 - constant names
    limits = [before, ledger.log.size - 1, *([int(first_open)] if isinstance(first_open, int) else [])]
    return max(min(limits), 0) // TILE * TILE


def _rebuild(connection: apsw.Connection) -> None:
    """Copy what is left into new tables and drop the old ones.

    A deleted row is overwritten, but not the copies of it that earlier splits of a page have left in the page's free space;
    dropping a table overwrites its pages whole.
    """
    for table in ("openings", "requests"):
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    connection.execute("DROP INDEX requests_user; DROP INDEX requests_jti")
    connection.execute(PERSONAL_SCHEMA)
    for table in ("openings", "requests"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM old_{table} ORDER BY 1; DROP TABLE old_{table}")  # noqa: S608 - constant names


def _marks(subject: str) -> tuple[bytes, bytes]:
    """Give how an opening names a person."""
    name = canonical.encode(subject)
    return b'"user":' + name, b'"sid":' + name


def _delete_of(connection: apsw.Connection, requests: list[int]) -> int:
    """Delete all openings of some requests; give their number."""
    found = 0
    for n in requests:
        positions = str(connection.execute("SELECT positions FROM requests WHERE n = ?", (n,)).get)
        for word in positions.split():
            connection.execute("DELETE FROM openings WHERE seq = ?", (int(word),))
            found += connection.changes()
    return found


def _delete_named(connection: apsw.Connection, marks: tuple[bytes, bytes]) -> int:
    """Delete what names a person from the other entries; all of an entry that the person made."""
    named = connection.execute("SELECT o.seq, o.data FROM openings o JOIN temp.gone g USING (seq)").fetchall()
    for seq, data in named:
        openings = bytes(data).split(b"\n") if isinstance(data, bytes) else []
        hit = [opening for opening in openings if any(mark in opening for mark in marks)]
        left = [] if any(_ACTOR in opening[:_NAME_AT] for opening in hit) else [one for one in openings if one not in hit]
        if left:
            connection.execute("UPDATE openings SET data = ? WHERE seq = ?", (b"\n".join(left), seq))
        else:
            connection.execute("DELETE FROM openings WHERE seq = ?", (seq,))
    return len(named)


def _requests_of(ledger: Ledger, subject: str) -> list[int]:
    """Give the rows of a person: by name, and those that opened with the name or SID of who asked."""
    named = [
        int(str(n)) for (n,) in ledger.connection.execute("SELECT n FROM requests WHERE user = ? AND user <> ''", (subject,))
    ]
    member = "json_extract(CAST(e.data AS TEXT), '$.{}')"
    opened = f"SELECT {member.format('request')} FROM temp.gone g JOIN entries e USING (seq)"  # noqa: S608 - constant text
    query = f"SELECT n FROM requests WHERE request IN ({opened} WHERE {member.format('event')} = 'requested')"  # noqa: S608 - the same
    return sorted({*named, *(int(str(n)) for (n,) in ledger.connection.execute(query))})
