"""An MSI package's properties, read with olefile: it is a small database in a compound file.

A stream's name packs two characters of a table's name into one; the strings of all tables lie in one pool.

Source: public descriptions of the format; checked against packages that msitools builds.
"""

import struct
from typing import TYPE_CHECKING

from elevate.host.windows.detect import Traits

if TYPE_CHECKING:
    import olefile

MAX_STREAM_BYTES = 16 * 2**20
MAX_TEXT = 256
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._"
_PAIR, _ONE, _TABLE, _END = 0x3800, 0x4800, 0x4840, 0x4840
_WIDE_REFERENCES = 0x8000
_KEPT = ("ProductName", "ProductVersion", "Manufacturer", "ALLUSERS", "MSIINSTALLPERUSER", "ProductCode", "UpgradeCode")


def read(path: str) -> Traits:
    """Read a package.

    Raises:
        ValueError: Not an MSI package.
    """
    properties = all_properties(path)
    kept = {name: properties[name][:MAX_TEXT] for name in _KEPT if name in properties}
    # The words that Windows looks for in a program's version strings.
    names = {"ProductName": kept.get("ProductName", ""), "CompanyName": kept.get("Manufacturer", "")}
    return Traits(kind="msi", strings=kept | names, version=kept.get("ProductVersion", ""))


def all_properties(path: str) -> dict[str, str]:
    """Give the Property table.

    Raises:
        ValueError: Not an MSI package.
    """
    import olefile

    try:
        with olefile.OleFileIO(path) as file:
            streams = {decode_name(entry[0]): entry[0] for entry in file.listdir() if len(entry) == 1}
            pool = _stream(file, streams["\u4840_StringPool"])
            strings, wide = _strings(pool, _stream(file, streams["\u4840_StringData"]))
            return _properties(_stream(file, streams["\u4840Property"]), strings, wide=wide)
    except (OSError, KeyError, IndexError, struct.error, UnicodeError, LookupError, AttributeError, TypeError) as exc:
        raise ValueError("not an MSI package") from exc


def decode_name(name: str) -> str:
    """Give a stream's real name; a table's begins with U+4840."""
    out: list[str] = []
    for char in name:
        code = ord(char)
        if _PAIR <= code < _ONE:
            code -= _PAIR
            out += (_ALPHABET[code & 0x3F], _ALPHABET[code >> 6])
        elif _ONE <= code < _END:
            out.append(_ALPHABET[code - _ONE])
        else:
            out.append(char)
    return "".join(out)


def _stream(file: "olefile.OleFileIO", name: str) -> bytes:
    data: bytes = file.openstream([name]).read(MAX_STREAM_BYTES + 1)
    if len(data) > MAX_STREAM_BYTES:
        raise ValueError("a table of the package is too large")
    return data


def _strings(pool: bytes, data: bytes) -> tuple[list[str], bool]:
    code_page, flags = struct.unpack_from("<HH", pool)
    encoding = {0: "latin-1", 65001: "utf-8"}.get(code_page, f"cp{code_page}")
    strings, place, at = [""], 0, 4
    while at + 4 <= len(pool):
        size, uses = struct.unpack_from("<HH", pool, at)
        at += 4
        if size == 0 and uses:
            (size,) = struct.unpack_from("<I", pool, at)
            at += 4
        strings.append(data[place : place + size].decode(encoding, "replace"))
        place += size
    return strings, bool(flags & _WIDE_REFERENCES)


def _properties(data: bytes, strings: list[str], *, wide: bool) -> dict[str, str]:
    size = 3 if wide else 2
    rows = len(data) // (2 * size)
    # A table is stored by columns: all names first, then all values.
    cells = [int.from_bytes(data[at : at + size], "little") for at in range(0, 2 * size * rows, size)]
    return {strings[cells[row]]: strings[cells[rows + row]] for row in range(rows)}
