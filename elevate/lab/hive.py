r"""Wine's registry files, read: ``user.reg`` and ``system.reg`` of a prefix. Pure.

A key is a line in brackets, a value a line with its name in quotes; backslashes are doubled. What a value holds is given as
text: strings as they are, numbers as ``dword:…``, anything else as the file writes it.
"""

import re
from typing import TypeAlias

Hive: TypeAlias = dict[str, str]
r"""``KEY\@`` or ``KEY\\name`` to data; a key of its own stands with an empty name and data."""

_KEY = re.compile(r"\[((?:[^\\\]]|\\.)*)\]")
_VALUE = re.compile(r'(?:"((?:[^"\\]|\\.)*)"|(@))=(.*)', re.DOTALL)
_TEXT = re.compile(r'(?:str\((?:2|7)\):)?"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,4}|.)", re.DOTALL)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
SEPARATOR = "\\\\"


def parse(text: str) -> Hive:
    """Read a hive; lines that are neither key nor value are left out."""
    found: Hive = {}
    key = ""
    for line in re.sub(r",\\\n\s*", ",", text).split("\n"):
        if line.startswith("["):
            match = _KEY.match(line)
            key = unescape(match[1]) if match else ""
            found[key + SEPARATOR] = ""
        elif key and (match := _VALUE.fullmatch(line)):
            name = "@" if match[2] else unescape(match[1])
            found[f"{key}{SEPARATOR}{name}"] = _data(match[3])
    return found


def split(place: str) -> tuple[str, str]:
    """Give the key and the value's name of an entry."""
    key, _, name = place.partition(SEPARATOR)
    return key, name


def unescape(text: str) -> str:
    """Undo the file's escapes."""
    return _ESCAPE.sub(_plain, text)


def _plain(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if code[0] == "x" and len(code) > 1 else _SHORT.get(code, code)


def _data(text: str) -> str:
    match = _TEXT.fullmatch(text)
    return unescape(match[1]) if match else text
