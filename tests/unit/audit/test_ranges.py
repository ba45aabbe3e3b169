"""A range read in bulk: what is good together is good one by one, and what is odd is named, never a crash."""

import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from elevate import canonical
from elevate.audit import EMPTY, leaf_hash, merkle, private
from elevate.audit.chain import Tampering
from elevate.audit.ranges import TILE, Asked, Range, Row, check_range
from elevate.canonical import Json
from elevate.lifecycle import State
from tests.ledgers import draft, sealed

SIZE = TILE + 100


def chain(size: int = SIZE) -> list[tuple[bytes, bytes | None]]:
    """Entries of two openings each; every tenth has none and is nobody's."""
    found: list[tuple[bytes, bytes | None]] = []
    previous = EMPTY
    for number in range(size):
        body: dict[str, Json] = {"actor": {"user": "alice"}, "task": {"kind": "process.run", "path": "/bin/id"}}
        entry = draft("heartbeat") if number % 10 == 9 else draft(State.REQUESTED, "r", **body)
        made = sealed(entry, number, previous)
        found.append((made.data, made.openings or None))
        previous = made.hash
    return found


GOOD = chain()


def checked(rows: Sequence[Row], tiles: Sequence[bytes] | None = None, marks: Sequence[int] = ()) -> Range:
    hashes = merkle.leaves(data for data, _ in GOOD)
    stored = [b"".join(hashes[:TILE])] if tiles is None else tiles
    asked = Asked(marks=marks, tiles=iter(stored), salt=7)
    return check_range(rows, 0, len(rows), asked, lambda _: None)


def bad(rows: Sequence[Row]) -> tuple[int, Tampering] | None:
    found = checked(rows).bad
    return (found.position, found.kind) if found else None


