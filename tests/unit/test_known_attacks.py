"""docs/known-attacks.md: no row is missing, each is mounted against the daemon and the naive broker, each test is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = 50
LATER = {43, 44}
"""Rows that need the fleet or inspectors."""
_ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
_FILE = re.compile(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)")

Row = tuple[int, list[str]]


def _tables() -> tuple[list[Row], list[Row]]:
    """Give the rows of the first table, and of the further tests."""
    text = (ROOT / "docs" / "known-attacks.md").read_text()
    halves = text.split("## Further tests")
    first, further = ([(int(number), cells.split(" | ")) for number, cells in _ROW.findall(half)] for half in halves)
    return first, further


def _named(cell: str) -> list[tuple[str, str]]:
    """Give file and name of each test in a cell."""
    return [(file, name) for file, names in _FILE.findall(cell) for name in re.findall(r"`(\w+)`", names)]


def test_every_row_is_listed_once_and_in_order() -> None:
    """With what stops it."""
    first, _ = _tables()
    assert [number for number, _ in first] == list(range(1, ROWS + 1))
    assert [number for number, cells in first if len(cells) != 4 or not cells[1].strip()] == []


def test_every_row_is_mounted_against_the_daemon_and_the_naive_broker() -> None:
    """By tests of the arena; a row that comes later has a reason in both columns."""
    for number, (_, _, real, naive) in _tables()[0]:
        if number in LATER:
            assert real == naive
            assert real.endswith(".")
            continue
        for cell, is_naive in ((real, False), (naive, True)):
            named = _named(cell)
            assert named, number
            assert {file.startswith("attacks/real/") for file, _ in named} == {True}, number
            assert {"naive" in name for _, name in named} == {is_naive}, number


def test_every_test_of_the_arena_is_listed() -> None:
    """None is forgotten that has a row's number."""
    listed = {name for _, cells in _tables()[0] for cell in cells for _, name in _named(cell)}
    there = {
        name
        for path in (ROOT / "tests/attacks/real").glob("test_*.py")
        for name in re.findall(r"^def (test_\d\w+)\(", path.read_text(), re.MULTILINE)
    }
    assert there - listed == set()


def test_every_test_that_is_named_is_there() -> None:
    """In the file that is named, and its own name has the row's number."""
    missing, misplaced = [], []
    for number, cells in (row for table in _tables() for row in table):
        for file, name in (found for cell in cells for found in _named(cell)):
            path = ROOT / "tests" / file
            if not path.exists() or not re.search(rf"^def {name}\(", path.read_text(), re.MULTILINE):
                missing.append(f"{file}: {name}")
            if f"_{number:02}_" not in name and f"_{number}_" not in name:
                misplaced.append(name)
    assert (missing, misplaced) == ([], [])
