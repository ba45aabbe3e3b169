"""The user's half of Contoso Notes' installer: it plans, asks once, and keeps the receipt.

It runs as the user and never elevates itself. `plan` says which steps need admin and why, before anyone is asked. `install`
asks for one token for all of them: the prompt shows the program, its steps in order and the digest of what they will write. The
receipt says in whose name that happened, so that an upgrade or an uninstaller finds the right profile later.

``broker`` is what `elevate.connect` or `elevate.Broker.embedded` gives.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elevate import Outcome, Task

HERE = Path(__file__).resolve().parent
HELPER = HERE / "steps.py"
PROGRAM = "#!/bin/sh\necho Contoso Notes {version}\n"


@dataclass(frozen=True)
class Step:
    """One step: its name, what it changes, and why that needs admin."""

    name: str
    changes: str
    why: str


STEPS = (
    Step("files", "Program Files", "programs are for everyone, and nobody may change them unasked"),
    Step("service", "the list of services", "a service runs for the whole machine"),
    Step("settings", "HKLM or /etc", "settings for everyone"),
    Step("shortcut", "everyone's start menu", "the hidden account's own menu is never seen"),
)


class SetupError(Exception):
    """A step failed, and everything was undone."""


@dataclass
class Setup:
    """One user's view of the product.

    Attributes:
        state: Folder of the user's in which receipts are kept.
    """

    broker: Any
    state: Path
    reason: str = "Contoso Notes"
    progress: list[str] = field(default_factory=list)

    def plan(self) -> tuple[Step, ...]:
        """Say what needs admin and why; nobody is asked."""
        return STEPS

    def install(self, version: str) -> Outcome:
        """Install or upgrade: all steps under one token.

        Raises:
            SetupError: A step failed; the machine is as before.
        """
        files = {"notes": PROGRAM.format(version=version), "readme.txt": f"Contoso Notes {version}\n"}
        outcome = self._elevate("install", [step.name for step in STEPS], {"version": version, "files": files})
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "receipt.json").write_text(json.dumps(dict(outcome.receipt)))
        return outcome

    def uninstall(self) -> Outcome:
        """Remove the product, and what an installation left in the profile that its receipt names.

        Raises:
            SetupError: It is not installed, or can't be removed.
        """
        outcome = self._elevate("remove", [], {"version": "", "profile": self.left_in_profile()})
        (self.state / "receipt.json").unlink(missing_ok=True)
        return outcome

    def left_in_profile(self) -> list[str]:
        """Give the files that the receipt lists below the hidden account's profile."""
        try:
            receipt = json.loads((self.state / "receipt.json").read_text())
        except FileNotFoundError:
            return []
        profile = f"/Users/{receipt['identity']['name']}/"
        return [one["path"] for one in receipt["written"] if profile in one["path"] and one["change"] == "created"]

    def _elevate(self, verb: str, steps: list[str], plan: dict[str, object]) -> Outcome:
        task = Task.run([str(HELPER), verb, *steps], stdin=json.dumps(plan).encode())
        with self.broker.elevate(task, reason=f"{self.reason}: {verb}") as grant:
            outcome: Outcome = grant.run(capture=True)
        self.progress += outcome.stdout.decode().splitlines()
        if outcome.exit_status != 0:
            raise SetupError(outcome.stderr.decode().strip() or f"exit status {outcome.exit_status}")
        return outcome
