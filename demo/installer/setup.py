"""The user's half of Contoso Notes' installer: it plans, asks once, and keeps the receipt.

It runs as the user and never elevates itself. `plan` says which steps need admin and why, before anyone is asked. `install`
asks for one token for all steps; the prompt shows each of them, in order, and what undoes them where one fails. The receipt
says in whose name that happened, so that an upgrade or an uninstaller finds the right profile later.

``broker`` is what `elevate.connect` or `elevate.Broker.embedded` gives.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import elevate
from elevate import Outcome, Progress, Receipt, Task

HELPER = Path(__file__).resolve().with_name("steps.py")
PROGRAM = "#!/bin/sh\necho Contoso Notes {version}\n"
SETTINGS = r"HKLM\SOFTWARE\Contoso\Notes"
SERVICE = r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoNotes"
MENU = r"C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Contoso Notes.lnk"
UNIT, CONF = "/etc/systemd/system/contoso-notes.service", "/etc/contoso-notes.conf"
ENTRY = "/usr/share/applications/contoso-notes.desktop"


class SetupError(Exception):
    """A step failed, and everything was undone."""


@dataclass
class Setup:
    """One user's view of the product.

    Attributes:
        state: Folder of the user's in which the receipt is kept.
        helper: The elevated half, as it was shipped.
        progress: What was told while it ran.
        listen: Called with each step's progress, for a progress bar; what it raises cancels, and what was done is undone.
    """

    broker: Any
    state: Path
    helper: Path = HELPER
    reason: str = "Contoso Notes"
    progress: list[str] = field(default_factory=list)
    listen: Callable[[Progress], object] = lambda _: None

    def steps(self, version: str) -> list[Task]:
        """Give what an installation or upgrade does, in order."""
        files = {"notes": PROGRAM.format(version=version), "readme.txt": f"Contoso Notes {version}\n"}
        mine = self._windows(version) if self.broker.status()["emulated"] else self._linux(version)
        return [self._own("files", {"files": files}), *mine, self._own("commit", {"version": version})]

    def plan(self, version: str) -> tuple[Any, ...]:
        """Say of each step whether it needs admin, what would be asked, and why; nobody is."""
        return elevate.plan(self.broker, self.steps(version))

    def install(self, version: str) -> Receipt:
        """Install or upgrade: all steps under one token.

        Raises:
            SetupError: A step failed; the machine is as before.
        """
        outcome = self._elevate(Task.in_order(self.steps(version), undo=[self._own("undo")]), "install")
        self.state.mkdir(parents=True, exist_ok=True)
        (self.state / "receipt.json").write_text(json.dumps(dict(outcome.receipt)))
        return Receipt.read(outcome.receipt)

    def uninstall(self) -> Receipt:
        """Remove the product, and what an installation left in the profile that its receipt names.

        Raises:
            SetupError: It is not installed, or can't be removed.
        """
        outcome = self._elevate(self._own("remove", {"profile": self.left_in_profile()}), "remove")
        (self.state / "receipt.json").unlink(missing_ok=True)
        return Receipt.read(outcome.receipt)

    def left_in_profile(self) -> list[str]:
        """Give the files that the receipt lists below the hidden account's profile."""
        try:
            kept = json.loads((self.state / "receipt.json").read_text())
        except FileNotFoundError:
            return []
        return list(Receipt.read(kept).left_in_profile())

    def _windows(self, version: str) -> list[Task]:
        return [
            Task.setting(SERVICE, "ImagePath", r"C:\Program Files\Contoso Notes\notes"),
            Task.setting(SERVICE, "Start", 3),
            Task.service("ContosoNotes", "start"),  # brought by the two steps before it; the rule says that it may be
            Task.setting(SETTINGS, "Version", version),
            Task.setting(SETTINGS, "Folder", r"C:\Program Files\Contoso Notes"),
            Task.write(MENU, b"C:\\Program Files\\Contoso Notes\\notes\n"),
        ]

    def _linux(self, version: str) -> list[Task]:
        return [
            Task.write(UNIT, b"[Service]\nExecStart=/opt/contoso-notes/notes\n"),
            Task.write(CONF, f"version = {version}\n".encode()),
            Task.write(ENTRY, b"[Desktop Entry]\nType=Application\nName=Contoso Notes\nExec=/opt/contoso-notes/notes\n"),
        ]

    def _own(self, verb: str, given: dict[str, object] | None = None) -> Task:
        stdin = json.dumps(given).encode() if given is not None else None
        return Task.run([str(self.helper), verb], stdin=stdin, time_limit_seconds=60)

    def _elevate(self, task: Task, verb: str) -> Outcome:
        with self.broker.elevate(task, reason=f"{self.reason}: {verb}") as grant:
            outcome: Outcome = grant.run(capture=True, on_progress=self._tell)
        if outcome.exit_status != 0:
            raise SetupError(outcome.stderr.decode().strip() or f"exit status {outcome.exit_status}")
        return outcome

    def _tell(self, progress: Progress) -> None:
        if not progress.ended:
            self.progress.append("undoing" if progress.undo else f"step {progress.step} of {progress.steps}: {progress.task}")
        self.listen(progress)
