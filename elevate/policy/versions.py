"""Versions in order, and ranges of them.

The order is Debian's: an epoch, then digits and other characters in turn, ``~`` before everything. It agrees with the order of
plain dotted numbers, so it serves wheels and other packages too.

Source: Debian Policy 5.6.12.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from elevate.policy.problems import RefusedValue

Key: TypeAlias = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]

MAX_CHARS = 128

_BOUND = re.compile(r"\s*(>=|<=|==|=|>|<|!=)?\s*([0-9A-Za-z][0-9A-Za-z.+~:-]*)\s*")
_PARTS = re.compile(r"([^0-9]*)([0-9]*)")


@lru_cache(maxsize=4096)
def key(version: str) -> Key:
    """Give what orders ``version``; longer than `MAX_CHARS` counts by its start only."""
    version = version[:MAX_CHARS]
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _parts(upstream), _parts(revision)


def _parts(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    return tuple((_order(word), int(digits or 0)) for word, digits in _PARTS.findall(text))


def _order(word: str) -> tuple[int, ...]:
    """Order of the characters that are not digits: ``~`` first, then the end, then letters, then the rest."""
    return (*(-1 if char == "~" else ord(char) if char.isalpha() else ord(char) + 256 for char in word), 0)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds that must all hold, as ``>=1.2, <2``."""

    text: str
    bounds: tuple[tuple[str, Key], ...]

    def holds(self, version: str) -> bool:
        """Say whether ``version`` is within all bounds."""
        mine = key(version)
        return all(_compare(mine, sign, bound) for sign, bound in self.bounds)


def _compare(mine: Key, sign: str, bound: Key) -> bool:
    match sign:
        case ">=":
            return mine >= bound
        case "<=":
            return mine <= bound
        case ">":
            return mine > bound
        case "<":
            return mine < bound
        case _:
            return mine == bound


def parse_range(text: str) -> Range:
    """Read a range.

    Raises:
        RefusedValue: It is none.
    """
    bounds = []
    for part in text.split(","):
        match = _BOUND.fullmatch(part)
        if match is None or len(part) > MAX_CHARS:
            raise RefusedValue(f"not a version range: {part.strip()[:40]!r}", 'write it like ">=1.2, <2" or "1.2.3"')
        if match.group(1) == "!=":
            raise RefusedValue("a version range has no negation", "write a deny rule for that version")
        bounds.append((match.group(1) or "=", key(match.group(2))))
    return Range(text=text, bounds=tuple(bounds))
