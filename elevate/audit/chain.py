"""Check a chain of entries, and say which is the first bad one and what happened to it.

What the chain alone can tell: a byte edited, an entry deleted in the middle, two swapped, one inserted, a torn entry. What it
can't: a tail cut off, everything rewritten, an older copy. These need an anchor from outside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from elevate.audit.entry import EMPTY, Entry, leaf_hash, parse
from elevate.errors import AuditError


class Outcome(StrEnum):
    """What a verification found; `Verdict.exit_code` gives its exit status."""

    VERIFIED = "verified"
    TAMPERED = "tampered"
    INCOMPLETE = "incomplete"


class Tampering(StrEnum):
    """What happened to the first bad entry."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    TORN = "torn"
    CUT = "cut"
    REWRITTEN = "rewritten"
    OPENING = "opening"
    INDEX = "index"
    CHECKPOINT = "checkpoint"


_EXIT = {Outcome.VERIFIED: 0, Outcome.TAMPERED: 1, Outcome.INCOMPLETE: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a verification found.

    Attributes:
        size: Number of entries that were checked and are good.
        head: Hash of the last good one, in hexadecimal; `EMPTY` where there is none.
        root: Root of the tree over all of them, in hexadecimal, where it was computed.
        anchored: Number of entries that an anchor from outside vouches for.
        position: First bad entry; -1 where there is none.
        kind: What happened to it.
        message: One line for people.
    """

    outcome: Outcome
    size: int
    head: str
    root: str = ""
    anchored: int = 0
    position: int = -1
    kind: Tampering | None = None
    message: str = ""

    @property
    def exit_code(self) -> int:
        """0 verified, 1 tampered, 2 incomplete."""
        return _EXIT[self.outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What was kept outside: the log had ``size`` entries, the last with this hash."""

    size: int
    head: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """One entry of the window behind the first bad one; ``entry`` is None where the bytes are none."""

    entry: Entry | None
    hash: str


def verify_chain(entries: Iterable[bytes], anchor: Anchor | None = None) -> Verdict:
    """Check that each entry has its position and holds the hash of the one before.

    Args:
        entries: The stored bytes in order, from position 0.
        anchor: What is known from outside. Without one the outcome is at best `Outcome.INCOMPLETE`: a chain that was cut or
            rewritten as a whole looks the same as a good one.
    """
    stream = iter(entries)
    before, previous, position = "", EMPTY, 0
    for data in stream:
        seen = _look(data)
        if seen.entry is None or seen.entry.seq != position or seen.entry.was != previous:
            window = [seen, *(_look(more) for more in islice(stream, 2))]
            return _tampered(*_name(window, position, previous, before), position, previous)
        before, previous, position = previous, seen.hash, position + 1
        if anchor and position == anchor.size and previous != anchor.head:
            return _tampered(position - 1, Tampering.REWRITTEN, position, previous)
    return _whole(position, previous, anchor)


def _whole(size: int, head: str, anchor: Anchor | None) -> Verdict:
    if anchor is None:
        text = f"{size} entries form one chain; no anchor, so a cut tail or a rewritten log would not show"
        return Verdict(outcome=Outcome.INCOMPLETE, size=size, head=head, message=text)
    if size < anchor.size:
        return _tampered(size, Tampering.CUT, size, head)
    text = f"{size} entries verified, {anchor.size} of them anchored"
    return Verdict(outcome=Outcome.VERIFIED, size=size, head=head, anchored=anchor.size, message=text)


def name_first_bad(window: Sequence[bytes], position: int, previous: str, before: str = "") -> tuple[int, Tampering]:
    """Name the first bad entry, and what happened to it.

    Args:
        window: The entry at which the chain fails to hold, and up to two after it.
        position: Where the first of them stands.
        previous: Hash of the entry before it.
        before: Hash of the one before that, where it is known.
    """
    return _name([_look(data) for data in window], position, previous, before)


def _look(data: bytes) -> _Seen:
    try:
        return _Seen(parse(data), leaf_hash(data))
    except AuditError:
        return _Seen(None, leaf_hash(data))


def _tampered(position: int, kind: Tampering, size: int, head: str) -> Verdict:
    return Verdict(
        outcome=Outcome.TAMPERED,
        size=min(position, size),
        head=head,
        position=position,
        kind=kind,
        message=f"entry {position} was {kind}" if kind is not Tampering.TORN else f"entry {position} is torn",
    )


def _name(window: list[_Seen], position: int, previous: str, before: str) -> tuple[int, Tampering]:
    """Name the first bad entry; ``window`` begins where the chain first fails to hold."""
    first = window[0]
    after = window[1] if len(window) > 1 else None
    if first.entry is None:
        return position, Tampering.TORN
    if first.entry.seq > position:
        swapped = after is not None and after.entry is not None and after.entry.seq == position
        return position, Tampering.SWAPPED if swapped else Tampering.DELETED
    if first.entry.seq < position:
        # Where this one fits in the place of the one before it, which is another, that one is the stranger: its successor
        # follows it, or it is the last and follows the entry before both.
        fits = _follows(after, first.hash) or (after is None and first.entry.was == before)
        return position - (fits and first.entry.seq == position - 1 and first.hash != previous), Tampering.INSERTED
    return _name_in_place(first, after, position, previous)


def _name_in_place(first: _Seen, after: _Seen | None, position: int, previous: str) -> tuple[int, Tampering]:
    """The position is right and the hash of the entry before is not."""
    if after is not None and after.entry is not None and after.entry.seq == position and after.entry.was == previous:
        return position, Tampering.INSERTED
    # An entry that its successor vouches for is as it was written: then the one before it was edited.
    vouched = _follows(after, first.hash) or after is None
    if vouched and position > 0:
        return position - 1, Tampering.EDITED
    return position, Tampering.EDITED


def _follows(seen: _Seen | None, digest: str) -> bool:
    return seen is not None and seen.entry is not None and seen.entry.was == digest
