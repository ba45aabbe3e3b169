"""A signature's outer form, CMS SignedData as Authenticode uses it: read strictly, and its own arithmetic checked.

Only what a signer's statement rests on is read: the signed content, one signer, its signed attributes and certificate. What is
not exactly so is refused; a length in any but the shortest form, too, since two readers could read it in two ways.

Source: RFC 5652 section 5; "Windows Authenticode Portable Executable Signature Format"; X.690 section 10.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

MAX_CERTIFICATES = 16
_SEQUENCE, _SET, _OID, _OCTETS, _ZERO, _ONE = 0x30, 0x31, 0x06, 0x04, 0xA0, 0xA1
_NULL = b"\x05\x00"
_VERSION = b"\x02\x01\x01"
_SIGNED_DATA = "1.2.840.113549.1.7.2"
_INDIRECT = "1.3.6.1.4.1.311.2.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_DIGESTS = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_RSA = frozenset({"1.2.840.113549.1.1.1", *(f"1.2.840.113549.1.1.{number}" for number in (11, 12, 13))})
_ECDSA = frozenset({"1.2.840.10045.2.1", *(f"1.2.840.10045.4.3.{number}" for number in (2, 3, 4))})


class WeakError(ValueError):
    """A digest or an algorithm that counts for nothing."""


@dataclass(frozen=True, slots=True)
class Node:
    """One element: its tag, its content, and all of it."""

    tag: int
    content: bytes
    whole: bytes

    def children(self) -> "list[Node]":
        """Give the elements in it."""
        found, data = [], self.content
        while data:
            node, data = read(data)
            found.append(node)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What was signed, and by whom.

    Attributes:
        algorithm: As `hashlib` names it.
        digest: Of the file.
        signer: Whose key signed.
        others: The certificates beside the signer's.
    """

    algorithm: str
    digest: bytes
    signer: "x509.Certificate"
    others: "tuple[x509.Certificate, ...]"


def read(data: bytes) -> tuple[Node, bytes]:
    """Read one DER element; give it and what follows.

    Raises:
        ValueError: There is none.
    """
    if len(data) < 2 or data[0] & 0x1F == 0x1F:  # noqa: PLR2004 - tag and length; a tag of one byte
        raise ValueError("no element")
    size, head = data[1], 2
    if size & 0x80:
        count = size & 0x7F
        size, head = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        if not 1 <= count <= 4 or size < 0x80 or size >> 8 * (count - 1) == 0:  # noqa: PLR2004 - the shortest form
            raise ValueError("length")
    if head + size > len(data):
        raise ValueError("cut off")
    return Node(data[0], data[head : head + size], data[: head + size]), data[head + size :]


def verify(data: bytes) -> Statement:
    """Read a signature, and check that the signer's key signed what it says.

    Args:
        data: The SignedData, to its last byte.

    Raises:
        ValueError: It does not hold, or is of another form.
        WeakError: It may hold, with an algorithm that counts for nothing.
    """
    outer, rest = read(data)
    kind, wrapped = _expect(outer, _SEQUENCE).children()
    if rest or _oid(kind) != _SIGNED_DATA:
        raise ValueError("not SignedData")
    [signed] = _expect(wrapped, _ZERO).children()
    version, digests, content, *more = _expect(signed, _SEQUENCE).children()
    certificates = [_load(node.whole) for node in _of(more, _ZERO)[:MAX_CERTIFICATES]]
    [signer_info] = _of(more, _SET)
    statement, covered = _content(content)
    if version.whole != _VERSION or [_digest_name(one) for one in _expect(digests, _SET).children()] != [statement[0]]:
        raise ValueError("another version or digest than the signer's")
    return _check_signer(_expect(signer_info, _SEQUENCE).children(), statement, covered, certificates)


