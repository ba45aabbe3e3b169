"""Every kind of tampering is found at its first bad entry and called by its name."""

import pytest

from elevate.audit import EMPTY, Outcome, Tampering, leaf_hash, parse, verify_chain
from elevate.audit.chain import Anchor
from elevate.errors import AuditError
from tests.ledgers import draft, sealed

SIZE = 8


def chain(size: int = SIZE, word: str = "e") -> list[bytes]:
    entries, previous = [], EMPTY
    for position in range(size):
        made = sealed(draft(f"{word}{position}", "r"), position, previous)
        entries.append(made.data)
        previous = made.hash
    return entries


GOOD = chain()
ANCHOR = Anchor(size=SIZE, head=leaf_hash(GOOD[-1]))


def edited(position: int) -> list[bytes]:
    return [data.replace(b'"event":"e', b'"event":"f') if at == position else data for at, data in enumerate(GOOD)]


def forged(position: int) -> list[bytes]:
    """One more entry, made to follow the one before it."""
    previous = leaf_hash(GOOD[position - 1])
    return [*GOOD[:position], sealed(draft("forged"), position, previous).data, *GOOD[position:]]


def swapped(position: int) -> list[bytes]:
    return [*GOOD[:position], GOOD[position + 1], GOOD[position], *GOOD[position + 2 :]]


def test_a_good_chain_without_an_anchor_is_incomplete() -> None:
    """Nobody can tell a cut or rewritten log from a whole one without help from outside."""
    verdict = verify_chain(GOOD)
    assert (verdict.outcome, verdict.exit_code, verdict.size) == (Outcome.INCOMPLETE, 2, SIZE)
    assert "no anchor" in verdict.message


def test_a_good_chain_with_its_anchor_is_verified() -> None:
    """Also one that has grown since."""
    verdict = verify_chain([*GOOD, sealed(draft("more"), SIZE, ANCHOR.head).data], ANCHOR)
    assert (verdict.outcome, verdict.exit_code, verdict.size, verdict.anchored) == (Outcome.VERIFIED, 0, SIZE + 1, SIZE)


@pytest.mark.parametrize("position", range(1, SIZE))
def test_42_a_deleted_entry_is_named(position: int) -> None:
    """At its position; the last one's loss is a cut, which only an anchor shows."""
    entries = [*GOOD[:position], *GOOD[position + 1 :]]
    verdict = verify_chain(entries, ANCHOR)
    kind = Tampering.CUT if position == SIZE - 1 else Tampering.DELETED
    assert (verdict.exit_code, verdict.position, verdict.kind) == (1, position, kind)


@pytest.mark.parametrize("position", range(SIZE - 1))
def test_42_two_swapped_entries_are_named(position: int) -> None:
    """The first of the two is the first bad one."""
    verdict = verify_chain(swapped(position))
    assert (verdict.outcome, verdict.position, verdict.kind) == (Outcome.TAMPERED, position, Tampering.SWAPPED)


@pytest.mark.parametrize("position", range(1, SIZE))
def test_42_an_inserted_entry_is_named(position: int) -> None:
    """It takes the position of another, which says where it stood itself."""
    verdict = verify_chain(forged(position))
    assert (verdict.outcome, verdict.position, verdict.kind) == (Outcome.TAMPERED, position, Tampering.INSERTED)


@pytest.mark.parametrize("position", range(SIZE - 1))
def test_42_an_edited_entry_is_named(position: int) -> None:
    """Not its successor, whose hash it no longer matches."""
    verdict = verify_chain(edited(position))
    assert (verdict.outcome, verdict.position, verdict.kind) == (Outcome.TAMPERED, position, Tampering.EDITED)


def test_42_the_last_entry_edited_needs_the_anchor() -> None:
    """Nothing follows that could disagree."""
    assert verify_chain(edited(SIZE - 1)).outcome is Outcome.INCOMPLETE
    verdict = verify_chain(edited(SIZE - 1), ANCHOR)
    assert (verdict.position, verdict.kind) == (SIZE - 1, Tampering.REWRITTEN)


@pytest.mark.parametrize("kept", range(SIZE))
def test_42_a_cut_tail_is_tampering_with_an_anchor_only(kept: int) -> None:
    """Without one the verdict is incomplete."""
    verdict = verify_chain(GOOD[:kept], ANCHOR)
    assert (verdict.exit_code, verdict.position, verdict.kind) == (1, kept, Tampering.CUT)
    assert verify_chain(GOOD[:kept]).exit_code == 2


def test_42_a_rewritten_log_is_tampering_with_an_anchor_only() -> None:
    """The whole chain made anew is a good chain, and not the one that was anchored."""
    other = chain(word="x")
    assert verify_chain(other, ANCHOR).kind is Tampering.REWRITTEN
    assert verify_chain(other).exit_code == 2


@pytest.mark.parametrize("cut", range(len(GOOD[3])))
def test_42_a_torn_entry_is_named_at_every_offset(cut: int) -> None:
    """Half an entry is none."""
    verdict = verify_chain([*GOOD[:3], GOOD[3][:cut], *GOOD[4:]])
    assert (verdict.outcome, verdict.position, verdict.kind) == (Outcome.TAMPERED, 3, Tampering.TORN)


@pytest.mark.parametrize("position", [0, 3, SIZE - 2])
def test_42_no_flipped_bit_goes_unseen(position: int) -> None:
    """Every bit of an entry counts, and the entry is named or its torn form is."""
    for bit in range(len(GOOD[position]) * 8):
        data = bytearray(GOOD[position])
        data[bit // 8] ^= 1 << bit % 8
        verdict = verify_chain([*GOOD[:position], bytes(data), *GOOD[position + 1 :]])
        assert (verdict.outcome, verdict.position) == (Outcome.TAMPERED, position)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":7'),
        (b'"seq":0', b'"seq":"0"'),
        (b'"body":{}', b'"body":[]'),
        (b'"}', b'","x":1}'),
        (b",", b", "),
        (b'{"body":{},', b'{"body":{},"body":{},'),
        (GOOD[0], b"[]"),
        (GOOD[0], b"\xff"),
    ],
)
def test_what_is_no_entry_is_not_read(old: bytes, new: bytes) -> None:
    """Unknown formats, other types, further members, other spellings."""
    assert old in GOOD[0]
    with pytest.raises(AuditError):
        parse(GOOD[0].replace(old, new))


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\x1b"])
def test_a_name_that_reads_otherwise_when_escaped_is_not_written(name: str) -> None:
    """Events and requests are named plainly, so that their place in the bytes is certain."""
    for entry in (draft(name), draft("e", name)):
        with pytest.raises(AuditError, match="characters"):
            sealed(entry, 0, EMPTY)


def test_a_float_or_a_huge_number_is_not_written() -> None:
    """The entry must read the same everywhere."""
    with pytest.raises(AuditError, match="can't be written"):
        sealed(draft("e", "", number=2**60), 0, EMPTY)
