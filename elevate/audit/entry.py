"""One entry of the log: how it is written and read.

Format 0 is canonical JSON of ``body``, ``event``, ``mono_us``, ``request``, ``seq``, ``unix_us``, ``v`` and ``was``, where
``was`` is the hash of the entry before. Formats are only ever added; a reader knows all of them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from elevate import canonical
from elevate.canonical import Json
from elevate.errors import AuditError
from elevate.ports import Draft

FORMAT = 0
MAX_ENTRY_BYTES = 65_536
EMPTY = "0" * 64
"""What the first entry holds in place of the hash of the one before."""

_MEMBERS = {"body", "event", "mono_us", "request", "seq", "unix_us", "v", "was"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An entry that has its position: its bytes, and their hash in hexadecimal."""

    data: bytes
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as read.

    Attributes:
        seq: Position in the log, from 0.
        unix_us: Wall clock, microseconds.
        mono_us: Monotonic clock of the boot it was written in, microseconds.
        was: Hash of the entry before; `EMPTY` in the first.
    """

    seq: int
    event: str
    request: str
    unix_us: int
    mono_us: int
    body: Mapping[str, Json]
    was: str


def leaf_hash(data: bytes) -> str:
    """Give the hash of an entry's bytes, in hexadecimal.

    Source: RFC 6962 section 2.1, MTH of one entry.
    """
    return hashlib.sha256(b"\0" + data).hexdigest()


def seal(draft: Draft, seq: int, previous: str) -> Sealed:
    """Give an entry its position and its place in the chain.

    Args:
        draft: What happened.
        seq: Position, from 0.
        previous: Hash of the entry before; `EMPTY` for the first.

    Raises:
        AuditError: It is longer than `MAX_ENTRY_BYTES`, or not canonical JSON.
    """
    members = {
        "body": draft.body,
        "event": draft.event,
        "mono_us": draft.at.mono_ns // 1000,
        "request": draft.request,
        "seq": seq,
        "unix_us": draft.at.unix_us,
        "v": FORMAT,
        "was": previous,
    }
    try:
        data = canonical.encode(members)
    except ValueError as exc:
        raise AuditError(f"the entry {draft.event} can't be written: {exc}") from exc
    if len(data) > MAX_ENTRY_BYTES:
        raise AuditError(f"the entry {draft.event} has {len(data)} bytes, more than {MAX_ENTRY_BYTES}")
    return Sealed(data=data, hash=leaf_hash(data))


def parse(data: bytes) -> Entry:
    """Read an entry, strictly: exactly the members of its format, in canonical form.

    Raises:
        AuditError: The bytes are no entry.
    """
    members = _load(data)
    if members.keys() != _MEMBERS or members["v"] != FORMAT:
        raise AuditError("the bytes are not an entry of a known format")
    if not _typed(members):
        raise AuditError("a member of the entry has the wrong type")
    del members["v"]
    return Entry(**members)


def _load(data: bytes) -> dict[str, Any]:
    try:
        members = orjson.loads(data)
        again = orjson.dumps(members, option=orjson.OPT_SORT_KEYS)
    except (ValueError, TypeError) as exc:
        raise AuditError("the bytes are not JSON") from exc
    # Equal bytes also rule out duplicate members, spaces, floats in other spellings and unsorted names.
    if not isinstance(members, dict) or again != data:
        raise AuditError("the bytes are not canonical JSON")
    return members


def _typed(members: Mapping[str, object]) -> bool:
    numbers = all(type(members[name]) is int for name in ("seq", "unix_us", "mono_us"))
    texts = all(isinstance(members[name], str) for name in ("event", "request", "was"))
    return numbers and texts and isinstance(members["body"], dict)
