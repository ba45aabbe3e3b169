"""Who signed an MSI package: the digest over the streams of its compound file, and the same trust as a program's.

The digest is over the contents of all streams in the order of their names' bytes, storage by storage, each storage ended by its
class id; the two streams of the signature itself are left out. Where the package has ``MsiDigitalSignatureEx``, that stream is
a digest over names, sizes and times, and comes first. Bytes behind the compound file are in no digest: a package that has some
is `Verdict.APPENDED` (a Java archive behind a signed package was run in its publisher's name, CVE-2020-1464).

Source: public descriptions of the format; checked against packages that osslsigncode signs.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elevate.host.windows import cms
from elevate.host.windows.authenticode import Signed, Verdict, common_name, trust
from elevate.host.windows.compound import is_whole

if TYPE_CHECKING:
    import olefile
    from cryptography import x509
    from olefile.olefile import OleDirectoryEntry

SIGNATURE, METADATA = "\x05DigitalSignature", "\x05MsiDigitalSignatureEx"
MAX_SIGNATURE_BYTES = 1 << 20
MAX_DEPTH = 16
_STORAGE, _STREAM = 1, 2
_FREE = 0xFFFFFFFF


def check(path: str, roots: Sequence[bytes], *, now: int) -> Signed:
    """Judge the signature of an MSI package.

    Args:
        path: The file.
        roots: Certificates (DER) that the machine trusts.
        now: Unix seconds.

    Raises:
        ValueError: Not a compound file.
    """
    import olefile

    try:
        with olefile.OleFileIO(path) as file:
            if not file.exists(SIGNATURE):
                return Signed(verdict=Verdict.UNSIGNED)
            return _judge(file, path, roots, now)
    except (OSError, ValueError, AttributeError, IndexError, KeyError, TypeError, struct.error) as exc:
        raise ValueError("not an MSI package") from exc


def _judge(file: "olefile.OleFileIO", path: str, roots: Sequence[bytes], now: int) -> Signed:
    try:
        statement = cms.verify(_stream(file, [SIGNATURE], MAX_SIGNATURE_BYTES))
    except cms.WeakError:
        return Signed(verdict=Verdict.UNFIT)
    except (ValueError, KeyError):
        return Signed(verdict=Verdict.TAMPERED)
    publisher = common_name(statement.signer)
    if not is_whole(file, Path(path).read_bytes()):
        return Signed(verdict=Verdict.APPENDED, publisher=publisher)
    try:
        same = digest_of(file, statement.algorithm) == statement.digest
    except ValueError:
        same = False
    if not same:
        return Signed(verdict=Verdict.TAMPERED, publisher=publisher)
    verdict = trust(statement.signer, statement.others, [_load(root) for root in roots], now=now)
    return Signed(verdict=verdict, publisher=publisher)


def digest_of(file: "olefile.OleFileIO", algorithm: str) -> bytes:
    """Give the digest that a signature of this package is over.

    Raises:
        ValueError: The package's streams can't be told apart, or its own digest over their names and times is another.
    """
    state = hashlib.new(algorithm)
    if file.exists(METADATA):
        stored = _stream(file, [METADATA], MAX_SIGNATURE_BYTES)
        if stored != _metadata(file, algorithm):
            raise ValueError("names or times were changed")
        state.update(stored)
    for piece in _contents(file, file.root, []):
        state.update(piece)
    return state.digest()


def _contents(file: "olefile.OleFileIO", folder: "OleDirectoryEntry", place: list[str]) -> Iterator[bytes]:
    for entry in _children(folder, place):
        if entry.entry_type == _STORAGE:
            yield from _contents(file, entry, [*place, entry.name])
        elif entry.size:
            yield _stream(file, [*place, entry.name], entry.size)
    yield _class_id(folder)


def _metadata(file: "olefile.OleFileIO", algorithm: str) -> bytes:
    state = hashlib.new(algorithm)
    for entry, is_root in _all(file.root, []):
        state.update(b"" if is_root else _raw_name(entry)[:-2])
        state.update(struct.pack("<I", entry.size & _FREE) if entry.entry_type == _STREAM else _class_id(entry))
        state.update(struct.pack("<I", entry.dwUserFlags))
        state.update(b"" if is_root else struct.pack("<QQ", entry.createTime, entry.modifyTime))
    return state.digest()


def _all(folder: "OleDirectoryEntry", place: list[str]) -> "Iterator[tuple[OleDirectoryEntry, bool]]":
    yield folder, not place
    for entry in _children(folder, place):
        if entry.entry_type == _STORAGE:
            yield from _all(entry, [*place, entry.name])
        else:
            yield entry, False


def _children(folder: "OleDirectoryEntry", place: list[str]) -> "list[OleDirectoryEntry]":
    if len(place) > MAX_DEPTH:
        raise ValueError("storages within storages")
    names = [entry.name.lower() for entry in folder.kids]
    if len(set(names)) < len(names):
        raise ValueError("two streams of one name")
    left_out = () if place else (SIGNATURE, METADATA)
    return sorted((entry for entry in folder.kids if entry.name not in left_out), key=_raw_name)


def _raw_name(entry: "OleDirectoryEntry") -> bytes:
    return bytes(entry.name_raw[: entry.namelength])


def _class_id(entry: "OleDirectoryEntry") -> bytes:
    """Give the 16 bytes; olefile gives text, with the first three parts turned round, and nothing for zeros."""
    if not entry.clsid:
        return bytes(16)
    one, two, three, four, five = entry.clsid.split("-")
    turned = struct.pack("<IHH", int(one, 16), int(two, 16), int(three, 16))
    return turned + bytes.fromhex(four + five)


def _stream(file: "olefile.OleFileIO", place: list[str], limit: int) -> bytes:
    data: bytes = file.openstream(place).read(limit + 1)
    if len(data) > limit:
        raise ValueError("a stream is longer than it says")
    return data


def _load(data: bytes) -> "x509.Certificate":
    from cryptography import x509

    return x509.load_der_x509_certificate(data)
