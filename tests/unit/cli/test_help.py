"""What the command line says of itself."""

from collections.abc import Iterator

import pytest
import typer.core
import typer.main
from typer.testing import CliRunner

from elevate.cli.app import app


def groups(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give the words that name each group of commands."""
    if isinstance(command, typer.core.TyperGroup):
        yield path
        for name, below in command.commands.items():
            yield from groups(below, (*path, name))


@pytest.mark.parametrize("words", list(groups(typer.main.get_command(app))), ids=" ".join)
def test_each_command_says_what_it_does_in_one_line(words: tuple[str, ...]) -> None:
    """On a terminal of 80 columns no first sentence is cut off, and none is missing."""
    told = CliRunner().invoke(app, [*words, "--help"], terminal_width=80)
    listed = told.stdout.split("Commands:\n")[1].splitlines()
    assert told.exit_code == 0
    assert listed
    assert all(line.endswith(".") and not line.endswith("...") for line in listed), told.stdout
