"""Canonical JSON: one spelling for each value going out, nothing but the strict subset coming in."""

import json
from enum import IntEnum, StrEnum
from pathlib import Path

import pytest

from elevate.canonical import MAX_DEPTH, MAX_INTEGER, decode, decode_exact, digest, encode, encode_each
from tests.vectors import vectors

FITTING = ("arrays",)
"""The published vectors within the restricted profile; the others have floats or member names beyond ASCII."""

REFUSED = ("french", "structures", "values", "weird")
LIMIT = 65_536


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def _vector(kind: str, name: str) -> bytes:
    return Path(vectors(f"rfc8785/testdata/{kind}/{name}.json")).read_bytes()


@pytest.mark.parametrize("name", [*FITTING, "unicode"])
def test_published_vector(name: str) -> None:
    """What is within the profile has the published bytes, coming from our own strict parser."""
    assert encode(decode(_vector("input", name), max_bytes=LIMIT)) == _vector("output", name)


@pytest.mark.parametrize("name", REFUSED)
def test_published_vector_beyond_the_profile(name: str) -> None:
    """Floats and member names beyond ASCII have no canonical form here."""
    with pytest.raises(ValueError, match=r"a float is not canonical JSON|a member name that is not ASCII text"):
        encode(json.loads(_vector("input", name)))


def test_published_structures_without_the_float() -> None:
    """The vector `structures` with its one float as the integer that it is gives the published bytes."""
    members = json.loads(_vector("input", "structures"))
    members["1"]["\n"] = 56
    assert encode(members) == _vector("output", "structures")


def test_published_string_and_literals() -> None:
    """The vector `values` without its floats gives the published string."""
    members = json.loads(_vector("input", "values"))
    del members["numbers"]
    published = _vector("output", "values")
    assert encode(members) == b'{"literals":[null,true,false],"string":' + published.split(b'"string":')[1]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, b"null"),
        (True, b"true"),
        (0, b"0"),
        (-1, b"-1"),
        (MAX_INTEGER, b"9007199254740991"),
        (-MAX_INTEGER, b"-9007199254740991"),
        ("", b'""'),
        ('\x00\x08\t\n\x0c\r\x1f"\\/\x7f', b'"\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/\x7f"'),
        ("€\u2028😂", '"€\u2028😂"'.encode()),
        ((1, ("a",)), b'[1,["a"]]'),
        ({"b": 1, "a": [], "B": {}, "": 0, "10": 1, "9": 2}, b'{"":0,"10":1,"9":2,"B":{},"a":[],"b":1}'),
    ],
)
def test_encode(value: object, data: bytes) -> None:
    """Members in the order of their names, the shortest escapes, no space."""
    assert encode(value) == data


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (MAX_INTEGER + 1, "an integer beyond"),
        (-MAX_INTEGER - 1, "an integer beyond"),
        (2**200, "an integer beyond"),
        (1.0, "a float is not"),
        (float("nan"), "a float is not"),
        (b"a", "a bytes is not"),
        ({1}, "a set is not"),
        (object(), "an? object is not"),
        ({1: 2}, "a member name"),
        ({"é": 1}, "a member name"),
        ({None: 1}, "a member name"),
        ("\ud800", "not Unicode"),
        ({"a": ["\udcff"]}, "not Unicode"),
    ],
)
def test_encode_refuses(value: object, message: str) -> None:
    """What RFC 8785 or the profile has no form for is refused, wherever it stands."""
    for hidden in (value, [value], {"a": {"b": [value]}}):
        with pytest.raises(ValueError, match=message):
            encode(hidden)
        with pytest.raises(ValueError, match=message):
            encode_each([1, hidden, {}])


def test_encode_depth() -> None:
    """At most MAX_DEPTH levels, whether lists or objects."""
    value: object = 1
    members: object = 1
    for _ in range(MAX_DEPTH):
        value, members = [value], {"a": members}
    assert encode(value) == b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH
    assert encode(members) == b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert encode_each([value, members]) == [encode(value), encode(members)]
    for deeper in ([value], {"a": value}, [members], {"a": members}):
        with pytest.raises(ValueError, match="nested too deeply"):
            encode(deeper)
        with pytest.raises(ValueError, match="nested too deeply"):
            encode_each([1, deeper])


