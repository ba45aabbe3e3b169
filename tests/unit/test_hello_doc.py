"""docs/hello.md: no row is missing, and each test that it names is there."""

import re
from pathlib import Path

import pytest

from elevate.hello.windows import NAMES

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "hello.md").read_text()
ROWS = dict(re.findall(r"^\| (\d+) \| [^|]+ \| (.+) \|$", TEXT, re.MULTILINE))


def test_no_row_is_missing() -> None:
    """41 behaviours."""
    assert list(ROWS) == [str(number) for number in range(1, 42)]


@pytest.mark.parametrize("row", list(ROWS))
def test_each_test_that_is_named_is_there(row: str) -> None:
    """In the file that is named, with the row's number in its name."""
    for file, names in re.findall(r"`(test_\w+\.py)`: ((?:`test_\w+`(?:, )?)+)", ROWS[row]):
        text = (ROOT / "tests" / "hello" / file).read_text()
        for name in re.findall(r"`(\w+)`", names):
            assert f"def {name}(" in text, (file, name)
            assert row in name.split("_")


def test_every_setting_is_named() -> None:
    """As settings.toml takes it."""
    assert [name for name in NAMES if f"\n{name} = " not in TEXT] == []
