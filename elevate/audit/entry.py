"""One entry of the log: how it is written and read.

Format 1 is canonical JSON of ``body``, ``boot``, ``broker``, ``event``, ``machine``, ``mono_us``, ``request``, ``seq``,
``unix_us``, ``v`` and ``was``, where ``was`` is the hash of the entry before. What a person could be guessed from stands in the
body only as a commitment (`elevate.audit.private`). Formats are only ever added; a reader knows all that were released.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elevate import canonical
from elevate.audit import private
from elevate.audit.private import Draw
from elevate.canonical import Json
from elevate.errors import AuditError
from elevate.ports import Draft

FORMAT = 1
MAX_ENTRY_BYTES = 65_535
"""C2SP tlog-tiles counts an entry's bytes in 16 bits."""
MAX_OPENING_BYTES = 65_536
EMPTY = "0" * 64
"""What the first entry holds in place of the hash of the one before."""

_PLAIN = re.compile(r"[^\x00-\x1f\"\\]*")
_NUMBERS = ("mono_us", "seq", "unix_us")
_TEXTS = ("boot", "broker", "event", "machine", "request", "was")
_MEMBERS = frozenset({"body", "v", *_NUMBERS, *_TEXTS})
_NAMES = ("body", *_NUMBERS, *_TEXTS)
_TYPES: list[type] = [dict, *(int for _ in _NUMBERS), *(str for _ in _TEXTS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where entries are written: ids that name no person.

    Attributes:
        boot: The kernel's random boot id.
        broker: Generation of the ledger.
        machine: Id of the machine, hashed from the one that it has.
    """

    boot: str = ""
    broker: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """An entry that has its position: its bytes, their hash in hexadecimal, and the openings that are kept beside."""

    data: bytes
    hash: str
    openings: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as read.

    Attributes:
        seq: Position in the log, from 0.
        unix_us: Wall clock, microseconds.
        mono_us: Monotonic clock of the boot it was written in, microseconds.
        was: Hash of the entry before; `EMPTY` in the first.
        body: As it stands in the entry; `opened` gives it with what its openings say.
    """

    seq: int
    event: str
    request: str
    unix_us: int
    mono_us: int
    body: Mapping[str, Json]
    was: str
    boot: str = ""
    broker: str = ""
    machine: str = ""


def leaf_hash(data: bytes) -> str:
    """Give the hash of an entry's bytes, in hexadecimal.

    Source: RFC 6962 section 2.1, MTH of one entry.
    """
    return hashlib.sha256(b"\0" + data).hexdigest()


def seal(draft: Draft, seq: int, previous: str, *, origin: Origin, draw: Draw, row: str = "") -> Sealed:
    """Give an entry its position and its place in the chain.

    Args:
        draft: What happened.
        seq: Position, from 0.
        previous: Hash of the entry before; `EMPTY` for the first.
        origin: Where it is written.
        draw: Gives unpredictable bytes, for the salts.
        row: Digest of the ledger's row as this step leaves it; empty where it is no step.

    Raises:
        AuditError: It is longer than `MAX_ENTRY_BYTES`, or not canonical JSON.
    """
    if not _PLAIN.fullmatch(draft.event + draft.request):
        raise AuditError("the name of an event or a request holds characters that it can't")
    try:
        body, openings = private.split(draft.body, draw)
        body |= {private.ROW: [row]} if row else {}
        data = canonical.encode(_members(draft, body, seq, previous, origin))
    except ValueError as exc:
        raise AuditError(f"the entry {draft.event} can't be written: {exc}") from exc
    if len(data) > MAX_ENTRY_BYTES:
        raise AuditError(f"the entry {draft.event} has {len(data)} bytes, more than {MAX_ENTRY_BYTES}")
    if len(openings) > MAX_OPENING_BYTES:
        raise AuditError(f"the openings of {draft.event} have {len(openings)} bytes, more than {MAX_OPENING_BYTES}")
    return Sealed(data=data, hash=leaf_hash(data), openings=openings)


def parse(data: bytes) -> Entry:
    """Read an entry, strictly: exactly the members of its format, in canonical form.

    Raises:
        AuditError: The bytes are no entry.
    """
    members = load(data)
    del members["v"]
    return Entry(**members)


def opened(data: bytes, openings: bytes) -> Entry:
    """Read an entry together with its openings, as far as they are there.

    Raises:
        AuditError: The bytes are no entry, or an opening is not this entry's.
    """
    members = load(data)
    del members["v"]
    return Entry(**members | {"body": private.join(members["body"], openings)})


def load(data: bytes) -> dict[str, Any]:
    """Give an entry's members, checked as `parse` does.

    Raises:
        AuditError: The bytes are no entry.
    """
    try:
        members = canonical.decode_canonical(data, max_bytes=MAX_ENTRY_BYTES)
    except ValueError as exc:
        raise AuditError("the bytes are not canonical JSON", detail=str(exc)) from exc
    if not isinstance(members, dict) or members.keys() != _MEMBERS or members["v"] != FORMAT:
        raise AuditError("the bytes are not an entry of a known format")
    if not _typed(members):
        raise AuditError("a member of the entry has the wrong type")
    return members


def as_bytes(value: object) -> bytes:
    """Give what a column holds as bytes; who tampers may have put anything there, which is then no entry."""
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return value if isinstance(value, bytes) else b""


def _members(draft: Draft, body: Mapping[str, Json], seq: int, previous: str, origin: Origin) -> dict[str, object]:
    return {
        "body": body,
        "boot": origin.boot,
        "broker": origin.broker,
        "event": draft.event,
        "machine": origin.machine,
        "mono_us": draft.at.mono_ns // 1000,
        "request": draft.request,
        "seq": seq,
        "unix_us": draft.at.unix_us,
        "v": FORMAT,
        "was": previous,
    }


def _typed(members: Mapping[str, object]) -> bool:
    # In the order of `_TYPES`; a million entries pass here when a log is verified.
    return [type(members[name]) for name in _NAMES] == _TYPES