def test_a_good_range_is_good() -> None:
    """Its tile, its edge, and the roots that were asked for."""
    found = checked(GOOD, marks=[1, 200, TILE, TILE + 1, SIZE])
    assert (found.bad, found.gone, found.loose, len(found.tiles), len(found.edge)) == (None, 0, -1, 1, SIZE - TILE)
    hashes = merkle.leaves(data for data, _ in GOOD)
    for size, parts in found.marks.items():
        frontier = merkle.Frontier()
        frontier.extend(hashes[(size - 1) // TILE * TILE : size])
        assert parts == frontier.parts()
    assert sorted(found.marks) == [1, 200, TILE, TILE + 1, SIZE]


def test_a_log_of_any_size_has_its_root() -> None:
    """The last checkpoint stands at the log's end, wherever that lies in a tile, and in what is read at once."""
    hashes = merkle.leaves(data for data, _ in GOOD)
    for size in range(1, SIZE + 1):
        frontier = merkle.Frontier()
        frontier.extend(hashes[(size - 1) // TILE * TILE : size])
        found = checked(GOOD[:size], marks=[size])
        assert (found.bad, found.marks) == (None, {size: frontier.parts()})


@pytest.mark.parametrize("tiles", [[], [b""], [b"\0" * TILE * 32]])
def test_42_a_tile_that_is_not_its_entries_is_found(tiles: list[bytes]) -> None:
    """Missing, or another."""
    assert checked(GOOD, tiles).loose == 0


def test_42_an_opening_put_to_its_neighbour_is_named() -> None:
    """All openings are there, one behind the other as before, only the border between two entries lies elsewhere."""
    first, second = (openings.split(b"\n") for _, openings in GOOD[20:22] if openings)
    rows: list[Row] = list(GOOD)
    rows[20] = GOOD[20][0], first[0]
    rows[21] = GOOD[21][0], b"\n".join([first[1], *second])
    assert bad(rows) == (21, Tampering.OPENING)


def test_openings_in_another_order_are_all_there() -> None:
    """Their order says nothing; logs that were written before it was that of the digests are good."""
    rows = [(data, openings and b"\n".join(openings.split(b"\n")[::-1])) for data, openings in GOOD]
    assert (checked(rows).bad, checked(rows).gone) == (None, 0)


def test_what_was_erased_is_counted() -> None:
    """Among entries that have all, that have none, and that never had any."""
    rows: list[Row] = list(GOOD)
    for number in (3, 17, 19, 300):
        rows[number] = GOOD[number][0], None
    rows[40] = GOOD[40][0], (GOOD[40][1] or b"").split(b"\n")[0]
    found = checked(rows)
    assert (found.bad, found.gone, found.first_gone) == (None, 4, 3)
    twice = (GOOD[40][1] or b"").split(b"\n")[0]
    rows[40] = GOOD[40][0], twice + b"\n" + twice
    assert checked(rows).gone == 4


@pytest.mark.parametrize("openings", [7, 1.5, "text", b"", b"\n", b"{}"])
def test_42_odd_openings_are_named(openings: object) -> None:
    """Of an entry that commits to something, and of one that does not."""
    for number in (20, 29):
        rows: list[Row] = list(GOOD)
        rows[number] = GOOD[number][0], openings
        assert bad(rows) == (number, Tampering.OPENING)


def test_42_a_hash_that_is_cut_elsewhere_is_named() -> None:
    """The hashes that two entries hold are one text as before, only the border between them lies elsewhere."""
    rows: list[Row] = list(GOOD[:30])
    for number in range(1000):
        previous = leaf_hash(rows[9][0])
        guesses = (_linked(10, previous + digit, number) for digit in "0123456789abcdef")
        if fitting := [data for data in guesses if leaf_hash(data)[0] == json.loads(data)["was"][-1]]:
            rows[10] = fitting[0], None
            rows[11] = _linked(11, leaf_hash(fitting[0])[1:], 0), None
            break
    said = [json.loads(data)["was"] for data, _ in rows]
    assert said[10] + said[11] == leaf_hash(rows[9][0]) + leaf_hash(rows[10][0])
    found = checked(rows[:12]).bad
    assert found is not None
    assert found.position in {9, 10}


def _linked(seq: int, was: str, number: int) -> bytes:
    members = json.loads(GOOD[seq][0])
    return canonical.encode(members | {"seq": seq, "was": was, "mono_us": number, "body": {}})


@pytest.mark.parametrize(
    "body",
    [
        {"_sd": 5},
        {"_sd": [5]},
        {"_sd": {"a": 1}},
        {"_sd": [["a"]]},
        {"_row": [["a"]], "_sd": []},
        {"_row": 7},
        {"_row": {"a": {"b": 1}}},
        {"task": [{"kind": 7}]},
        {"other": {"kind": 7}},
        {"erasure": 5, "pruning": [], "log_key": "x"},
    ],
)
@pytest.mark.parametrize("event", ["destroyed", "erased", "log-pruned", "log-key-rotated"])
def test_42_odd_bodies_are_no_crash(body: dict[str, Any], event: str) -> None:
    """Who rewrites the whole log can write any body; that is for the signatures to say."""
    rows: list[Row] = []
    previous = EMPTY
    for seq in range(3):
        members = json.loads(GOOD[seq][0]) | {"was": previous}
        data = canonical.encode(members | ({"body": body, "event": event} if seq == 1 else {"body": {}}))
        rows.append((data, None))
        previous = leaf_hash(data)
    assert checked(rows).bad is None
    rows[1] = rows[1][0], b"x"
    assert bad(rows) == (1, Tampering.OPENING)


def test_every_share_gives_the_same_sums() -> None:
    """One range, or two."""
    hashes = merkle.leaves(data for data, _ in GOOD)
    check = partial(check_range, progress=lambda _: None)
    asked = [Asked(marks=(), tiles=iter([b"".join(hashes[:TILE])] * 2), salt=7) for _ in range(3)]
    whole = check(GOOD, 0, SIZE, asked[0])
    parts = [
        check(GOOD[start:], start, stop, one) for (start, stop), one in zip(pairwise([0, TILE, SIZE]), asked[1:], strict=True)
    ]
    assert whole.links == sum(one.links for one in parts) != 0
    assert (parts[0].last, parts[1].was) == (leaf_hash(GOOD[TILE - 1][0]),) * 2
    assert whole.last == parts[1].last == leaf_hash(GOOD[-1][0])


def test_openings_stand_in_the_order_of_their_digests() -> None:
    """So that many are compared at once."""
    for data, openings in GOOD[:9]:
        digests = [private.commitment(one) for one in (openings or b"").split(b"\n")]
        assert json.loads(data)["body"][private.DIGESTS] == digests == sorted(digests)
