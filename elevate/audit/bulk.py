"""Read many entries at once, as strictly as `elevate.audit.entry.load` reads one: a million pass here when a log is verified.

The schema says less than format 1 may say: what it does not know is no fault yet, `load` then decides.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import msgspec

from elevate.audit.body import PUBLIC
from elevate.audit.entry import MAX_ENTRY_BYTES, load
from elevate.audit.private import DIGESTS, ROW, row_of
from elevate.canonical import MAX_INTEGER

_Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_Scalar: TypeAlias = str | _Integer | bool | None
_Value: TypeAlias = _Scalar | list[_Scalar] | msgspec.UnsetType
_NAMES = {"row": ROW, "digests": DIGESTS}


def _struct(name: str, members: Mapping[str, Any]) -> type[msgspec.Struct]:
    """Make the type of an object that may have some members, in the order of canonical JSON."""
    order = sorted(members, key=lambda member: _NAMES.get(member, member))
    fields = [(member, members[member], msgspec.UNSET) for member in order]
    return msgspec.defstruct(name, fields, frozen=True, gc=False, forbid_unknown_fields=True, rename=_NAMES)


if TYPE_CHECKING:

    class Body(msgspec.Struct):
        """What is asked of a body; both are lists of texts."""

        digests: Any = msgspec.UNSET
        row: Any = msgspec.UNSET

else:
    # Named one by one members are read and written in less time than those of a dictionary.
    _PARTS = {part: _struct(part, dict.fromkeys(names, _Value)) | msgspec.UnsetType for part, names in PUBLIC.items()}
    Body = _struct("Body", _PARTS | dict.fromkeys(_NAMES, list[str] | msgspec.UnsetType))


class Read(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An entry as it stands in the log, in the order of canonical JSON."""

    body: Body
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


BETWEEN = '","'
_BETWEEN = BETWEEN.encode()
_decode = msgspec.json.Decoder(Read).decode_lines
_encode = msgspec.json.Encoder().encode_lines
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
    fits = len(lines) <= MAX_ENTRY_BYTES or max(map(len, data)) <= MAX_ENTRY_BYTES
    return found if fits and lines.isascii() else None


def read_one(data: bytes) -> Read:
    """Give one entry as `load` reads it, with so much of its body as is asked for in bulk.

    Raises:
        AuditError: The bytes are no entry.
    """
    members = load(data)
    row = row_of(members["body"])
    body = Body(digests=digests_of(members["body"]), row=[row] if row else msgspec.UNSET)
    return Read(**members | {"body": body})


def digests_of(body: Mapping[str, Any]) -> list[str] | msgspec.UnsetType:
    """Give what an entry that `load` has read commits to."""
    found = body.get(DIGESTS)
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else msgspec.UNSET


def lists(rows: Sequence[Sequence[str | int]]) -> list[bytes]:
    """Give rows of texts and numbers as lists in JSON, each spelt as `orjson` spells it."""
    return _encode(rows).split(b"\n")[:-1]


def commitments(openings: Sequence[bytes]) -> str:
    """Give the digests that stand in entries for openings (`elevate.audit.private.commitment`); there is at least one.

    They are one text, with `BETWEEN` between them: to compare it takes less time than to take it apart.
    """
    digests = [hashlib.sha256(one).digest() for one in _url_safe(openings).split(_BETWEEN)]
    return _url_safe(digests).decode()


def _url_safe(data: Sequence[bytes]) -> bytes:
    """Give the base64url of each, without padding, with `BETWEEN` between them."""
    # As a JSON list all are encoded by one call; neither quotes nor commas are in base64.
    return _base64(data)[2:-2].replace(b"=", b"").replace(b"+", b"-").replace(b"/", b"_")
