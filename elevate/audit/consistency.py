"""A proof in a file: that the log of an older checkpoint is the beginning of the log of a newer one; checked without the log.

The file is what a witness is sent (C2SP tlog-witness, add-checkpoint): a line ``old SIZE``, the hashes of the consistency
proof, an empty line, and the newer checkpoint. The older one is what was kept.
"""

from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass

from elevate.audit import merkle
from elevate.audit.notes import Checkpoint, Note, VerifierKey, decimal
from elevate.audit.witness import request_body
from elevate.errors import AuditError, LogTamperedError

MAX_HASHES = 64
_ORDER = "name the older checkpoint first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistent:
    """What was shown: the first ``old`` of ``new`` entries are those that the older checkpoint was signed over."""

    origin: str
    old: int
    new: int


def write(note: str, old: int, hashes: Sequence[bytes]) -> str:
    """Give the file's content.

    Args:
        note: The newer checkpoint.
        old: Size of the older one.
        hashes: The consistency proof between the two.
    """
    return request_body(note, old, lambda _old, _new: hashes).decode()


def check(text: str, older: str, newer: str, keys: Sequence[VerifierKey]) -> Consistent:
    """Check a proof against two checkpoints that were kept, offline.

    Args:
        text: Content of the file.
        older: A checkpoint.
        newer: A later one of the same log.
        keys: Those that may have signed them, as they were kept: the first key, and those that it was handed over to.

    Raises:
        AuditError: A checkpoint or the proof is damaged, is not signed by one of the keys, or is about something else.
        LogTamperedError: Both are signed, and the proof does not lead from one to the other.
    """
    old, new = signed(older, newer, keys)
    size, hashes, note = _read(text)
    if size != old.size or Checkpoint.parse(Note.parse(note).text) != new:
        raise AuditError("the proof is of other checkpoints", hint="make one: elevate audit consistency OLD NEW -o FILE")
    try:
        merkle.check_consistency(old.size, new.size, old.root, new.root, hashes)
    except AuditError as exc:
        why = f"the log of {old.size} entries is not the beginning of that of {new.size}: {exc.message}"
        raise LogTamperedError(why) from exc
    return Consistent(origin=new.origin, old=old.size, new=new.size)


def signed(older: str, newer: str, keys: Sequence[VerifierKey]) -> tuple[Checkpoint, Checkpoint]:
    """Give what two checkpoints say.

    Raises:
        AuditError: None of the keys has signed one, they are of two logs, or not in order.
    """
    old, new = _signed(older, keys), _signed(newer, keys)
    if old.origin != new.origin:
        raise AuditError("the checkpoints are of two logs")
    if old.size > new.size:
        raise AuditError(f"the older checkpoint is over {old.size} entries, the newer one over {new.size}", hint=_ORDER)
    return old, new


def _signed(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    parsed = Note.parse(note)
    key = next((key for key in keys if parsed.signed_by(key)), None)
    if key is None:
        raise AuditError("a checkpoint is signed by none of the keys", hint="elevate audit key prints those of the log")
    parsed.verify(key)
    checkpoint = Checkpoint.parse(parsed.text)
    if checkpoint.origin != key.name:
        raise AuditError("a checkpoint is of another log than its key")
    return checkpoint


def _read(text: str) -> tuple[int, list[bytes], str]:
    head, _, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    size = decimal(first.removeprefix("old ")) if first.startswith("old ") else -1
    try:
        hashes = [a2b_base64(line, strict_mode=True) for line in lines]
    except ValueError as exc:
        raise AuditError("the proof is damaged") from exc
    if size < 0 or len(hashes) > MAX_HASHES or not set(map(len, hashes)) <= {merkle.HASH_BYTES}:
        raise AuditError("that is not a proof of consistency", hint="make one: elevate audit consistency OLD NEW -o FILE")
    return size, hashes, note
