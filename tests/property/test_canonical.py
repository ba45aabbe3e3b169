"""Canonical JSON for all values: one spelling, and the strict parsers read nothing else into it."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.canonical import MAX_INTEGER, Json, decode, decode_exact, digest, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text(st.characters(max_codepoint=127), max_size=8)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-MAX_INTEGER, MAX_INTEGER), TEXT)
VALUES: st.SearchStrategy[Json] = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)), max_leaves=20
)
LIMIT = 65_536


def _same(one: object, other: object) -> bool:
    """Equal, and of the same types all the way: for Python 1 and true are equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(VALUES)
def test_round_trip(value: Json) -> None:
    """Both parsers give back what was written."""
    data = encode(value)
    assert _same(decode(data, max_bytes=LIMIT), value)
    assert _same(decode_exact(data, max_bytes=LIMIT), value)


@given(VALUES)
def test_another_encoder_agrees(value: Json) -> None:
    """The standard library's encoder, told the same rules, writes the same bytes."""
    assert encode(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@given(VALUES)
def test_any_spelling_has_one_canonical_form(value: Json) -> None:
    """Spaces, order and escapes in what comes in do not matter to the digest of what it means."""
    spelled = json.dumps(value, indent=2).encode()
    assert digest(decode(spelled, max_bytes=LIMIT)) == digest(value)


@given(VALUES, VALUES)
def test_two_values_two_digests(one: Json, other: Json) -> None:
    """The same bytes only for the same value."""
    assert (encode(one) == encode(other)) is _same(one, other)


@given(VALUES, st.data())
def test_one_flipped_bit(value: Json, data: st.DataObject) -> None:
    """A changed byte is refused, or means something else and is the one spelling of that."""
    good = encode(value)
    position, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    changed = good[:position] + bytes([good[position] ^ 1 << bit]) + good[position + 1 :]
    try:
        read = decode_exact(changed, max_bytes=LIMIT)
    except ValueError:
        return
    assert not _same(read, value)


@given(st.one_of(st.binary(max_size=60), st.text(alphabet='{}[]":,0123456789eE+-.nulltrfas \\u', max_size=60).map(str.encode)))
def test_noise_raises_nothing_but_value_errors(noise: bytes) -> None:
    """Whatever comes in: a value that can be written as UTF-8 again, or a ValueError."""
    with contextlib.suppress(ValueError):
        value = decode(noise, max_bytes=LIMIT)
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            pytest.fail(f"{noise!r} gave text that is not Unicode")
