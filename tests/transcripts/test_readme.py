"""The README tells the truth: its session is replayed, its links lead somewhere, its commands exist."""

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _session() -> str:
    found = re.search(r"```console\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_session_is_as_shown() -> None:
    """Typed into a Python, the lines give what the README shows, up to the refused second use."""
    session = _session()
    typed = "".join(line[4:] + "\n" for line in session.splitlines() if line.startswith(">>> "))
    done = subprocess.run(
        [sys.executable, "-i", "-q"], input=typed, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    assert done.stdout == f"('process.run', 30)\nADMIN_{user}\n"
    last = session.splitlines()[-1]
    assert last == "elevate.errors.TokenSpentError: the token was used before"
    assert last in done.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    """Every link of the README is a file of the project."""
    assert (ROOT / link).exists()


def test_the_first_screen_has_two_commands() -> None:
    """Both begin with a virtual environment, and nothing else is needed."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert commands[0].endswith("elevate demo")
    assert commands[1].endswith("pytest")


def test_the_commands_shown_exist() -> None:
    """`elevate NAME` in the README is a command that has help."""
    names = set(re.findall(r"^elevate ([a-z]+)", README, re.MULTILINE))
    assert {"init", "serve", "run", "explain", "hello", "audit"} <= names
    for name in sorted(names):
        done = subprocess.run(
            [sys.executable, "-m", "elevate", name, "--help"], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
        )
        assert done.returncode == 0, name
        assert name in done.stdout
