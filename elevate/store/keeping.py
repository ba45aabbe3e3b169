"""What is done to a log as it ages: its key is rotated, and what is old is moved out. Each is itself an entry.

These run in the writer, inside its transaction. Nothing here changes an entry or a hash: what is pruned leaves its hashes in
the tiles, so that every proof stays.
"""

from base64 import b64encode
from collections.abc import Mapping

import apsw

from elevate.audit import body
from elevate.audit.body import Body
from elevate.audit.notes import Signer
from elevate.lifecycle import TRANSITIONS
from elevate.ports import Draft, Instant
from elevate.store import logkey
from elevate.store.sqlite_ledger import Ledger
from elevate.store.tree import TILE

_OPEN = ", ".join(f"'{state.value}'" for state in TRANSITIONS)
SEED_BYTES = 32
_ENDED = """
DELETE FROM requests WHERE last < ?2 AND request IN
(SELECT json_extract(CAST(data AS TEXT), '$.request') FROM entries WHERE seq >= ?1 AND seq < ?2)
RETURNING request, positions
"""


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


def begin_prune(ledger: Ledger, stop: int, at: Instant, by: Body, lost: Mapping[str, int]) -> int:
    """Write what will be taken out; give where the log begins now.

    Args:
        ledger: Keeps every hash.
        stop: Entries below this position go, as `prunable` gave it; the caller has archived them.
        at: When.
        by: Who prunes, as parts of the entry.
        lost: What `elevate.store.lost.lost_below` says of them.
    """
    began = int(ledger.meta("pruned") or 0)
    if stop > began:
        parts: Body = {"pruning": {"before": stop, "entries": stop - began, **lost}}
        ledger.log.write(Draft(event="log-pruned", request="", at=at, body=by | parts))
    return began


def prune(ledger: Ledger, tiles: int, stop: int) -> int:
    """Take out some tiles: entries, openings, and the rows of requests that ended there; give where the log begins now."""
    began = int(ledger.meta("pruned") or 0)
    ends = min(began + tiles * TILE, stop)
    if ends > began:
        gone = ledger.connection.execute(_ENDED, (began, ends)).fetchall()
        # What was noted of a request behind its end stays, and so does whose it is.
        notes = [(request, int(word)) for request, words in gone for word in str(words).split() if int(word) >= ends]
        ledger.connection.executemany("INSERT OR IGNORE INTO loose(request, seq) VALUES(?, ?)", notes)
        for table in ("entries", "openings", "loose"):
            ledger.connection.execute(f"DELETE FROM {table} WHERE seq < ?", (ends,))  # noqa: S608 - constant names
        ledger.connection.execute("INSERT OR REPLACE INTO meta VALUES('pruned', ?)", (str(ends),))
    ledger.empty_wal = ledger.empty_wal or ends == stop
    return max(began, ends)


def prunable(connection: apsw.Connection, size: int, before: int) -> int:
    """Give how far a log can be pruned: whole tiles, below every open request, and never all of it.

    Args:
        connection: Any; a request that begins meanwhile stands behind all that is there.
        size: Number of entries.
        before: Not this entry, and none behind it.
    """
    first_open = connection.execute(f"SELECT min(CAST(positions AS INTEGER)) FROM requests WHERE state IN ({_OPEN})").get  # noqa: S608 - constant names
    limits = [before, size - 1, *([int(first_open)] if isinstance(first_open, int) else [])]
    return max(min(limits), 0) // TILE * TILE
