"""A proof in a file: that one entry is in the log, checked without the log and without the broker.

The file is a C2SP tlog-proof. Its ``extra`` line carries the entry itself and those of its openings that the holder may show,
so that one file is all that is handed over; and how the log's first key has handed over to the one that signed, where it has.

Source: C2SP tlog-proof.
"""

from base64 import b64encode
from binascii import Error as DecodingError
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import orjson

from elevate.audit import merkle
from elevate.audit.entry import Entry, opened
from elevate.audit.notes import Checkpoint, Note, VerifierKey, decimal
from elevate.audit.rotation import Rotation, leads_to
from elevate.errors import AuditError

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 400_000
MAX_HASHES = 64
MAX_KNOWN = 8
"""So many verified checkpoints are kept; then they are forgotten, and verified anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof as read; nothing of it has been checked.

    Attributes:
        index: Position of the entry.
        hashes: The inclusion proof.
        note: The signed checkpoint.
        entry: Bytes of the entry.
        openings: What is shown of what it commits to.
        rotations: How the log's keys hand over up to the one that signed the checkpoint.
    """

    index: int
    hashes: Sequence[bytes]
    note: str
    entry: bytes
    openings: bytes = b""
    rotations: Sequence[Rotation] = ()

    def text(self) -> str:
        """Give the file's content."""
        handed_over = {"rotations": list(self.rotations)} if self.rotations else {}
        extra = orjson.dumps({"entry": self.entry.decode(), "openings": self.openings.decode()} | handed_over)
        lines = [HEADER, f"extra {b64encode(extra).decode()}", f"index {self.index}"]
        return "\n".join([*lines, *(b64encode(found).decode() for found in self.hashes), "", self.note])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file's content.

        Raises:
            AuditError: It is no proof of ours.
        """
        # Line by line: the entry's line is long, and looking for the empty one in it takes longer than all its hashes.
        lines = text.split("\n", MAX_HASHES + 4) if len(text) <= MAX_PROOF_BYTES else []
        end = lines.index("") if "" in lines[:-1] else 0
        if not 3 <= end <= MAX_HASHES + 3 or lines[0] != HEADER:  # noqa: PLR2004 - header, entry, position
            raise AuditError("that is not a proof", hint="elevate audit prove writes one")
        note = "\n".join(lines[end + 1 :])
        try:
            extra = orjson.loads(_line(lines[1], "extra "))
            entry, openings = extra["entry"].encode(), extra["openings"].encode()
            rotations = [dict(one) for one in extra.get("rotations", ())]
            index = decimal(lines[2].removeprefix("index "))
            hashes = [a2b_base64(line, strict_mode=True) for line in lines[3:end]]
        except (ValueError, KeyError, TypeError, AttributeError, DecodingError) as exc:
            raise AuditError("the proof is damaged") from exc
        if index < 0 or not set(map(len, hashes)) <= {merkle.HASH_BYTES}:
            raise AuditError("the proof is damaged")
        return cls(index=index, hashes=hashes, note=note, entry=entry, openings=openings, rotations=rotations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """What a proof has shown.

    Attributes:
        entry: The entry, with what was opened of it.
        checkpoint: The tree that it is in.
        witnesses: Names of the witnesses whose cosignatures were checked, with when they saw it, Unix seconds.
    """

    entry: Entry
    checkpoint: Checkpoint
    witnesses: tuple[tuple[str, int], ...] = ()


_Signed: TypeAlias = tuple[Checkpoint, tuple[tuple[str, int], ...]]
"""A checkpoint that was verified, and who saw it when."""


class Checker:
    """Checks many proofs against one log's key, offline; the signatures of a checkpoint that several share are checked once.

    Args:
        key: The log's key, as it was kept; a proof says how it has handed over to later ones.
        witnesses: Keys of witnesses that must have cosigned, each of them.
    """

    def __init__(self, key: VerifierKey, *, witnesses: Sequence[VerifierKey] = ()) -> None:
        self._key = key
        self._witnesses = tuple(witnesses)
        self._known: dict[str, _Signed] = {}

    def check(self, text: str) -> Proven:
        """Check a proof.

        Args:
            text: Content of the file.

        Raises:
            AuditError: Anything is not as it must be.
        """
        proof = Proof.parse(text)
        # SECURITY: only a note that is equal to the last character, signatures with it, is one that was verified.
        checkpoint, seen = self._known.get(proof.note) or self._verify(proof)
        merkle.check_inclusion(merkle.leaf(proof.entry), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        entry = opened(proof.entry, proof.openings)
        if entry.seq != proof.index:
            raise AuditError("the entry stands at another position than it says")
        return Proven(entry=entry, checkpoint=checkpoint, witnesses=seen)

    def _verify(self, proof: Proof) -> _Signed:
        note = Note.parse(proof.note)
        key = leads_to(self._key, proof.rotations)
        if not note.signed_by(key):
            hint = "a proof from before the log had this key is checked with an earlier one: elevate audit key prints all"
            raise AuditError(f"the checkpoint is not signed by this key of {key.name}", hint=hint)
        note.verify(key)
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != key.name:
            raise AuditError("the checkpoint is of another log")
        seen = tuple((witness.name, note.verify(witness)) for witness in self._witnesses)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[proof.note] = checkpoint, seen
        return checkpoint, seen


def check(text: str, key: VerifierKey, *, witnesses: Sequence[VerifierKey] = ()) -> Proven:
    """Check one proof against the log's key, offline; `Checker` is for many.

    Args:
        text: Content of the file.
        key: The log's key, as it was kept.
        witnesses: Keys of witnesses that must have cosigned, each of them.

    Raises:
        AuditError: Anything is not as it must be.
    """
    return Checker(key, witnesses=witnesses).check(text)


def _line(line: str, prefix: str) -> bytes:
    if not line.startswith(prefix):
        raise AuditError("that is not a proof", hint="elevate audit prove writes one")
    return a2b_base64(line.removeprefix(prefix), strict_mode=True)
