r"""``.reg`` files, version 5: what ``regedit`` and ``reg.exe`` export and import. Pure.

The emulated registry holds text and numbers; those are REG_SZ, REG_EXPAND_SZ, REG_DWORD and REG_QWORD. Anything else in a
file is an error that names its line; then nothing of the file counts.

Source: Microsoft Support, "How to add, modify, or delete registry subkeys and values by using a .reg file".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from elevate.host.registry import Data, Values

HEADER = "Windows Registry Editor Version 5.00"
MAX_BYTES = 16 * 2**20
ROOTS: Mapping[str, str] = {"HKEY_LOCAL_MACHINE": "HKLM", "HKEY_CURRENT_USER": "HKCU", "HKLM": "HKLM", "HKCU": "HKCU"}
_LONG = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER"}
_KEY = re.compile(r"\[(-?)([^\\\]]+)(?:\\(.+))?\]")
_VALUE = re.compile(r'(?:@|"((?:[^"\\]|\\.)*)")=(.*)', re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DWORD = re.compile(r"dword:([0-9a-fA-F]{1,8})")
_HEX = re.compile(r"hex\((2|b)\):((?:[0-9a-fA-F]{2}(?:,[0-9a-fA-F]{2})*)?)")
_DWORD_END = 1 << 32


class RegFileError(ValueError):
    """The file can't be read; the message has the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change: a value is set, a value is removed (``data`` None), or a key with all below it (``name`` None)."""

    root: str
    key: str
    name: str | None
    data: Data | None = None


def decode(data: bytes) -> str:
    """Give a file's text: UTF-16 with a mark, as Windows writes it, or UTF-8.

    Raises:
        RegFileError: Too large, or neither.
    """
    if len(data) > MAX_BYTES:
        raise RegFileError("line 1: the file is too large")
    try:
        return data.decode("utf-16") if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise RegFileError("line 1: the file is neither UTF-16 nor UTF-8") from exc


def parse(text: str) -> tuple[Edit, ...]:
    """Read a file.

    Raises:
        RegFileError: A line is not of the format, or holds a type that the emulated registry has not.
    """
    lines = list(_lines(text))
    if not lines or lines[0][1] != HEADER:
        raise RegFileError(f"line 1: the file does not begin with {HEADER!r}")
    edits: list[Edit] = []
    here: tuple[str, str] | None = None
    for number, line in lines[1:]:
        if line.startswith("["):
            here = _key(number, line, edits)
        elif here is None:
            raise RegFileError(f"line {number}: a value before any key")
        else:
            edits.append(_value(number, line, here))
    return tuple(edits)


def write(root: str, keys: Mapping[str, Values]) -> str:
    """Give the text of a whole hive, keys in order; ``root`` is ``HKLM`` or ``HKCU``."""
    out = [HEADER, ""]
    for key, values in sorted(keys.items(), key=lambda pair: pair[0].lower()):
        out.append(f"[{_LONG[root]}\\{key}]")
        out += [f"{_name(name)}={_data(data)}" for name, data in sorted(values.items())]
        out.append("")
    return "\r\n".join(out)


def _lines(text: str) -> list[tuple[int, str]]:
    """Give the lines that say something, with their numbers; a backslash at the end of hexadecimal joins the next."""
    found: list[tuple[int, str]] = []
    joined, start = "", 0
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        line = raw.strip()
        if not joined and (not line or line.startswith(";")):
            continue
        start = start if joined else number
        joined += line
        if joined.endswith(",\\"):
            joined = joined[:-1]
            continue
        found.append((start, joined))
        joined = ""
    if joined:
        raise RegFileError(f"line {start}: the value does not end")
    return found


def _key(number: int, line: str, edits: list[Edit]) -> tuple[str, str] | None:
    match = _KEY.fullmatch(line)
    root = ROOTS.get(match[2].upper()) if match else None
    if match is None or root is None or not match[3]:
        raise RegFileError(f"line {number}: not a key below HKEY_LOCAL_MACHINE or HKEY_CURRENT_USER")
    if match[1]:
        edits.append(Edit(root=root, key=match[3], name=None))
        return None
    return root, match[3]


def _value(number: int, line: str, here: tuple[str, str]) -> Edit:
    match = _VALUE.fullmatch(line)
    if match is None:
        raise RegFileError(f"line {number}: neither a key nor a value")
    name = _plain(match[1]) if match[1] is not None else "@"
    if match[2] == "-":
        return Edit(root=here[0], key=here[1], name=name)
    return Edit(root=here[0], key=here[1], name=name, data=_read(number, match[2]))


def _read(number: int, text: str) -> Data:
    if match := _TEXT.fullmatch(text):
        return _plain(match[1])
    if match := _DWORD.fullmatch(text):
        return int(match[1], 16)
    if match := _HEX.fullmatch(text):
        data = bytes.fromhex(match[2].replace(",", " "))
        try:
            return data.decode("utf-16-le").rstrip("\0") if match[1] == "2" else int.from_bytes(data, "little")
        except UnicodeDecodeError as exc:
            raise RegFileError(f"line {number}: the text is not UTF-16") from exc
    raise RegFileError(f"line {number}: the emulated registry holds text and numbers only")


def _name(name: str) -> str:
    return "@" if name == "@" else f'"{_escaped(name)}"'


def _data(data: Data) -> str:
    if isinstance(data, str):
        return f'"{_escaped(data)}"'
    if data < _DWORD_END:
        return f"dword:{data:08x}"
    return "hex(b):" + data.to_bytes(8, "little").hex(",")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
