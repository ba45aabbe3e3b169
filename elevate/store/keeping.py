"""What is done to a log as it ages: its key is rotated, and what is old is moved out. Each is itself an entry.

These run in the writer, inside its transaction. Nothing here changes an entry or a hash: what is pruned leaves its hashes in
the tiles, so that every proof stays.
"""

from base64 import b64encode

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
