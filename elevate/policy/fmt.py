"""Rule files in one form: keys in one order, one line each, comments kept.

Comments above a ``[[rule]]`` stay above it; those within it move to its top, since keys change places.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from elevate.policy.places import STRING_PATTERNS, Places, parse
from elevate.policy.problems import Report, error_of
from elevate.policy.schema import KIND, RULE, SERVICE, TABLES
from elevate.policy.toml import toml_key, toml_value

_RULE_ORDER = ("id", "effect", *TABLES, "message", "why")
_ORDERS: Mapping[str, tuple[str, ...]] = {
    "rule": (*_RULE_ORDER, *(name for name in RULE if name not in _RULE_ORDER)),
    "service": tuple(SERVICE),
    "kind": (*KIND, "params"),
    "test": ("name", "given", "expect"),
}
_TOKENS = re.compile("|".join([*STRING_PATTERNS, "#[^\n]*"]), re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Block:
    """One ``[[table]]``: where it begins, what it is and what it holds."""

    start: int
    name: str
    table: Mapping[str, object]


def format_rules(name: str, text: str) -> str:
    """Give a rule file in its one form; formatting it again changes nothing.

    Raises:
        PolicyError: It is not TOML.
    """
    report = Report()
    document, places = parse(name, text, report)
    if report.problems:
        raise error_of(report.problems, report.left_out)
    blocks = _blocks(document, places)
    comments = [(match.start(), match.group().rstrip()) for match in _TOKENS.finditer(text) if match.group().startswith("#")]
    starts = [_leading_start(text, block.start) for block in blocks]
    head = [comment for at, comment in comments if not starts or at < starts[0]]
    plain = [f"{toml_key(key)} = {toml_value(value)}" for key, value in document.items() if not isinstance(value, list)]
    parts = ["\n".join([*head, *plain])] if head or plain else []
    for at, block in enumerate(blocks):
        end = starts[at + 1] if at + 1 < len(blocks) else len(text)
        above = [comment for place, comment in comments if starts[at] <= place < block.start]
        within = [comment for place, comment in comments if block.start <= place < end]
        parts.append("\n".join([*above, f"[[{block.name}]]", *within, *_lines(block)]))
    return "\n\n".join(parts) + "\n" if parts else ""


def _blocks(document: Mapping[str, object], places: Places) -> list[_Block]:
    blocks = []
    for name, tables in document.items():
        for at, table in enumerate(tables if isinstance(tables, list) else []):
            if isinstance(table, dict):
                blocks.append(_Block(places.offsets.get((name, at), places.offsets.get((name,), 0)), name, table))
    return sorted(blocks, key=lambda block: block.start)


def _leading_start(text: str, start: int) -> int:
    """Give where the comment lines right above a header begin."""
    lines = text[:start].split("\n")
    back = len(lines) - 1
    while back > 0 and lines[back - 1].lstrip().startswith("#"):
        back -= 1
    return sum(len(line) + 1 for line in lines[:back])


def _lines(block: _Block) -> Iterator[str]:
    order = _ORDERS.get(block.name, ())
    for key in sorted(block.table, key=lambda key: (order.index(key) if key in order else len(order), key)):
        yield f"{toml_key(key)} = {toml_value(_ordered(key, block.table[key]))}"


def _ordered(name: str, value: object) -> object:
    """Put the keys of a rule's table into the order of the schema."""
    table = TABLES.get(name)
    if not isinstance(value, dict) or table is None:
        return value
    names = list(table)
    return {key: value[key] for key in sorted(value, key=lambda key: (names.index(key) if key in names else len(names), key))}
