#!/usr/bin/python3
"""The elevated half of Contoso Notes' installer: does the steps that the prompt showed, in that order, or none of them.

It is started as ``steps.py install|remove STEP…`` and reads what to write from standard input: nothing that a user could
change after the agreement counts, for the prompt's digest covers this program, its arguments and its input. Every step says how
to undo itself before it acts; a failure undoes all, newest first. What it wrote, and for whom, it notes beside the program: the
uninstaller goes by that, whoever runs it. Standard library only.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Undo = Callable[[], object]
SERVICE, SETTINGS = r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoNotes", r"HKLM\SOFTWARE\Contoso\Notes"


class Installation:
    """What is written, and how to take it back."""

    def __init__(self, plan: dict) -> None:
        self.plan = plan
        drive = os.environ.get("ELEVATE_DRIVE_C")
        self.windows = drive is not None
        self.folder = Path(drive, "Program Files", "Contoso Notes") if drive else Path("/opt/contoso-notes")
        self.shortcut = (
            Path(drive, "ProgramData", "Microsoft", "Windows", "Start Menu", "Programs", "Contoso Notes.lnk")
            if drive
            else Path("/usr/share/applications/contoso-notes.desktop")
        )
        self.undo: list[Undo] = []
        self.written: list[str] = []

    def files(self) -> None:
        """The program itself."""
        for name, text in self.plan["files"].items():
            self._write(self.folder / name, text)

    def service(self) -> None:
        """The entry of a service that keeps notes in step."""
        if self.windows:
            self._registry(SERVICE, {"DisplayName": "Contoso Notes", "ImagePath": str(self.folder / "notes"), "Start": 3})
        else:
            self._write(Path("/etc/systemd/system/contoso-notes.service"), f"[Service]\nExecStart={self.folder}/notes\n")

    def settings(self) -> None:
        """Settings for everyone on the machine."""
        if self.windows:
            self._registry(SETTINGS, {"Version": self.plan["version"], "Folder": str(self.folder)})
        else:
            self._write(Path("/etc/contoso-notes.conf"), f"version = {self.plan['version']}\n")

    def shortcut_for_all(self) -> None:
        """A start menu entry for everyone: the installer's own account is nobody's."""
        self._write(self.shortcut, f"{self.folder / 'notes'}\n")

    def note(self) -> None:
        """Say beside the program what was written and in which account's name."""
        names = ("ELEVATE_USER", "USERNAME", "HOME", "ELEVATE_SESSION")
        who = {name: os.environ.get(name, "") for name in names}
        self._write(
            self.folder / "installed.json",
            json.dumps({"version": self.plan["version"], "written": sorted(set(self.written)), "who": who}, indent=1),
        )

    def roll_back(self) -> None:
        """Undo everything, newest first."""
        for undo in reversed(self.undo):
            undo()

    def _write(self, path: Path, text: str) -> None:
        self._folders(path.parent)
        before = path.read_bytes() if path.exists() else None
        self.undo.append(lambda: path.write_bytes(before) if before is not None else path.unlink(missing_ok=True))
        path.write_text(text)
        self.written.append(str(path))

    def _folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._folders(folder.parent)
        self.undo.append(lambda: folder.rmdir() if folder.is_dir() else None)
        folder.mkdir()

    def _registry(self, key: str, values: dict) -> None:
        for name, data in values.items():
            before = reg("query", key, "/v", name, must=False)
            old = before.rstrip("\n").split("\t", 2)[1:] if before else []
            self.undo.append(
                lambda key=key, name=name, old=old: put(key, name, *old) if old else reg("delete", key, "/v", name)
            )
            put(key, name, "REG_DWORD" if isinstance(data, int) else "REG_SZ", str(data))
        self.written.append(key)


def put(key: str, name: str, kind: str, data: str) -> None:
    """Write one registry value."""
    reg("add", key, "/v", name, "/t", kind, "/d", data, "/f")


def reg(*words: str, must: bool = True) -> str:
    """Run the machine's reg; give what it says."""
    done = subprocess.run(["reg", *words], capture_output=True, text=True, check=False)  # noqa: S607 - the task's PATH is fixed
    if must and done.returncode != 0:
        raise OSError(done.stderr.strip())
    return done.stdout if done.returncode == 0 else ""


STEPS = {
    "files": Installation.files,
    "service": Installation.service,
    "settings": Installation.settings,
    "shortcut": Installation.shortcut_for_all,
}


def install(plan: dict, steps: list[str]) -> None:
    """Do all steps, or none."""
    work = Installation(plan)
    try:
        for number, name in enumerate(steps, 1):
            print(f"step {number} of {len(steps)}: {name}", flush=True)
            STEPS[name](work)
        work.note()
    except (OSError, KeyError) as error:
        print(f"undoing: {error}", flush=True)
        work.roll_back()
        raise


def remove(plan: dict, steps: list[str]) -> None:
    """Take away what the note names, in whosever name it was written."""
    work = Installation(plan)
    note = json.loads((work.folder / "installed.json").read_text())
    for place in [*note["written"], *plan.get("profile", []), str(work.folder / "installed.json")]:
        print(f"removing {place}", flush=True)
        if place.startswith("HKLM\\"):
            reg("delete", place, "/f")
        else:
            Path(place).unlink(missing_ok=True)
    work.folder.rmdir()
    del steps


def main(words: list[str]) -> int:
    """Do what the arguments say with what standard input holds."""
    try:
        {"install": install, "remove": remove}[words[0]](json.load(sys.stdin), words[1:])
    except (OSError, KeyError, ValueError) as error:
        print(f"notes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
