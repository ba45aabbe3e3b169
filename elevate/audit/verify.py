"""Check a stored log as a whole: each range of entries by itself, then how the ranges, the tree and the checkpoints fit.

Ranges are checked one by one (`elevate.audit.ranges`); `join` puts the results together and gives the verdict. Nothing is
called verified that was not checked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from elevate.audit import merkle
from elevate.audit.chain import Outcome, Tampering, Verdict
from elevate.audit.entry import EMPTY
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.ranges import TILE, Bad, Range
from elevate.audit.rotation import handed_over
from elevate.errors import AuditError

MAX_UNSIGNED = 2 * TILE
"""A checkpoint comes with every tile; a longer way without one means that one was taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known from outside: a root at a size, and where it is from."""

    size: int
    root: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the ledger holds beside the entries.

    Attributes:
        size: Number of entries.
        start: The first that was read: the beginning of a tile, or ``size`` where none was.
        before: Tile roots of what lies before the first range: archived, or checked earlier.
        last: Hash of the last entry before the first range; empty where the range begins the log.
        roots: Roots of the stored full tiles, in order.
        checkpoints: Sizes and notes, in order.
        key: The log's first key.
        rotations: Handings over of the log's key before the first range.
        early: Roots of anchored sizes before the first range, from the stored tiles.
        signed: What `read_signed` found of the checkpoints; what it did not is checked here.
    """

    size: int
    start: int
    before: Sequence[bytes]
    last: str
    roots: Sequence[bytes]
    checkpoints: Sequence[tuple[int, str]]
    key: VerifierKey
    rotations: Sequence[tuple[int, Mapping[str, object]]] = ()
    early: Mapping[int, bytes] = field(default_factory=dict)
    signed: Mapping[int, "Signed"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A checkpoint whose signature by this key was verified."""

    key: VerifierKey
    checkpoint: Checkpoint


def read_signed(checkpoints: Iterable[tuple[int, str]], keys: Sequence[VerifierKey]) -> dict[int, Signed]:
    """Verify signatures ahead, as one of several processes can; whether the right key signed, `join` says.

    Args:
        checkpoints: Sizes and notes.
        keys: Those that may have signed.
    """
    found = {}
    for size, text in checkpoints:
        try:
            note = Note.parse(text)
            key = next(key for key in keys if note.signed_by(key))
            note.verify(key)
            found[size] = Signed(key=key, checkpoint=Checkpoint.parse(note.text))
        except (AuditError, StopIteration):
            continue  # `join` meets it again, and says what is wrong with it
    return found


def join(ranges: Sequence[Range], stored: Stored, known: Sequence[Known]) -> Verdict:
    """Put ranges together and give the verdict.

    Args:
        ranges: In order, without gaps, up to ``stored.size``.
        stored: What the ledger says beside.
        known: Anchors from outside, and no others.
    """
    bad = _first_bad(ranges, stored) or _check_tiles(ranges, stored)
    roots = Roots(ranges, stored)
    good = 0
    if bad is None:
        good, bad = _check_checkpoints(ranges, stored, roots)
    anchored = 0
    if bad is None:
        anchored, bad = _check_known(known, stored.size, roots)
    return _verdict(ranges, stored, roots, bad, (good, anchored))


class Roots:
    """Gives the root at every size that was marked."""

    def __init__(self, ranges: Sequence[Range], stored: Stored) -> None:
        self._parts: dict[int, list[bytes]] = {size: [root] for size, root in stored.early.items()}
        frontier = merkle.Frontier()
        frontier.extend(stored.before)
        wanted = {size: parts for one in ranges for size, parts in one.marks.items()}
        tiles = [root for one in ranges for root in one.tiles]
        sizes = sorted(wanted)
        for root in [*tiles, None]:
            while sizes and sizes[0] <= (frontier.size + 1) * TILE:
                size = sizes.pop(0)
                self._parts[size] = [*frontier.parts(), *wanted[size]]
            if root is not None:
                frontier.add(root)
        edge = ranges[-1].edge if ranges else []
        self.whole = merkle.fold([*frontier.parts(), *merkle.parts(merkle.levels(edge), len(edge))])

    def at(self, size: int) -> bytes | None:
        """Give a root; None where the size was not marked."""
        parts = self._parts.get(size)
        return None if parts is None else merkle.fold(parts)


def _first_bad(ranges: Sequence[Range], stored: Stored) -> Bad | None:
    last = stored.last
    for one in ranges:
        if one.start < one.stop and one.was and one.was != (last or EMPTY):
            return Bad(position=max(one.start - 1, 0), kind=Tampering.EDITED)
        if one.bad is not None:
            return one.bad
        last = one.last or last
    return None


def _check_tiles(ranges: Sequence[Range], stored: Stored) -> Bad | None:
    tiles = [*stored.before, *(root for one in ranges for root in one.tiles)]
    for number, (ours, theirs) in enumerate(zip(tiles, stored.roots, strict=False)):
        if ours != theirs:
            why = f"the tile of the entries {number * TILE} to {number * TILE + TILE - 1} is not theirs"
            return Bad(position=number * TILE, kind=Tampering.INDEX, why=why)
    if len(tiles) != len(stored.roots):
        return Bad(position=min(len(tiles), len(stored.roots)) * TILE, kind=Tampering.INDEX, why="a tile is missing")
    return None


def _check_checkpoints(ranges: Sequence[Range], stored: Stored, roots: Roots) -> tuple[int, Bad | None]:
    """Give the size up to which checkpoints are good, and the first bad one."""
    keys = [(0, stored.key)]
    good = first = stored.start
    rotations = [*stored.rotations, *(rotation for one in ranges for rotation in one.rotations)]
    for size, text in [*stored.checkpoints, (stored.size, "")]:
        if size < first:
            continue
        if size - good > MAX_UNSIGNED and size - first > MAX_UNSIGNED:
            return good, Bad(
                position=good, kind=Tampering.CHECKPOINT, why=f"no checkpoint after entry {good} is there any more"
            )
        try:
            while rotations and rotations[0][0] < size:
                position, body = rotations.pop(0)
                keys.append((position, handed_over(keys[-1][1], position, body)))
            if text:
                _check_note(text, size, keys[-1][1], stored.signed.get(size), roots)
        except AuditError as exc:
            kind = Tampering.REWRITTEN if "root" in exc.message else Tampering.CHECKPOINT
            return good, Bad(position=good, kind=kind, why=exc.message)
        good = size if text else good
    return good, None


def _check_note(text: str, size: int, key: VerifierKey, signed: Signed | None, roots: Roots) -> None:
    if signed is None or signed.key != key:
        note = Note.parse(text)
        note.verify(key)
        signed = Signed(key=key, checkpoint=Checkpoint.parse(note.text))
    checkpoint = signed.checkpoint
    if checkpoint.size != size or checkpoint.origin != key.name:
        raise AuditError("a checkpoint is of another size or log")
    if checkpoint.root != roots.at(size):
        raise AuditError(f"the entries do not lead to the root that was signed for {size}")


def _check_known(known: Sequence[Known], size: int, roots: Roots) -> tuple[int, Bad | None]:
    anchored = 0
    for one in sorted(known, key=lambda anchor: anchor.size):
        if one.size > size:
            return anchored, Bad(position=size, kind=Tampering.CUT, why=f"{one.source} saw {one.size} entries")
        if one.size and one.root != roots.at(one.size):
            return anchored, Bad(position=anchored, kind=Tampering.REWRITTEN, why=f"{one.source} saw other entries")
        anchored = one.size
    return anchored, None


def _verdict(ranges: Sequence[Range], stored: Stored, roots: Roots, bad: Bad | None, sizes: tuple[int, int]) -> Verdict:
    good, anchored = sizes
    head = next((one.last for one in reversed(ranges) if one.last), stored.last or EMPTY)
    if bad is not None:
        return tampered(bad, head)
    read = f"{stored.size - stored.start} entries verified" + (f", from {stored.start} on" if stored.start else "")
    signed = f"signed up to {good}" if good else "nothing signed yet"
    since = f"no anchor since entry {anchored}" if anchored else "no anchor, so a cut tail or a rewritten log would not show"
    text = f"{read}; {signed}; " + ("anchored" if anchored == stored.size and anchored else since)
    return Verdict(
        outcome=Outcome.VERIFIED if anchored else Outcome.INCOMPLETE,
        size=stored.size,
        head=head,
        root=roots.whole.hex(),
        anchored=anchored,
        message=text,
    )


def tampered(bad: Bad, head: str) -> Verdict:
    """Give the verdict on a log with something bad in it; ``head`` is the hash of the last entry that was read."""
    text = f"entry {bad.position} was {bad.kind}" if bad.kind in _DONE else f"entry {bad.position}: {_WORDS[bad.kind]}"
    return Verdict(
        outcome=Outcome.TAMPERED,
        size=max(bad.position, 0),
        head=head,
        position=bad.position,
        kind=bad.kind,
        message=f"{text} ({bad.why})" if bad.why else text,
    )


_DONE = frozenset(
    {Tampering.EDITED, Tampering.DELETED, Tampering.INSERTED, Tampering.SWAPPED, Tampering.REWRITTEN, Tampering.CUT}
)
_WORDS = {
    Tampering.TORN: "its bytes are torn",
    Tampering.OPENING: "its openings are not what it commits to",
    Tampering.INDEX: "index or ledger disagrees with the log",
    Tampering.CHECKPOINT: "the checkpoints behind it are not as they were signed",
}
