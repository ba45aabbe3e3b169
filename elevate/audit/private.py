"""What a person could be guessed from, kept out of the entry: salted commitments, with their openings beside the log.

Each part of a body (`elevate.audit.body`) keeps its members in `PUBLIC`; all its others stand in the entry only as a digest in
``_sd``. The opening holds salt, name and value. Without it nothing can be guessed, because every salt is 128 random bits; with
it the digest proves the value. An opening that was erased is gone; the entry and every proof of it stay as they were.

Source: RFC 9901 sections 4.2.1 (disclosures), 4.2.3 (their digests) and 4.2.4.1 (``_sd``).
"""

import hashlib
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Callable, Mapping

import orjson

from elevate import canonical
from elevate.audit.body import PUBLIC
from elevate.canonical import Json
from elevate.errors import AuditError

SALT_BYTES = 16
DIGESTS = "_sd"
ROW = "_row"
"""Digest of the ledger's row as this step has left it, so that nobody can change the row unseen."""
_PRIVATE = ".private"
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

Draw = Callable[[int], bytes]
"""Gives so many unpredictable bytes."""


def split(body: Mapping[str, Json], draw: Draw) -> tuple[dict[str, Json], bytes]:
    """Give the part of a body that stands in the entry, and the openings of the rest.

    Args:
        body: Canonical JSON values.
        draw: Where salts come from.

    Raises:
        ValueError: A value is not canonical JSON.
    """
    public: dict[str, Json] = {}
    named: list[tuple[str, Json]] = []
    for part, value in body.items():
        shown, hidden = _divide(part, value)
        if shown is not None:
            public[part] = shown
        if hidden is not None:
            named.append((part if shown is None else part + _PRIVATE, hidden))
    openings = canonical.encode_each([b64encode(draw(SALT_BYTES)).decode(), name, hidden] for name, hidden in named)
    if openings:
        # Sorted: the order of the digests says nothing of what they stand for. The openings stand in the same order.
        made = sorted(zip(map(commitment, openings), openings, strict=True))
        public[DIGESTS], openings = [digest for digest, _ in made], [opening for _, opening in made]
    return public, b"\n".join(openings)


def commitment(opening: bytes) -> str:
    """Give the digest that stands in the entry for an opening."""
    return _url(hashlib.sha256(_url(opening)).digest()).decode()


def disclosure(opening: bytes) -> bytes:
    """Give an opening in the form in which RFC 9901 hands it on."""
    return _url(opening)


def join(public: Mapping[str, Json], openings: bytes) -> dict[str, Json]:
    """Give the whole body as far as its openings are there.

    Raises:
        AuditError: An opening is not one of this body's.
    """
    body = {part: value for part, value in public.items() if part not in {DIGESTS, ROW}}
    digests = public.get(DIGESTS)
    known = digests if isinstance(digests, list) else []
    for opening in openings.split(b"\n") if openings else ():
        if commitment(opening) not in known:
            raise AuditError("an opening is not the one that the entry commits to")
        _, name, value = _read(opening)
        part = name.removesuffix(_PRIVATE)
        shown = body.get(part)
        body[part] = {**shown, **value} if isinstance(shown, dict) and isinstance(value, dict) else value
    return body


def part_of(opening: bytes) -> str:
    """Give the part of a body that an opening opens.

    Raises:
        AuditError: It is no opening.
    """
    return _read(opening)[1].removesuffix(_PRIVATE)


def row_of(body: Mapping[str, object]) -> str:
    """Give the digest of the row that a step has left; empty where an entry holds none."""
    found = body.get(ROW)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], str) else ""


def _divide(part: str, value: Json) -> tuple[dict[str, Json] | None, Json]:
    names = PUBLIC.get(part)
    if names is None or not isinstance(value, dict):
        return None, value
    shown = {name: member for name, member in value.items() if name in names}
    hidden = {name: member for name, member in value.items() if name not in names}
    return shown, hidden or None


def _read(opening: bytes) -> tuple[str, str, Json]:
    try:
        salt, name, value = orjson.loads(opening)
    except (ValueError, TypeError) as exc:
        raise AuditError("an opening can't be read") from exc
    if not isinstance(salt, str) or not isinstance(name, str):
        raise AuditError("an opening can't be read")
    return salt, name, value


def _url(data: bytes) -> bytes:
    return b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=")
