"""What is done to a log as it ages: its key is rotated, a person is erased, what is old is moved out. Each is itself an entry.

These run in the writer, inside its transaction. Nothing here changes an entry or a hash: an erasure deletes openings, and
what is pruned leaves its hashes in the tiles, so that every proof stays.
"""

from base64 import b64encode
from dataclasses import dataclass

import apsw

from elevate import canonical
from elevate.audit import body
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure removed: openings of so many entries, of so many requests."""

    entries: int
    requests: int


def rotate_key(ledger: Ledger, at: Instant, seed: bytes) -> str:
    """Hand over to a new log key, by an entry that the old one signs; give the new one in text form."""
    old, log = ledger.log.signer, ledger.log
    new = Signer.make(old.name, seed)
    names = str(old.verifier), str(new.verifier)
    signature = b64encode(old.key.sign(body.rotation_text(*names, log.size))).decode()
    logkey.prepare(ledger.path, new)
    position = log.write(Draft(event="log-key-rotated", request="", at=at, body=body.log_key(*names, signature)))
    ledger.connection.execute("INSERT INTO rotations VALUES(?, ?, ?, ?)", (position, *names, signature))
    ledger.connection.execute("UPDATE meta SET value = ? WHERE name = 'key'", (names[1],))
    return names[1]


def erase(ledger: Ledger, subject: str, at: Instant) -> Erased:
    """Delete what opens a person's entries, and the person from the rows of the ledger.

    Args:
        ledger: Its files hold nothing of the person any more once the caller has emptied the write-ahead log.
        subject: The user's name, or the SID.
        at: When.

    Raises:
        AuditError: Nobody of that name is in the log, or a request of theirs has not ended.
    """
    connection = ledger.connection
    name = canonical.encode(subject).decode()
    marks = (f'"user":{name}', f'"sid":{name}')
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS gone(seq INTEGER PRIMARY KEY); DELETE FROM temp.gone")
    connection.execute(
        "INSERT INTO temp.gone SELECT seq FROM openings WHERE instr(data, CAST(? AS BLOB)) OR instr(data, CAST(? AS BLOB))",
        marks,
    )
    requests = _requests_of(ledger, subject)
    if any(connection.execute(f"SELECT 1 FROM requests WHERE n = ? AND state IN ({_OPEN})", (n,)).get for n in requests):  # noqa: S608 - constant names
        raise AuditError("a request of this person has not ended yet", hint="wait for its end, or revoke it")
    for n in requests:
        positions = str(connection.execute("SELECT positions FROM requests WHERE n = ?", (n,)).get)
        connection.executemany("INSERT OR IGNORE INTO temp.gone VALUES(?)", [(int(word),) for word in positions.split()])
    connection.execute("DELETE FROM openings WHERE seq IN (SELECT seq FROM temp.gone)")
    entries = connection.changes()
    if not entries and not requests:
        raise AuditError("nobody of that name is in the log", hint="give the user's name or SID as it was logged")
    blank = "user = '', uid = -1, session = '', request_digest = '', result = '{}'"
    connection.executemany(f"UPDATE requests SET {blank} WHERE n = ?", [(n,) for n in requests])  # noqa: S608 - constant text
    connection.execute("DELETE FROM temp.gone")
    _rebuild(connection)
    counts = {"entries": entries, "requests": len(requests)}
    position = ledger.log.write(Draft(event="erased", request="", at=at, body={"erasure": {**counts}}))
    connection.execute("INSERT OR REPLACE INTO meta VALUES('erased', ?)", (str(position),))
    ledger.empty_wal = True
    return Erased(entries=entries, requests=len(requests))


def prune(ledger: Ledger, before: int, at: Instant) -> int:
    """Take out what the caller has archived: entries, their openings, and the rows of requests that ended there.

    Args:
        ledger: Keeps every hash.
        before: Entries below this position go, as far as whole tiles do and no open request is touched.
        at: When.

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
    parts: body.Body = {"pruning": {"before": stop, "entries": stop - began}}
    ledger.log.write(Draft(event="log-pruned", request="", at=at, body=parts))
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


def _requests_of(ledger: Ledger, subject: str) -> list[int]:
    """Give the rows of a person: by name, and those whose entries open to the name or SID."""
    named = [
        int(str(n)) for (n,) in ledger.connection.execute("SELECT n FROM requests WHERE user = ? AND user <> ''", (subject,))
    ]
    opened = "SELECT json_extract(CAST(e.data AS TEXT), '$.request') FROM temp.gone g JOIN entries e USING (seq)"
    query = f"SELECT n FROM requests WHERE request IN ({opened})"  # noqa: S608 - constant text
    return sorted({*named, *(int(str(n)) for (n,) in ledger.connection.execute(query))})
