"""Signed notes: a text, an empty line, and one line per signature. Checkpoints are signed notes.

A key is named by its text form ``name+hash+base64`` (a verifier key); the hash binds the name to the key.

Source: C2SP signed-note, tlog-checkpoint and tlog-cosignature; golang.org/x/mod/sumdb/note.
"""

import hashlib
import re
from base64 import b64encode
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from elevate.audit.merkle import HASH_BYTES
from elevate.errors import AuditError

ED25519 = 1
COSIGNATURE = 4
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_DASH = "\N{EM DASH} "
_SECRET = "PRIVATE+KEY+"  # noqa: S105 - a format's name
MAX_SIZE = 2**63 - 1
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff\ufffd]")
"""And what is no Unicode text: it comes of bytes that are not UTF-8."""
_MAX_DIGITS = len(str(MAX_SIZE))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with its name.

    Attributes:
        kind: `ED25519` for notes, `COSIGNATURE` for a witness.
        key: 32 bytes.
    """

    name: str
    kind: int
    key: bytes

    def __post_init__(self) -> None:
        """Refuse a name or a key that no note can carry."""
        if not _is_name(self.name) or len(self.key) != _KEY_BYTES or self.kind not in {ED25519, COSIGNATURE}:
            raise AuditError("that is not the key of a log or a witness")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form.

        Raises:
            AuditError: It is not one, or its hash does not fit.
        """
        name, _, rest = text.strip().partition("+")
        mark, _, encoded = rest.partition("+")
        data = _decode(encoded)
        if not data:
            raise AuditError("that is not the key of a log or a witness", hint="a key is NAME+HASH+KEY, as init prints it")
        key = cls(name=name, kind=data[0], key=data[1:])
        if mark != key.hash.hex():
            raise AuditError("the key's hash does not fit its name")
        return key

    @property
    def hash(self) -> bytes:
        """First four bytes of the SHA-256 over name and key; what a signature line begins with."""
        return _hash(self.name, self.kind, self.key)

    def __str__(self) -> str:
        """Give the text form."""
        return f"{self.name}+{self.hash.hex()}+{b64encode(bytes([self.kind]) + self.key).decode()}"

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check an Ed25519 signature.

        Raises:
            AuditError: It does not verify.
        """
        try:
            _public(self.key).verify(signature, message)
        except (InvalidSignature, ValueError) as exc:
            raise AuditError(f"the signature of {self.name} does not verify") from exc


@lru_cache(maxsize=64)
def _hash(name: str, kind: int, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


@lru_cache(maxsize=64)
def _public(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A private key with its name."""

    name: str
    key: Ed25519PrivateKey

    @classmethod
    def make(cls, name: str, seed: bytes) -> Self:
        """Make a key from 32 unpredictable bytes."""
        return cls(name=name, key=Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form of a private key.

        Raises:
            AuditError: It is not one.
        """
        rest = text.strip().removeprefix(_SECRET)
        name, _, tail = rest.partition("+")
        data = _decode(tail.partition("+")[2])
        if len(data) != 1 + _KEY_BYTES or data[0] != ED25519 or not text.startswith(_SECRET):
            raise AuditError("that is not the private key of a log")
        made = cls.make(name, data[1:])
        if tail.partition("+")[0] != made.verifier.hash.hex():
            raise AuditError("the private key's hash does not fit its name")
        return made

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        raw = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifierKey(name=self.name, kind=ED25519, key=raw)

    def secret(self) -> str:
        """Give the text form of the private key."""
        seed = b64encode(bytes([ED25519]) + self.key.private_bytes_raw()).decode()
        return f"{_SECRET}{self.name}+{self.verifier.hash.hex()}+{seed}"

    def sign(self, text: str) -> str:
        """Give a note: the text with our signature."""
        return f"{text}\n{signature_line(self.verifier, self.key.sign(text.encode()))}"


def signature_line(key: VerifierKey, signature: bytes) -> str:
    """Give the line that carries a signature."""
    return f"{_DASH}{key.name} {b64encode(key.hash + signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: name, key hash, and what follows it."""

    name: str
    hash: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note as read; nothing of it has been verified."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, note: str) -> Self:
        """Read a note.

        Raises:
            AuditError: It is malformed.
        """
        if len(note) > MAX_NOTE_BYTES or _has_control(note):
            raise AuditError("the note is too long or holds control characters")
        head, split, tail = note.rpartition("\n\n")
        lines = tail.removesuffix("\n").split("\n")
        if not split or not tail.endswith("\n") or len(lines) > MAX_SIGNATURES:
            raise AuditError("the note is malformed")
        return cls(head + "\n", tuple(_signature(line) for line in lines))

    def signed_by(self, key: VerifierKey) -> bool:
        """Say whether a line claims to be this key's."""
        mark = key.hash
        return any((found.name, found.hash) == (key.name, mark) for found in self.signatures)

    def verify(self, key: VerifierKey) -> int:
        """Check this key's signature; give the time of a cosignature in Unix seconds, else 0.

        Raises:
            AuditError: It is not there, or does not verify.
        """
        mark = key.hash
        own = [found for found in self.signatures if found.name == key.name and found.hash == mark]
        if len(own) != 1:
            raise AuditError(f"the note is not signed once by {key.name}")
        if key.kind == ED25519:
            key.verify(self.text.encode(), own[0].data)
            return 0
        unix = int.from_bytes(own[0].data[:_TIME_BYTES], "big")
        key.verify(cosigned(self.text, unix), own[0].data[_TIME_BYTES:])
        return unix


def cosigned(text: str, unix: int) -> bytes:
    """Give what a witness signs: the checkpoint and when it was seen, in Unix seconds."""
    return f"cosignature/v1\ntime {unix}\n{text}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint says: the log's name, its number of entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Give the note's text."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a note's text.

        Raises:
            AuditError: It is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or not lines[0] or lines[-1]:  # noqa: PLR2004 - three lines and the end of the last
            raise AuditError("that is not a checkpoint")
        origin, size, root = lines[:3]
        number = decimal(size)
        digest = _decode(root)
        if not 0 <= number <= MAX_SIZE or len(digest) != HASH_BYTES:
            raise AuditError("that is not a checkpoint")
        return cls(origin=origin, size=number, root=digest)


def decimal(text: str) -> int:
    """Read a number as C2SP writes it; -1 where it is none, or larger than any log."""
    plain = 0 < len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    return int(text) if plain else -1


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    data = _decode(encoded)
    if not line.startswith(_DASH) or not _is_name(name) or len(data) < 5:  # noqa: PLR2004 - the hash and something
        raise AuditError("a signature line of the note is malformed")
    return Signature(name, data[:4], data[4:])


def _is_name(name: str) -> bool:
    # What has no white space in it is its only word.
    return name.split() == [name] and "+" not in name and not _has_control(name)


def _has_control(text: str) -> bool:
    # What can all be printed but for its line ends holds none; that is known sooner than a search ends.
    plain = text.replace("\n", "").isprintable() and _UNKNOWN not in text
    return not plain and bool(_CONTROL.search(text))


def _decode(text: str) -> bytes:
    """Read base64 as it is written, and nothing that only means the same; empty where it is none."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except ValueError:
        return b""
    return data if b2a_base64(data, newline=False) == text.encode() else b""
