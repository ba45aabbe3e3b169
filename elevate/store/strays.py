"""What stands in a ledger's tables and belongs to no log: nobody reads it as part of one, so nothing else would name it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from elevate.audit.chain import Tampering
from elevate.audit.notes import VerifierKey
from elevate.audit.ranges import Bad
from elevate.store import schema
from elevate.store.logkey import origin
from elevate.store.reader import LedgerReader

_META = frozenset({"generation", "first_key", "key", "pruned", "erased", "erasing"})
_OUTSIDE = (
    ("entries", "seq", Tampering.INSERTED, "it stands before the beginning of the log"),
    ("openings", "seq", Tampering.OPENING, "no entry is there that it could be of"),
    ("checkpoints", "size", Tampering.CHECKPOINT, "a log never has that size"),
    ("loose", "seq", Tampering.INDEX, "a request names it, and no such entry is there"),
    ("rotations", "seq", Tampering.INDEX, "a log key hands over where no entry is"),
)
"""Tables with the positions that they name."""
_LOOSE = """
SELECT l.seq, iif(r.n IS NOT NULL, ?, iif(instr(e.data, CAST('"_row":[' AS BLOB)), ?, ?)) FROM loose l
LEFT JOIN requests r ON r.request = l.request JOIN entries e ON e.seq = l.seq
WHERE r.n IS NOT NULL OR instr(e.data, CAST('"_row":[' AS BLOB))
OR NOT instr(e.data, CAST('"request":"' || l.request || '"' AS BLOB)) ORDER BY l.seq LIMIT 1
"""
"""What stands there is noted of requests that have no row; an entry that holds a row's digest is a step of one that has."""
_NOT_LOOSE = ("its request has a row, which must name it", "it is a step, which a row must name", "it is of another request")

Rotations = Sequence[tuple[int, Mapping[str, object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the ledger says of itself, as read with everything else.

    Attributes:
        meta: The table ``meta``.
        rotations: The table ``rotations``.
        schema: What the file is made of, as `schema.QUERY` gives it.
    """

    meta: Mapping[str, str]
    rotations: Rotations
    schema: Sequence[Sequence[object]]


def read(reader: LedgerReader) -> Named:
    """Read what the ledger says of itself."""
    found = reader.rows("SELECT seq, old, new, signature FROM rotations ORDER BY seq")
    rotations = [(int(seq), {"old": old, "new": new, "signature": signature}) for seq, old, new, signature in found]
    meta = {str(name): str(value) for name, value in reader.rows("SELECT name, value FROM meta")}
    return Named(meta=meta, rotations=rotations, schema=reader.rows(schema.QUERY))


def outside(reader: LedgerReader, archived: int, size: int) -> Bad | None:
    """Find the first row that names a position before the beginning of the log, or behind its end.

    Args:
        reader: In the transaction in which the size was read.
        archived: Where the log begins.
        size: Where it ends.
    """
    # Checkpoints and rotations of what was pruned stay; an opening behind the end is nobody's, a checkpoint there is forged.
    begins = {"entries": archived, "openings": archived, "loose": archived}
    for table, column, kind, why in _OUTSIDE:
        # Two questions: the answer to each is at one end of the table.
        first, last = reader.rows(f"SELECT (SELECT min({column}) FROM {table}), (SELECT max({column}) FROM {table})")[0]  # noqa: S608 - constant names
        for at in (first, last):
            if isinstance(at, int) and not begins.get(table, 0) <= at < size + (table == "checkpoints"):
                return Bad(position=at, kind=kind, why=f"{table}: {why}")
    # SECURITY: a row set back, as a used token to an unused one, could have the steps that it no longer names there.
    for at, why in reader.rows(_LOOSE, *_NOT_LOOSE):
        return Bad(position=at, kind=Tampering.INDEX, why=f"loose: {why}")
    return None


def named(said: Named, handed_over: Rotations, first: VerifierKey, erased_at: int, start: int) -> Bad | None:
    """Find what the ledger says of itself otherwise than its log.

    Args:
        said: By the ledger.
        handed_over: What the log's entries say of its keys, those before ``start`` by signatures that were checked.
        first: The log's first key.
        erased_at: The last entry that tells of an erasure; -1 where none does.
        start: Where reading began.
    """
    for one in said.rotations:
        if one not in handed_over:
            return Bad(position=max(one[0], 0), kind=Tampering.INDEX, why="rotations: the log does not hand its key over so")
    if missing := [one for one in handed_over if one not in said.rotations]:
        return Bad(position=missing[0][0], kind=Tampering.INDEX, why="rotations: the handing over of the log's key is missing")
    for name, value in _expected(handed_over, first, said, erased_at, start):
        if said.meta.get(name, "") != value:
            return Bad(position=0, kind=Tampering.INDEX, why=f"meta: {name} is not what the log says")
    # SECURITY: a trigger would run in the broker's own writer, and set right what it did before anybody verifies.
    if why := schema.wrong(said.schema, erasing="erasing" in said.meta):
        return Bad(position=0, kind=Tampering.INDEX, why=why)
    stray = sorted(said.meta.keys() - _META)
    return Bad(position=0, kind=Tampering.INDEX, why=f"meta: {stray[0][:40]!r} is no name of ours") if stray else None


def _expected(handed_over: Rotations, first: VerifierKey, said: Named, erased_at: int, start: int) -> Iterator[tuple[str, str]]:
    yield "generation", first.name.removeprefix(origin(""))
    yield "first_key", str(first)
    yield "key", str(handed_over[-1][1].get("new")) if handed_over else str(first)
    before = said.meta.get("erased", "")
    earlier = erased_at < 0 and start > 0 and before.isdecimal() and int(before) < start
    yield "erased", before if earlier else str(erased_at) if erased_at >= 0 else ""
