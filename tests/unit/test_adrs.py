"""The records of decisions: each has a number of its own."""

from pathlib import Path

ADRS = sorted((Path(__file__).parents[2] / "docs" / "adr").glob("*.md"))


def test_no_number_is_given_twice() -> None:
    """In the name, and the same one in the heading."""
    numbers = [int(path.name.split("-")[0]) for path in ADRS]
    assert len(set(numbers)) == len(numbers), numbers
    for path, number in zip(ADRS, numbers, strict=True):
        heading = path.read_text().splitlines()[0]
        assert heading.startswith("# "), path
        assert int(heading[2:].replace("ADR ", "").split(":")[0].split(".")[0].split()[0]) == number, path