def _content(content: Node) -> tuple[tuple[str, bytes], bytes]:
    """Give algorithm and digest of the file, and the bytes that the signer's own digest is over."""
    kind, wrapped = _expect(content, _SEQUENCE).children()
    if _oid(kind) != _INDIRECT:
        raise ValueError("not a file's signature")
    [indirect] = _expect(wrapped, _ZERO).children()
    _data, info = _expect(indirect, _SEQUENCE).children()
    algorithm, digest = _expect(info, _SEQUENCE).children()
    return (_digest_name(algorithm), _expect(digest, _OCTETS).content), indirect.content


def _check_signer(
    parts: list[Node], statement: tuple[str, bytes], covered: bytes, certificates: "Sequence[x509.Certificate]"
) -> Statement:
    version, who, digest_algorithm, attributes, key_algorithm, signature, *rest = parts
    if version.whole != _VERSION or len(rest) > 1 or any(node.tag != _ONE for node in rest):
        raise ValueError("more than one signer's part")
    algorithm = _digest_name(digest_algorithm)
    said = {_oid(kind): values.children() for kind, values in (one.children() for one in _expect(attributes, _ZERO).children())}
    [content_type], [digest] = said[_CONTENT_TYPE], said[_MESSAGE_DIGEST]
    if _oid(content_type) != _INDIRECT or _expect(digest, _OCTETS).content != hashlib.new(algorithm, covered).digest():
        raise ValueError("the signer signed something else")
    signer = _find(who, certificates)
    # RFC 5652 section 5.4: what is signed is the attributes as a SET, whatever tag they stand under.
    _check_key(signer, _algorithm(key_algorithm), signature, bytes([_SET]) + attributes.whole[1:], algorithm)
    others = tuple(one for one in certificates if one != signer)
    return Statement(algorithm=statement[0], digest=statement[1], signer=signer, others=others)


def _check_key(signer: "x509.Certificate", kind: str, signature: Node, data: bytes, algorithm: str) -> None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    name = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[algorithm]
    said = _expect(signature, _OCTETS).content
    try:
        key = signer.public_key()
        if kind in _RSA and isinstance(key, rsa.RSAPublicKey):
            key.verify(said, data, padding.PKCS1v15(), name)
        elif kind in _ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(said, data, ec.ECDSA(name))
        else:
            raise WeakError("the key's algorithm")
    except UnsupportedAlgorithm as exc:
        raise WeakError("the key's algorithm") from exc
    except InvalidSignature as exc:
        raise ValueError("the signature does not verify") from exc


def _find(who: Node, certificates: "Sequence[x509.Certificate]") -> "x509.Certificate":
    issuer, serial = _expect(who, _SEQUENCE).children()
    number = int.from_bytes(serial.content, "big", signed=True)
    for one in certificates:
        if one.issuer.public_bytes() == issuer.whole and one.serial_number == number:
            return one
    raise ValueError("the signer's certificate is not there")


def _of(nodes: list[Node], tag: int) -> list[Node]:
    return [child for node in nodes if node.tag == tag for child in node.children()]


def _expect(node: Node, tag: int) -> Node:
    if node.tag != tag:
        raise ValueError("another element was to be here")
    return node


def _algorithm(node: Node) -> str:
    """Give an algorithm's identifier; none that counts here has parameters."""
    kind, *parameters = _expect(node, _SEQUENCE).children()
    if [one.whole for one in parameters] not in ([], [_NULL]):
        raise ValueError("parameters")
    return _oid(kind)


def _digest_name(algorithm: Node) -> str:
    name = _algorithm(algorithm)
    if name not in _DIGESTS:
        raise WeakError("the digest")
    return _DIGESTS[name]


def _oid(node: Node) -> str:
    numbers, value = [], 0
    for byte in _expect(node, _OID).content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        raise ValueError("no identifier")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _load(data: bytes) -> "x509.Certificate":
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(data)
    except x509.InvalidVersion as exc:
        raise ValueError("a certificate") from exc