def test_encode_enumerations_as_their_values() -> None:
    """A member of a text or integer enumeration is its value, so a digest does not depend on the class."""
    text = StrEnum("text", {"A": "alpha"})
    number = IntEnum("number", {"B": 7})
    assert encode([text["A"], number["B"]]) == b'["alpha",7]'


def test_digest() -> None:
    """SHA-256 of the canonical bytes, in lower-case hexadecimal."""
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"null", None),
        (b' {"a" : [ 1 , -2, true, "\\u20ac" ] } ', {"a": [1, -2, True, "€"]}),
        ('{"é":"è"}'.encode(), {"é": "è"}),
        (b"9007199254740991", MAX_INTEGER),
        (b"-9007199254740991", -MAX_INTEGER),
        (b'"\\ud83d\\ude02"', "😂"),
        (b'"\\\\ud800"', "\\ud800"),
        (_nested(MAX_DEPTH + 1).encode(), json.loads(_nested(MAX_DEPTH + 1))),
    ],
)
def test_decode(data: bytes, value: object) -> None:
    """Any spelling of the strict subset is read."""
    assert decode(data, max_bytes=LIMIT) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"nul",
        b"[1,]",
        b"{'a':1}",
        b"[1] 2",
        b"[1]\x00",
        b"\xef\xbb\xbf[]",
        b"[\xff]",
        b'"\xed\xa0\x80"',
        '{"a":1}'.encode("utf-16"),
        b'{"a":1,"a":1}',
        b'{"b":{"a":1,"\\u0061":2}}',
        b"1.0",
        b"1e3",
        b"1E400",
        b"-0",
        b"-0.0",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"9007199254740992",
        b"-9007199254740992",
        b"9" * 10_000,
        b"01",
        b"+1",
        b"0x10",
        b'"\n"',
        b'"\\ud800"',
        b'"\\uDFFF"',
        b'{"\\ud800":1}',
        b'["\\ude02\\ud83d"]',
        _nested(MAX_DEPTH + 2).encode(),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 50_000,
        b"[" * 20_000 + b"]" * 20_000,
    ],
    ids=lambda data: f"{len(data)} {data[:24]!r}",
)
def test_decode_refuses(data: bytes) -> None:
    """All else is refused with a ValueError: never another error, never a value."""
    with pytest.raises(ValueError, match=r"\S"):
        decode(data, max_bytes=LIMIT)


def test_decode_bound() -> None:
    """The bound is on bytes and holds before anything is parsed."""
    assert decode(b'"ab"', max_bytes=4) == "ab"
    with pytest.raises(ValueError, match="more than 3 bytes"):
        decode(b'"ab"', max_bytes=3)
    with pytest.raises(ValueError, match="more than 3 bytes"):
        decode_exact(b'"ab"', max_bytes=3)


def test_decode_wide_is_not_deep() -> None:
    """Many brackets beside each other are no nesting."""
    data = b"[1," + b"[]," * 1000 + b"{}]"
    assert decode(data, max_bytes=LIMIT) == [1, *([[]] * 1000), {}]


@pytest.mark.parametrize("value", [{}, [], {"a": {"b": [1, None, True, "é\n"]}}, "x", MAX_INTEGER])
def test_decode_exact_reads_what_encode_writes(value: object) -> None:
    """Our own bytes come back."""
    assert decode_exact(encode(value), max_bytes=LIMIT) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{} ",
        b" {}",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'"\\u0061"',
        b'"\\/"',
        b"1.50",
        b"1e2",
        b"-0",
        b"18446744073709551616",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'"\\ud800"',
        b"1e400",
        *(_nested(depth).encode() for depth in (255, 300, 1000, 1025, 20_000)),
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
    ids=lambda data: f"{len(data)} {data[:24]!r}",
)
def test_decode_exact_refuses_any_other_spelling(data: bytes) -> None:
    """One spelling, or a ValueError: also where the text is nested deeper than it could be written again."""
    with pytest.raises(ValueError, match=r"\S"):
        decode_exact(data, max_bytes=LIMIT)
