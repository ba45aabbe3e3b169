"""CTAP2 canonical CBOR, as much of it as keys and attestations use. Pure, strict, bounded.

Source: RFC 8949 section 4.2.1; CTAP 2.1 section 8 (message encoding).
"""

from collections.abc import Mapping
from typing import TypeAlias

Cbor: TypeAlias = "int | bytes | str | bool | list[Cbor] | dict[int | str, Cbor] | None"

MAX_DEPTH = 8
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}
_SIMPLE: dict[int, bool | None] = {20: False, 21: True, 22: None}
_DIRECT = 24


def encode(value: object) -> bytes:  # noqa: PLR0911 - one return for each type
    """Give the canonical encoding.

    Raises:
        ValueError: A type that has no place here.
    """
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list() | tuple():
            return _head(4, len(value)) + b"".join(encode(member) for member in value)
        case Mapping():
            pairs = sorted(((encode(name), encode(member)) for name, member in value.items()), key=_order)
            return _head(5, len(pairs)) + b"".join(name + member for name, member in pairs)
        case _:
            raise ValueError(f"no CBOR for a {type(value).__name__}")


def decode(data: bytes) -> Cbor:
    """Read one value that fills ``data``.

    Raises:
        ValueError: Cut short, with a rest, not canonical, too deep, or a type that has no place here.
    """
    value, rest = decode_first(data)
    if rest:
        raise ValueError("bytes after the CBOR value")
    return value


def decode_first(data: bytes) -> tuple[Cbor, bytes]:
    """Read the first value; give it and what follows."""
    value, rest = _read(data, MAX_DEPTH)
    if encode(value) != data[: len(data) - len(rest)]:
        raise ValueError("the CBOR is not canonical")
    return value, rest


def _order(pair: tuple[bytes, bytes]) -> tuple[int, int, bytes]:
    name = pair[0]
    return name[0] >> 5, len(name), name


def _head(major: int, size: int) -> bytes:
    if size < _DIRECT:
        return bytes([major << 5 | size])
    for code, width in _SIZES.items():
        if size < 1 << 8 * width:
            return bytes([major << 5 | code]) + size.to_bytes(width, "big")
    raise ValueError("a number too large for CBOR")


def _read(data: bytes, depth: int) -> tuple[Cbor, bytes]:
    if not data or depth < 0:
        raise ValueError("the CBOR is cut short or too deep")
    major, info = data[0] >> 5, data[0] & 31
    if major == 7:  # noqa: PLR2004 - major type 7, simple values
        if info not in _SIMPLE:
            raise ValueError("a CBOR simple value that has no place here")
        return _SIMPLE[info], data[1:]
    size, rest = _number(info, data[1:])
    return _body(major, size, rest, depth)


def _number(info: int, data: bytes) -> tuple[int, bytes]:
    if info < _DIRECT:
        return info, data
    width = _SIZES.get(info, 0)
    if not width or len(data) < width:
        raise ValueError("the CBOR is cut short")
    return int.from_bytes(data[:width], "big"), data[width:]


def _body(major: int, size: int, data: bytes, depth: int) -> tuple[Cbor, bytes]:
    match major:
        case 0:
            return size, data
        case 1:
            return -1 - size, data
        case 2 | 3:
            if size > len(data):
                raise ValueError("the CBOR is cut short")
            return (data[:size] if major == 2 else data[:size].decode()), data[size:]  # noqa: PLR2004 - bytes, not text
        case 4:
            return _list(size, data, depth)
        case 5:
            return _map(size, data, depth)
        case _:
            raise ValueError("a CBOR tag has no place here")


def _list(size: int, data: bytes, depth: int) -> tuple[Cbor, bytes]:
    members: list[Cbor] = []
    for _ in range(min(size, len(data) + 1)):
        member, data = _read(data, depth - 1)
        members.append(member)
    return members, data


def _map(size: int, data: bytes, depth: int) -> tuple[Cbor, bytes]:
    members: dict[int | str, Cbor] = {}
    for _ in range(min(size, len(data) + 1)):
        name, data = _read(data, depth - 1)
        if not isinstance(name, int | str) or name in members:
            raise ValueError("a CBOR member name that is no number or text, or comes twice")
        members[name], data = _read(data, depth - 1)
    return members, data
