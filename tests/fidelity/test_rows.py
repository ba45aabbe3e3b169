"""Every row of the table of Windows' behaviours has a test here, by its number."""

import re
from pathlib import Path

import pytest

from elevate.resources import shipped

ROWS = range(1, 35)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_a_test(row: int) -> None:
    """Named by the row's number, in this folder."""
    text = "\n".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))

    assert re.search(rf"^def test_{row:02}_", text, re.MULTILINE)


def test_every_deviation_names_a_row_and_a_reason() -> None:
    """docs/deviations.md is one table; each line has its row, what Windows does, what is done here, and why."""
    lines = [line for line in shipped("docs/deviations.md").read_text().splitlines() if re.match(r"\| [0-9]", line)]

    assert len(lines) > 10
    for line in lines:
        rows, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert {int(row) for row in rows.split(", ")} <= set(ROWS)
        assert len(cells) == 3
        assert all(cells)
