#!/usr/bin/python3
"""The elevated half of Contoso Notes' installer: the steps that elevate has no task for, and what undoes them all.

It is started as ``steps.py files|commit|undo|remove`` and reads what to write from standard input: nothing that a user
could change after the agreement counts, for the prompt's digest covers this program, its arguments and its input. The first
step, ``files``, keeps what any step is about to change, those of elevate's own included; ``undo`` puts all of that back,
whatever happened since; ``commit`` lets it go, and notes beside the program what was written and for whom: the uninstaller goes
by that, whoever runs it. Standard library only.
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

SERVICE, SETTINGS = r"HKLM\SYSTEM\CurrentControlSet\Services\ContosoNotes", r"HKLM\SOFTWARE\Contoso\Notes"
DRIVE = os.environ.get("ELEVATE_DRIVE_C")
FOLDER = Path(DRIVE, "Program Files", "Contoso Notes") if DRIVE else Path("/opt/contoso-notes")
KEPT = FOLDER.with_name(".contoso-notes.undo.json")
NOTE = FOLDER / "installed.json"
OTHERS = (
    [Path(DRIVE, "ProgramData", "Microsoft", "Windows", "Start Menu", "Programs", "Contoso Notes.lnk")]
    if DRIVE
    else [
        Path("/etc/systemd/system/contoso-notes.service"),
        Path("/etc/contoso-notes.conf"),
        Path("/usr/share/applications/contoso-notes.desktop"),
    ]
)
FILES = [FOLDER / "notes", FOLDER / "readme.txt", NOTE, *OTHERS]
KEYS = [SERVICE, SETTINGS] if DRIVE else []


def files(given: dict) -> None:
    """Keep what is there, and write the program."""
    if KEPT.exists():  # an earlier installation was cut off in the middle
        undo({})
    keep()
    FOLDER.mkdir(exist_ok=True)
    for name, text in given["files"].items():
        (FOLDER / name).write_text(text)
    (FOLDER / "notes").chmod(0o755)


def keep() -> None:
    """Note every file and registry key of ours as it is now: whole or not at all."""
    before = {
        "files": {str(path): base64.b64encode(path.read_bytes()).decode() if path.is_file() else None for path in FILES},
        "folder": FOLDER.is_dir(),
        "keys": {key: values(key) for key in KEYS},
    }
    new = KEPT.with_name(KEPT.name + ".new")
    with new.open("w") as file:
        json.dump(before, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(KEPT)


def commit(given: dict) -> None:
    """All is done: say beside the program what was written and in which account's name, and let go of what was kept."""
    who = {name: os.environ.get(name, "") for name in ("ELEVATE_USER", "USERNAME", "HOME", "ELEVATE_SESSION")}
    written = [str(path) for path in FILES if path != NOTE] + KEYS
    NOTE.write_text(json.dumps({"version": given["version"], "written": written, "who": who}, indent=1))
    KEPT.unlink()


def undo(given: dict) -> None:
    """Put everything back as it was kept; nothing where nothing was."""
    del given
    if not KEPT.exists():
        return
    before = json.loads(KEPT.read_text())
    for path, data in before["files"].items():
        if data is None:
            remove_file(Path(path))
        else:
            Path(path).write_bytes(base64.b64decode(data))
    if not before["folder"] and FOLDER.is_dir():
        FOLDER.rmdir()
    for key, old in before["keys"].items():
        if values(key):
            reg("delete", key, "/f")
        for name, kind, data in old:
            put(key, name, kind, data)
    KEPT.unlink()


def remove(given: dict) -> None:
    """Take away what the note names, in whosever name it was written."""
    for place in [*json.loads(NOTE.read_text())["written"], *given.get("profile", []), str(NOTE)]:
        print(f"removing {place}", flush=True)
        if place.startswith("HKLM\\"):
            reg("delete", place, "/f")
        else:
            Path(place).unlink(missing_ok=True)
    FOLDER.rmdir()


def remove_file(path: Path) -> None:
    """Remove a file; what else stands there is not ours."""
    if path.is_file():
        path.unlink()


def values(key: str) -> list:
    """Give a key's values as name, kind and data; none where it is not there."""
    lines = reg("query", key, must=False).splitlines()
    return [line.strip("\t ").split("\t", 2) for line in lines if "\t" in line]


def put(key: str, name: str, kind: str, data: str) -> None:
    """Write one registry value."""
    reg("add", key, "/v", name, "/t", kind, "/d", data, "/f")


def reg(*words: str, must: bool = True) -> str:
    """Run the machine's reg; give what it says."""
    done = subprocess.run(["reg", *words], capture_output=True, text=True, check=False)  # noqa: S607 - the task's PATH is fixed
    if must and done.returncode != 0:
        raise OSError(done.stderr.strip())
    return done.stdout if done.returncode == 0 else ""


VERBS = {"files": files, "commit": commit, "undo": undo, "remove": remove}


def main(words: list[str]) -> int:
    """Do what the argument says with what standard input holds."""
    try:
        VERBS[words[0]](json.loads(sys.stdin.read() or "{}"))
    except (OSError, KeyError, ValueError) as error:
        print(f"notes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
