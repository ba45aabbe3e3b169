"""docs/known-attacks.md: no row is missing, and each test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = 50
_ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
_FILE = re.compile(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)")


def _rows() -> list[tuple[int, str]]:
    text = (ROOT / "docs" / "known-attacks.md").read_text()
    return [(int(number), cell) for number, _attack, cell in _ROW.findall(text)]


def test_every_row_is_listed_once_and_in_order() -> None:
    """A row without a test has a reason."""
    rows = _rows()
    assert [number for number, _ in rows] == list(range(1, ROWS + 1))
    assert [number for number, cell in rows if not _FILE.search(cell) and not cell.strip().endswith(".")] == []


def test_every_test_that_is_named_is_there() -> None:
    """In the file that is named, and its own name has the row's number."""
    missing = []
    for number, cell in _rows():
        for file, names in _FILE.findall(cell):
            path = ROOT / "tests" / file
            there = set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)) if path.exists() else set()
            missing += [f"{file}: {name}" for name in re.findall(r"`(\w+)`", names) if name not in there]
            misplaced = [
                name for name in re.findall(r"`(\w+)`", names) if f"_{number:02}_" not in name and f"_{number}_" not in name
            ]
            assert misplaced == []
    assert missing == []
