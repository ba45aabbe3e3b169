"""Where the log's key leads: each key hands over to the next one by a signature, which an entry of the log holds."""

from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from elevate.audit.body import rotation_text
from elevate.audit.notes import VerifierKey
from elevate.errors import AuditError

Rotation: TypeAlias = Mapping[str, object]
"""``position`` of its entry, ``old`` and ``new`` key in text form, ``signature`` in base64."""


def handed_over(key: VerifierKey, position: int, said: Rotation) -> VerifierKey:
    """Give the key that one hands over to.

    Raises:
        AuditError: Another key hands over, or not to one of this log, or its signature does not verify.
    """
    old, new, signature = (str(said.get(name, "")) for name in ("old", "new", "signature"))
    if old != str(key):
        raise AuditError("a log key hands over that did not sign before")
    try:
        key.verify(rotation_text(old, new, position), b64decode(signature))
    except ValueError as exc:
        raise AuditError("the signature of a handing over is damaged") from exc
    found = VerifierKey.parse(new)
    if (found.name, found.kind) != (key.name, key.kind):
        raise AuditError("a log key hands over to the key of another log")
    return found


def leads_to(key: VerifierKey, rotations: Iterable[Rotation]) -> VerifierKey:
    """Give the key that one has handed over to in the end; itself where none of these begins with it.

    Args:
        key: As it was kept, the log's first one or a later one.
        rotations: In order; those before it was there say nothing of it.

    Raises:
        AuditError: A signature does not verify.
    """
    for one in rotations:
        position = one.get("position")
        if one.get("old") == str(key) and isinstance(position, int):
            key = handed_over(key, position, one)
    return key
