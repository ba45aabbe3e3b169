"""Read many entries at once, as strictly as `elevate.audit.entry.load` reads one: a million pass here when a log is verified.

The schema says less than format 1 may say: what it does not know is no fault yet, `load` then decides.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from elevate.audit.entry import FORMAT, MAX_ENTRY_BYTES
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
    v: _Integer
    was: str


_decode = msgspec.json.Decoder(Read).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def read(data: Sequence[Any]) -> Sequence[Read] | None:
    """Give entries; None where one of them is none, or is one that `load` must look at."""
    try:
        found = list(map(_decode, data))
        # Equal bytes also rule out duplicate members, spaces, other spellings and unsorted names.
        if list(map(_encode, found)) != list(data):
            return None
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError):
        return None
    plain = b"".join(data).isascii() and max(map(len, data), default=0) <= MAX_ENTRY_BYTES
    return found if plain and {one.v for one in found} <= {FORMAT} else None
