"""docs/operating.md names commands, options, files and events that there are."""

import re
from pathlib import Path

import pytest
import typer.main

from elevate.broker.home import Home
from elevate.cli import service
from elevate.cli.app import app
from elevate.lifecycle import State

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/operating.md").read_text()
COMMANDS = sorted({found.strip() for found in re.findall(r"(?:^|`|bin/)elevate ([a-z][^`#\n]*)", TEXT, re.MULTILINE)})


def test_the_page_names_commands() -> None:
    """So that the tests below have something to look at."""
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("words", COMMANDS)
def test_command_and_options_are_there(words: str) -> None:
    """As the command line itself knows them."""
    here = typer.main.get_command(app)
    for word in words.split():
        if word.startswith("-"):
            assert any(word in one.opts for one in here.params), (words, word)
        elif below := getattr(here, "commands", None):
            here = below[word]
    assert not getattr(here, "commands", None)


def test_files_are_where_the_page_says() -> None:
    """Below the broker's folder, and what install-service writes."""
    home = Home(Path("/") / service.STATE)
    for path in (home.policy, home.settings, home.ledger, home.hello, home.accounts):
        assert f"{path}" in TEXT
    assert home.kept_policy.name in TEXT
    for path in service.files(Path("/")):
        assert str(path) in TEXT or str(path.parent) in TEXT


def test_alarms_are_events() -> None:
    """Each is a state of a request, or another event that the broker writes."""
    alarms = re.search(r"\| alarms \|.*", TEXT)
    assert alarms is not None
    named = set(re.findall(r"(?:event:|`)([a-z]+-[a-z]+)", alarms[0]))
    assert len(named) >= 5
    code = "".join(path.read_text() for path in (ROOT / "elevate/broker").glob("*.py"))
    assert {name for name in named if f'"{name}"' not in code} <= {state.value for state in State}
