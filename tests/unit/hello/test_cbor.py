"""CBOR: what is written is read back, and nothing else is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.hello import cbor

LEAVES = st.one_of(st.integers(-(2**64), 2**64 - 1), st.binary(max_size=300), st.text(max_size=40), st.booleans(), st.none())
NAMES = st.one_of(st.integers(-300, 300), st.text(max_size=8))
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)), max_leaves=12
)


@given(value=VALUES)
def test_what_is_written_is_read_back(value: object) -> None:
    """Byte for byte, with and without something behind it."""
    data = cbor.encode(value)
    assert cbor.encode(cbor.decode(data)) == data
    assert cbor.decode_first(data + b"rest")[1] == b"rest"


@given(value=VALUES, at=st.integers(0, 10_000))
def test_what_is_cut_short_is_refused(value: object, at: int) -> None:
    """Anywhere."""
    data = cbor.encode(value)
    with pytest.raises(ValueError, match=r".+"):
        cbor.decode(data[: at % len(data)])


@given(data=st.binary(max_size=40))
def test_noise_is_read_as_canonical_or_not_at_all(data: bytes) -> None:
    """Nothing else ever leaves the reader than an error of one kind."""
    try:
        value = cbor.decode(data)
    except ValueError:
        return
    assert cbor.encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"\x18\x01",  # one, in two bytes
        b"\xa2\x02\x00\x01\x00",  # names out of order
        b"\xa2\x01\x00\x01\x00",  # a name twice
        b"\xa1\x40\x00",  # a name of bytes
        b"\xc0\x00",  # a tag
        b"\xf9\x00\x00",  # a float
        b"\x9f\xff",  # an endless list
        b"\x1c",  # a reserved length
        b"\x61\xff",  # text that is not UTF-8
        b"\x81" * 12 + b"\x00",  # too deep
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # a list longer than the message
    ],
)
def test_what_is_not_canonical_is_refused(data: bytes) -> None:
    """One way to write a value, one way to read it."""
    with pytest.raises(ValueError, match=r".+"):
        cbor.decode(data)


@pytest.mark.parametrize("value", [1.5, {1: object()}, 2**64, {1.5: 1}])
def test_what_has_no_place_is_not_written(value: object) -> None:
    """Floats, objects, larger numbers."""
    with pytest.raises(ValueError, match=r".+"):
        cbor.encode(value)
