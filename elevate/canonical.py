"""Canonical JSON out, strict JSON in: the only ways JSON is handled where a digest or a right depends on it.

Out: RFC 8785 restricted to ASCII member names, strings, booleans, null, lists and integers within 2^53 - 1. In that subset
`orjson` with sorted keys gives the bytes of RFC 8785.
In: UTF-8 without a byte order mark, no duplicate members, no floats, no NaN, bounded in size and depth; or, where we wrote it
ourselves, only the very bytes that we would write.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import NoReturn, TypeAlias

import orjson

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

MAX_INTEGER = 2**53 - 1
MAX_INTEGER_CHARS = 17
MAX_DEPTH = 32
_PLAIN = frozenset({str, bool, type(None)})


def encode(value: object) -> bytes:
    """Give the canonical bytes of ``value``.

    Raises:
        ValueError: A float, a non-ASCII member name, an integer beyond 2^53 - 1, a lone surrogate or another type.

    Source: RFC 8785.
    """
    _check(value, MAX_DEPTH)
    return _write(value)


def encode_each(values: Iterable[object]) -> list[bytes]:
    """Give the canonical bytes of each value; together they are checked in less time than one by one.

    Raises:
        ValueError: As `encode`, for any of them.
    """
    held = list(values)
    _check(held, MAX_DEPTH + 1)
    return list(map(_write, held))


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical bytes, as 64 lower-case hexadecimal characters."""
    return hashlib.sha256(encode(value)).hexdigest()


def decode(data: bytes, *, max_bytes: int) -> Json:
    """Parse strict JSON.

    Args:
        data: UTF-8 text.
        max_bytes: More is refused before it is parsed.

    Raises:
        ValueError: Too long, too deep, not Unicode, not JSON, a duplicate member, or a number that is not a small integer.
    """
    if len(data) > max_bytes:
        raise _refuse(f"more than {max_bytes} bytes")
    try:
        value: Json = _DECODER.decode(data.decode("utf-8"))
    except RecursionError as exc:
        raise _refuse("nested too deeply") from exc
    # Fewer brackets than the limit can't nest beyond it: most messages need no second walk.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    # UTF-8 holds no lone surrogate, but an escape can name one (RFC 7493 section 2.1 forbids it).
    if b"\\u" in data:
        _write(value)
    return value


def decode_exact(data: bytes, *, max_bytes: int) -> Json:
    """Parse JSON that must be in the form that `encode` gives, byte for byte.

    So there are no duplicate members, no spaces, no second spelling of anything. Floats, integers beyond 2^53 - 1, member
    names beyond ASCII and up to 254 levels are left for the caller, who checks every member by name and type.

    Raises:
        ValueError: Too long, too deep, not JSON, or not canonical.
    """
    if len(data) > max_bytes:
        raise _refuse(f"more than {max_bytes} bytes")
    value: Json = orjson.loads(data)
    if _write(value) != data:
        raise _refuse("not in canonical form")
    return value


def decode_canonical(data: bytes, *, max_bytes: int) -> Json:
    """Parse JSON that `encode` could have given, and nothing else: `decode_exact`, and all that this leaves for its caller.

    Raises:
        ValueError: As `decode_exact`, or as `encode`.
    """
    value = decode_exact(data, max_bytes=max_bytes)
    _check(value, MAX_DEPTH)
    return value


def _write(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as exc:  # it reads four times as deep as it writes, and refuses lone surrogates
        raise _refuse("text that is not Unicode, or nested too deeply") from exc


def _check(value: object, depth: int) -> None:
    """Refuse what is not canonical JSON; level by level, for a call for each value costs more than all else."""
    level: list[object] = [value]
    while level:
        if depth < 0:
            raise _refuse("nested too deeply")
        below: list[object] = []
        for one in level:
            kind = type(one)
            if kind in _PLAIN or (kind is int and -MAX_INTEGER <= one <= MAX_INTEGER):  # type: ignore[operator]  # it is one
                continue  # as most are
            if kind is dict or isinstance(one, dict):
                _check_names(one)  # type: ignore[arg-type]  # it is one
                below += one.values()  # type: ignore[attr-defined]  # the same
            elif isinstance(one, list | tuple):
                below += one
            else:
                _check_scalar(one)
        level, depth = below, depth - 1


def _check_scalar(value: object) -> None:
    if isinstance(value, int):
        _check_integer(value)
    elif not isinstance(value, str | None):
        raise _refuse(f"a {type(value).__name__} is not canonical JSON")


def _check_names(members: dict[object, object]) -> None:
    try:
        if "".join(members).isascii():  # type: ignore[arg-type]  # what is no text raises
            return
    except TypeError:
        pass
    raise _refuse("a member name that is not ASCII text")


def _check_depth(value: Json, depth: int) -> None:
    if depth < 0:
        raise _refuse("nested too deeply")
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            _check_depth(member, depth - 1)


def _check_integer(value: int) -> int:
    if abs(value) > MAX_INTEGER:
        raise _refuse("an integer beyond 2^53 - 1")
    return value


def _integer(text: str) -> int:
    # Bounded before it is converted: the longest small integer has 17 characters with its sign.
    if len(text) > MAX_INTEGER_CHARS or text == "-0":
        raise _refuse("an integer beyond 2^53 - 1")
    return _check_integer(int(text))


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refuse("a duplicate member")
    return members


def _no_float(text: str) -> NoReturn:
    raise _refuse(f"{text[:40]} is not an integer")


def _refuse(message: str) -> ValueError:
    return ValueError(message)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_int=_integer, parse_constant=_no_float)
