"""Canonical JSON out, strict JSON in: the only two ways JSON is handled where a digest or a right depends on it.

Out: RFC 8785 restricted to ASCII member names, strings, booleans, null, lists and integers within 2^53 - 1. In that subset
`orjson` with sorted keys gives the bytes of RFC 8785.
In: UTF-8 without a byte order mark, no duplicate members, no floats, no NaN, bounded in size and depth.
"""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn, TypeAlias

import orjson

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32


def encode(value: object) -> bytes:
    """Give the canonical bytes of ``value``.

    Raises:
        ValueError: A float, a non-ASCII member name, an integer beyond 2^53 - 1, a lone surrogate or another type.

    Source: RFC 8785.
    """
    _check(value, MAX_DEPTH)
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as exc:
        raise _refuse("text that is not Unicode") from exc


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical bytes, as 64 lower-case hexadecimal characters."""
    return hashlib.sha256(encode(value)).hexdigest()


def decode(data: bytes, *, max_bytes: int) -> Json:
    """Parse strict JSON.

    Args:
        data: UTF-8 text.
        max_bytes: More is refused before it is parsed.

    Raises:
        ValueError: Too long, too deep, not UTF-8, not JSON, a duplicate member, or a number that is not a small integer.
    """
    if len(data) > max_bytes:
        raise _refuse(f"more than {max_bytes} bytes")
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except RecursionError as exc:
        raise _refuse("nested too deeply") from exc
    _check(value, MAX_DEPTH, ascii_names=False)
    return value


def _check(value: object, depth: int, *, ascii_names: bool = True) -> None:
    if depth < 0:
        raise _refuse("nested too deeply")
    match value:
        case str() | bool() | None:
            return
        case int():
            if abs(value) > MAX_INTEGER:
                raise _refuse("an integer beyond 2^53 - 1")
        case dict() | MappingProxyType():
            _check_names(value, ascii_names=ascii_names)
            for member in value.values():
                _check(member, depth - 1, ascii_names=ascii_names)
        case list() | tuple():
            for member in value:
                _check(member, depth - 1, ascii_names=ascii_names)
        case _:
            raise _refuse(f"a {type(value).__name__} is not canonical JSON")


def _check_names(members: Mapping[object, object], *, ascii_names: bool) -> None:
    if not all(isinstance(name, str) and (name.isascii() or not ascii_names) for name in members):
        raise _refuse("a member name that is not ASCII text")


def _refuse(message: str) -> ValueError:
    return ValueError(message)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refuse("a duplicate member")
    return members


def _no_float(text: str) -> NoReturn:
    raise _refuse(f"{text} is not an integer")
