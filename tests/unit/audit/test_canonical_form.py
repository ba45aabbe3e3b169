"""Entries are RFC 8785 within our profile: published vectors go in and come out, what is beyond is refused both ways."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elevate.audit import Sealed, leaf_hash, parse, private
from elevate.audit.bulk import BETWEEN, commitments, read
from elevate.audit.entry import load
from elevate.canonical import Json
from elevate.errors import AuditError
from elevate.store.reader import LedgerReader
from tests.biglog import make_log
from tests.ledgers import draft, sealed
from tests.vectors import vectors

WITHIN = ("arrays", "unicode")
BEYOND = ("french", "structures", "values", "weird")
"""Floats, or member names beyond ASCII."""


def _vector(kind: str, name: str) -> bytes:
    return Path(vectors(f"rfc8785/testdata/{kind}/{name}.json")).read_bytes()


def _sealed(value: Json) -> Sealed:
    """An entry with the value among what stands in it."""
    return sealed(draft("e", "r", task={"kind": value}), 0, "0" * 64)


PLAIN = _sealed("x").data


def _with(value: bytes) -> bytes:
    return PLAIN.replace(b'"x"', value)


@pytest.mark.parametrize("name", WITHIN)
def test_a_published_vector_stands_in_the_entry_as_published(name: str) -> None:
    """Byte for byte, and reads back as the value."""
    entry = _sealed(json.loads(_vector("input", name)))
    assert entry.data == _with(_vector("output", name))
    assert parse(entry.data).body == {"task": {"kind": json.loads(_vector("input", name))}}
    assert entry.hash == leaf_hash(entry.data)


@pytest.mark.parametrize("name", BEYOND)
def test_a_published_vector_beyond_the_profile_is_not_written(name: str) -> None:
    """No entry is made of it."""
    with pytest.raises(AuditError, match="can't be written"):
        _sealed(json.loads(_vector("input", name)))


@pytest.mark.parametrize("name", ["french", "values", "weird"])
def test_a_published_vector_beyond_the_profile_is_not_read(name: str) -> None:
    """Also in the form that RFC 8785 gives it; `structures` loses its float there."""
    data = _with(_vector("output", name))
    with pytest.raises(AuditError, match="not canonical JSON"):
        load(data)
    assert read([data]) is None


def test_structures_in_canonical_form_is_within_the_profile() -> None:
    """56.0 has become 56."""
    data = _with(_vector("output", "structures"))
    assert load(data)["body"]["task"]["kind"] == json.loads(_vector("output", "structures"))


@pytest.mark.parametrize("name", [*WITHIN, *BEYOND])
def test_a_published_input_that_is_not_canonical_is_not_read(name: str) -> None:
    """Spaces, order and other spellings."""
    with pytest.raises(AuditError, match="not canonical JSON"):
        load(_with(_vector("input", name).strip()))


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(value=_VALUES, sort=st.booleans(), escape=st.booleans())
@example(value=["a", 1, True, None], sort=True, escape=False)
def test_what_is_read_in_bulk_is_what_is_read_one_by_one(value: object, *, sort: bool, escape: bool) -> None:
    """The quick way takes nothing that `load` refuses, and says the same of what it takes."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=sort, ensure_ascii=escape).encode(errors="surrogatepass")
    _compare(_with(text))


@given(at=st.integers(0, len(PLAIN) - 1), byte=st.integers(0, 255), gone=st.integers(0, 2))
def test_no_changed_byte_is_read_in_bulk_and_refused_alone(at: int, byte: int, gone: int) -> None:
    """One byte put in, in place of none, one or two."""
    _compare(PLAIN[:at] + bytes([byte]) + PLAIN[at + gone :])


def _compare(data: bytes) -> None:
    quick = read([PLAIN, data])
    try:
        slow = load(data)
    except AuditError:
        assert quick is None
    else:
        assert quick is None or msgspec.to_builtins(quick[1]) == slow


def test_a_plain_entry_is_read_in_bulk() -> None:
    """Or the tests above would say nothing."""
    found = read([PLAIN] * 3)
    assert msgspec.to_builtins(found) == [load(PLAIN)] * 3


def test_entries_of_requests_are_read_in_bulk(tmp_path: Path) -> None:
    """All that a life writes; what is not known there is read at a fifth of the speed."""
    make_log(tmp_path / "ledger.sqlite", 100).close()
    with LedgerReader(tmp_path / "ledger.sqlite") as reader:
        data = list(reader.entries())
    found = read(data)
    assert msgspec.to_builtins(found) == [load(one) for one in data]


CUT = PLAIN.index(b',"boot"') + 1


@pytest.mark.parametrize(
    "rows",
    [
        [PLAIN[:CUT], PLAIN[CUT:]],
        [PLAIN + b"\n" + PLAIN, PLAIN[:CUT], PLAIN[CUT:]],
        [PLAIN + b"\n" + PLAIN, b""],
        [PLAIN + b"\n" + PLAIN],
        [PLAIN + b"\n", PLAIN],
        [PLAIN, b"\n" + PLAIN],
        [PLAIN, b""],
        [PLAIN, PLAIN.decode()],
    ],
)
def test_42_rows_that_are_entries_only_together_are_not_read(rows: list[bytes]) -> None:
    """They are read as one text, and each must be an entry by itself."""
    assert read(rows) is None


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=9))
def test_digests_of_many_openings_are_those_of_each(openings: list[bytes]) -> None:
    """Whatever stands in them."""
    assert commitments(openings).split(BETWEEN) == [private.commitment(one) for one in openings]
