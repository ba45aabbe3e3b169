"""What erasures have taken from the entries that a pruning takes away, so that what is gone later is accounted for, too."""

from collections.abc import Mapping

from elevate.audit.entry import as_bytes, load
from elevate.audit.notes import decimal
from elevate.audit.ranges import Asked, check_range
from elevate.store.reader import WITH_OPENINGS, LedgerReader
from elevate.store.rows import BLANK

_BLANKED = f"SELECT count(*) FROM requests WHERE last < ? AND {' AND '.join(f'{name} = ?' for name in BLANK)}"  # noqa: S608 - constant names
_PRUNED = """SELECT data FROM entries WHERE seq >= ? AND instr(data, CAST('"event":"log-pruned"' AS BLOB))"""
LOST, BLANK_ROWS = "lost", "blanked"


def lost_below(reader: LedgerReader, stop: int) -> dict[str, int]:
    """Say what is gone below a position, since the beginning of the log, less what erasures down there tell of.

    Args:
        reader: Of the ledger.
        stop: The beginning of a tile; entries below it are to be pruned.

    Returns:
        How many entries have lost openings, and how many rows are blank. What lies above is accounted for by erasures that lie
        there, too, less these numbers.
    """
    began = max(decimal(reader.meta("pruned") or "0"), 0)
    before = _said(reader, began)
    with reader.each(WITH_OPENINGS, began, stop) as entries:
        found = check_range(entries, began, stop, Asked(marks=(), tiles=iter(()), salt=0), lambda _: None)
    blank = int(reader.rows(_BLANKED, stop, *BLANK.values())[0][0])
    return {
        LOST: before.get(LOST, 0) + found.gone - found.erased,
        BLANK_ROWS: before.get(BLANK_ROWS, 0) + blank - found.blanked,
    }


def _said(reader: LedgerReader, began: int) -> dict[str, int]:
    """Give what the pruning said by which the log begins where it does; nothing where that broke off, or is of older days."""
    for (data,) in reader.rows(_PRUNED, began):
        entry = load(as_bytes(data))
        part = entry["body"].get("pruning") if entry["event"] == "log-pruned" else None
        if isinstance(part, Mapping) and part.get("before") == began:
            return {name: count for name in (LOST, BLANK_ROWS) if isinstance(count := part.get(name), int)}
    return {}
