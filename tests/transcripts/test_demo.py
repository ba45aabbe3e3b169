"""`elevate demo`, as a newcomer runs it, and with a person who answers."""

import subprocess
import sys
from pathlib import Path

from tests.transcripts.terminal import Terminal

DEMO = [sys.executable, "-m", "elevate", "demo"]
ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_ends_well_and_asks_nothing() -> None:
    """The package is installed, the second use and the other task are refused, the forged copy is found out."""
    done = subprocess.run(DEMO, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    for part in (
        "installed contoso-notes 1.2.0",
        "elevate: error: the token was used before",
        "elevate: error: no rule allows this task",
        "Contos…\n",
        "step 8 of 8: ",
        "removed again, by what it had noted",
        "the log   verified",
        "the copy  tampered",
        "One task, once.",
    ):
        assert part in done.stdout
    assert done.stderr == ""


def test_the_interactive_demo_asks_the_person() -> None:
    """The PIN that was chosen is what opens the prompt; a wrong one does not."""
    with Terminal([*DEMO, "--interactive"]) as person:
        person.read_until("simple row): ")
        person.type("48151623\n")
        person.read_until("PIN: ")
        person.type("99999999\n")
        person.read_until("wrong PIN")
        person.read_until("PIN: ")
        person.type("48151623\n")
        person.read_until("One task, once.")
        assert person.finish() == 0
