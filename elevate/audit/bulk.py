"""Read many entries at once, as strictly as `elevate.audit.entry.load` reads one: a million pass here when a log is verified.

The schema says less than format 1 may say: what it does not know is no fault yet, `load` then decides.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from elevate.audit.entry import MAX_ENTRY_BYTES
from elevate.canonical import MAX_INTEGER

_Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_Scalar: TypeAlias = str | _Integer | bool | None
_Part: TypeAlias = dict[str, _Scalar | list[_Scalar]]


class Read(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An entry as it stands in the log, in the order of canonical JSON."""

    body: dict[str, list[str] | _Part]
    boot: str
    broker: str
    event: str
    machine: str
    mono_us: _Integer
    request: str
    seq: _Integer
    unix_us: _Integer
    v: Literal[1]
    was: str


_decode = msgspec.json.Decoder(Read).decode_lines
_encode = msgspec.json.Encoder(order="sorted").encode_lines
_base64 = msgspec.json.encode


def read(data: Sequence[Any]) -> Sequence[Read] | None:
    """Give entries; None where one of them is none, or is one that `load` must look at."""
    try:
        lines = b"\n".join((*data, b""))
        found = _decode(lines)
        # Equal bytes also rule out duplicate members, spaces, other spellings and unsorted names. No canonical entry holds a
        # line feed: as many entries as rows, and every row is one of them.
        if len(found) != len(data) or _encode(found) != lines:
            return None
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return None
    return found if lines.isascii() and max(map(len, data), default=0) <= MAX_ENTRY_BYTES else None


def lists(rows: Sequence[Sequence[str | int]]) -> list[bytes]:
    """Give rows of texts and numbers as lists in JSON, each spelt as `orjson` spells it."""
    return _encode(rows).split(b"\n")[:-1]


def commitments(openings: Sequence[bytes]) -> list[str]:
    """Give the digests that stand in entries for openings (`elevate.audit.private.commitment`); there is at least one."""
    digests = [hashlib.sha256(one).digest() for one in _url_safe(openings).split(b",")]
    return _url_safe(digests).decode().split(",")


def _url_safe(data: Sequence[bytes]) -> bytes:
    """Give the base64url of each, without padding, between commas."""
    # As a JSON list all are encoded by one call; neither quotes nor commas are in base64.
    encoded = _base64(data)[1:-1].replace(b'"', b"")
    return encoded.replace(b"=", b"").replace(b"+", b"-").replace(b"/", b"_")
