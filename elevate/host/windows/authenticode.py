"""Who signed a program, by its Authenticode signature and roots of our own.

The signature's own arithmetic is LIEF's. Around it stand the checks that decide whether it says anything: nothing may be
appended to what was signed, the digest must be a strong one, and the certificates must lead to one of the machine's roots, be
valid now and be made for signing code. A time stamp does not make an expired certificate count: see docs/deviations.md.

Source: PE/COFF specification, "The Attribute Certificate Table"; RFC 5280 section 6.1; MS13-098 (appended data).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lief
    from cryptography import x509

MAX_CHAIN = 8
_SECURITY = 4
_STRONG = frozenset({"SHA_256", "SHA_384", "SHA_512"})
_ALIGNMENT = 8


class Verdict(StrEnum):
    """What became of the check; only `SIGNED` names a publisher."""

    SIGNED = "signed"
    UNSIGNED = "unsigned"
    TAMPERED = "tampered"
    """The file is not what was signed, or the signature itself does not verify."""
    APPENDED = "appended"
    """Something stands behind or inside the signature that it does not cover."""
    UNTRUSTED = "untrusted"
    """The certificates lead to none of the machine's roots."""
    EXPIRED = "expired"
    """A certificate is not valid now."""
    UNFIT = "unfit"
    """The certificate is not made for signing code, or a digest is weak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The verdict, and who signed; the name is told for the person to see even where it proves nothing."""

    verdict: Verdict
    publisher: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where the attribute certificates lie: offset and size in bytes; both 0 where there are none."""

    offset: int
    size: int


def check(path: str, roots: Sequence[bytes], *, now: int) -> Signed:
    """Judge the signature of a PE file.

    Args:
        path: The file.
        roots: Certificates (DER) that the machine trusts.
        now: Unix seconds.
    """
    import lief

    table = find_table(path)
    if table.size == 0:
        return Signed(verdict=Verdict.UNSIGNED)
    binary = lief.PE.parse(path)
    signatures = list(binary.signatures) if binary is not None else []
    signers = list(signatures[0].signers) if signatures else []
    signer = signers[0].cert if len(signers) == 1 else None
    if binary is None or signer is None:
        return Signed(verdict=Verdict.TAMPERED)
    leaf = _load(bytes(signer.raw))
    verdict = _arithmetic(binary, signatures) if exactly_covered(path, table) else Verdict.APPENDED
    if verdict is Verdict.SIGNED:
        others = [_load(bytes(one.raw)) for one in signatures[0].certificates]
        verdict = trust(leaf, others, [_load(root) for root in roots], now=now)
    return Signed(verdict=verdict, publisher=common_name(leaf))


def _arithmetic(binary: "lief.PE.Binary", signatures: "list[lief.PE.Signature]") -> Verdict:
    import lief

    checks, fine = lief.PE.Signature.VERIFICATION_CHECKS.SKIP_CERT_TIME, lief.PE.Signature.VERIFICATION_FLAGS.OK
    if any(binary.verify_signature(one, checks) != fine for one in signatures):
        return Verdict.TAMPERED
    return Verdict.SIGNED if all(one.digest_algorithm.name in _STRONG for one in signatures) else Verdict.UNFIT


def trust(
    leaf: "x509.Certificate", others: Sequence["x509.Certificate"], roots: Sequence["x509.Certificate"], *, now: int
) -> Verdict:
    """Follow the certificates from the signer's to a root.

    The first that issued is followed: Authenticode's bundles hold one chain. An anchor is a root by its exact bytes.
    """
    if not _signs_code(leaf):
        return Verdict.UNFIT
    here, moment = leaf, datetime.fromtimestamp(now, UTC)
    for _ in range(MAX_CHAIN):
        if not here.not_valid_before_utc <= moment < here.not_valid_after_utc:
            return Verdict.EXPIRED
        if here in roots:
            return Verdict.SIGNED
        issuer = next((one for one in (*roots, *others) if one != here and _issued(here, one)), None)
        if issuer is None:
            return Verdict.UNTRUSTED
        here = issuer
    return Verdict.UNTRUSTED


def find_table(path: str) -> Table:
    """Read the place of the attribute certificates from a PE file's headers.

    Raises:
        ValueError: Not a PE file.
    """
    with Path(path).open("rb") as file:
        head = file.read(4096)
    try:
        (start,) = struct.unpack_from("<I", head, 0x3C)
        if head[:2] != b"MZ" or head[start : start + 4] != b"PE\0\0":
            raise ValueError("not a PE file")
        (magic,) = struct.unpack_from("<H", head, start + 24)
        directories = start + 24 + {0x10B: 96, 0x20B: 112}[magic]
        (count,) = struct.unpack_from("<I", head, directories - 4)
        offset, size = struct.unpack_from("<II", head, directories + 8 * _SECURITY) if count > _SECURITY else (0, 0)
    except (struct.error, KeyError) as exc:
        raise ValueError("not a PE file") from exc
    return Table(offset=offset, size=size)


def exactly_covered(path: str, table: Table) -> bool:
    """Say whether the table ends the file and holds nothing but signatures and their padding of zeros."""
    with Path(path).open("rb") as file:
        file.seek(table.offset)
        data = file.read()
    if len(data) != table.size:
        return False
    while data:
        if len(data) < 8:  # noqa: PLR2004 - the header of an entry
            return False
        (length,) = struct.unpack_from("<I", data)
        padded = -(-length // _ALIGNMENT) * _ALIGNMENT
        entry = data[8:length]
        used = der_length(entry)
        if used is None or len(entry) - used >= _ALIGNMENT or any(entry[used:]) or any(data[length:padded]):
            return False
        data = data[padded:]
    return True


def der_length(data: bytes) -> int | None:
    """Give the whole length of the DER sequence at the start of ``data``; None where there is none within."""
    if len(data) < 2 or data[0] != 0x30:  # noqa: PLR2004 - tag and length; a sequence
        return None
    size, head = data[1], 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 4 or len(data) < 2 + count:  # noqa: PLR2004 - no certificate table is longer
            return None
        size, head = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    return head + size if head + size <= len(data) else None


def common_name(certificate: "x509.Certificate") -> str:
    """Give the subject's common name; empty where it has not exactly one."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


def _load(data: bytes) -> "x509.Certificate":
    from cryptography import x509

    return x509.load_der_x509_certificate(data)


def _signs_code(leaf: "x509.Certificate") -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return ExtendedKeyUsageOID.CODE_SIGNING in usage


def _issued(certificate: "x509.Certificate", issuer: "x509.Certificate") -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True
