"""docs/sudo-compatibility.md and tests/sudo: each row names a test, each test has a row."""

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEAST = 120
_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]*) \| `([^`|]+)` \|$", re.MULTILINE)
_KINDS = ("same", "differs", "refused")
_COUNTS = re.compile(r"^Rows: (\d+); the same: (\d+); different: (\d+); refused: (\d+)\.$", re.MULTILINE)


def _text() -> str:
    return (ROOT / "docs" / "sudo-compatibility.md").read_text()


def _rows() -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in row) for row in _ROW.findall(_text())]


def _behaviours() -> Iterator[str]:
    """Give the id of every behaviour: the test's, with the case's where there are several."""
    for path in sorted((ROOT / "tests" / "sudo").glob("test_*.py")):
        module = importlib.import_module(f"tests.sudo.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and function.__module__ == module.__name__:
                yield from (f"{path.name}::{name}{case}" for case in _cases(function))


def _cases(function: object) -> list[str]:
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            ids, values = mark.kwargs.get("ids"), list(mark.args[1])
            names = [ids(value) for value in values] if callable(ids) else list(ids or map(str, values))
            return [f"[{name}]" for name in names]
    return [""]


def test_each_row_names_a_test_and_each_test_has_a_row() -> None:
    """Once."""
    named = [row[4] for row in _rows()]
    assert [name for name, count in Counter(named).items() if count > 1] == []
    assert sorted(named) == sorted(_behaviours())
    assert len(named) >= LEAST


def test_each_row_says_what_elevate_does_and_a_difference_has_a_reason() -> None:
    """Same, differs or refused."""
    kinds = [(row[2].partition(":")[0], row[2], row[3]) for row in _rows()]
    assert [kind for kind, _, _ in kinds if kind not in _KINDS] == []
    assert [said for kind, said, why in kinds if kind != "same" and (": " not in said or not why)] == []


def test_counts_are_those_of_the_table() -> None:
    """They are read by people."""
    found = _COUNTS.search(_text())
    count = Counter(row[2].partition(":")[0] for row in _rows())
    assert found is not None
    assert [int(number) for number in found.groups()] == [count.total(), *(count[kind] for kind in _KINDS)]


def test_every_line_of_a_table_is_a_row() -> None:
    """None is overlooked for its form."""
    lines = [line for line in _text().splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(lines) == len(_rows())
