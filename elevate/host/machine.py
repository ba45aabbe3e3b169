r"""The emulated machine: users with SIDs, hidden admin accounts, hives and drive C:, all in one folder of its owner's.

::

    machine.json       name, SID and users
    registry/          HKLM.json, HKU_<sid>.json
    drive_c/           Windows/System32, Program Files, ProgramData, Users/<user>, Users/ADMIN_<user>
    scratch/<session>  while a task runs

Every folder and file is entered by descriptor; a link in place of one is an error.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from elevate.errors import HostError, TaskInvalidError
from elevate.host.folders import Folder, FolderError
from elevate.host.registry import MACHINE, PROFILES, SERVICES, Registry, user_hive
from elevate.host.windows import known_folders, reg, tokens
from elevate.host.windows.tokens import Integrity
from elevate.model import AdminIdentity
from elevate.ports import Entropy

VERSION = 1
FIRST_RID = 1001
SMAA_PREFIX = "ADMIN_"
GROUPS = ("Administrators", "Users")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DRIVE = re.compile(r"[Cc]:[\\/]")
_OTHER_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_MENU = "ProgramData/Microsoft/Windows/Start Menu/Programs"
"""Everyone's start menu; installers count on it."""
_MENU_FOLDERS = tuple("/".join(_MENU.split("/")[:depth]) for depth in range(1, 6))
_FOLDERS = ("Windows", "Windows/System32", "Program Files", *_MENU_FOLDERS, "Users")
_SERVICES = {"Spooler": "Print Spooler", "W32Time": "Windows Time", "wuauserv": "Windows Update"}


class Machine:
    """One emulated machine."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.drive = folder.enter("drive_c")
        self.registry_folder = folder.enter("registry")
        self.registry = Registry(self.registry_folder)
        state = self._load()
        self.name: str = state["name"]
        self.sid: str = state["sid"]

    @classmethod
    def create(cls, path: Path, *, entropy: Entropy) -> Self:
        """Make a new machine in ``path``, which must not be there.

        Raises:
            HostError: It is there, or can't be made.
        """
        parts = [int.from_bytes(entropy.token_bytes(4), "big") for _ in range(3)]
        state = {
            "version": VERSION,
            "name": entropy.token_bytes(8).hex(),
            "sid": "S-1-5-21-" + "-".join(map(str, parts)),
            "next_rid": FIRST_RID,
            "users": {},
        }
        # Whole or not at all: a machine that a crash or a full disk left half made could never be opened.
        draft = path.with_name(f".{path.name}.new-{state['name']}")
        try:
            if os.path.lexists(path):
                raise FileExistsError(str(path))
            draft.mkdir(mode=0o700, parents=True)
            with Folder.open(draft) as folder:
                _furnish(folder)
                _save(folder, state)
            draft.rename(path)
        except OSError as exc:
            shutil.rmtree(draft, ignore_errors=True)
            raise HostError("the machine's folder can't be made", detail=str(exc)) from exc
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a machine that is there.

        Raises:
            HostError: It is not a machine's folder, or others can write to it.
        """
        try:
            return cls(Folder.open(path))
        except (OSError, ValueError, KeyError) as exc:
            raise HostError("the machine's folder can't be used", detail=str(exc)) from exc

    def close(self) -> None:
        """Close the folders; twice is the same as once."""
        for folder in (self.registry_folder, self.drive, self.folder):
            folder.close()

    def users(self) -> dict[str, dict[str, Any]]:
        """Give what is kept of each user: ``uid``, ``sid``, ``groups`` and, from the first elevation on, ``smaa``."""
        try:
            users: dict[str, dict[str, Any]] = self._load()["users"]
        except (FolderError, OSError) as exc:
            raise HostError("the machine's folder can't be read", detail=str(exc)) from exc
        return users

    def add_user(self, name: str, uid: int) -> dict[str, Any]:
        """Give a user's record; make user, hive and profile where they are not there."""
        plain = _USER.fullmatch(name) and not name.upper().startswith(SMAA_PREFIX)
        name = name if plain else f"uid{uid}"
        known: dict[str, Any] = self.users().get(name) or self._add_user(name, uid)
        if known["uid"] != uid:
            raise HostError("the machine knows this user's name with another uid")
        return known

    def _add_user(self, name: str, uid: int) -> dict[str, Any]:
        with self._changing() as state:
            known: dict[str, Any] | None = state["users"].get(name)
            if known is None:
                known = {"name": name, "uid": uid, "sid": self._make_profile(state, name), "groups": list(GROUPS)}
                state["users"][name] = known
        return known

    def smaa(self, user: str, *, made_at: int | None) -> AdminIdentity:
        """Give a user's hidden admin account; with ``made_at`` (Unix seconds) make it where it is not there.

        Raises:
            HostError: No such user, or no account yet and ``made_at`` is None.
        """
        record = self.users().get(user)
        if record is None or ("smaa" not in record and made_at is None):
            raise HostError("the machine has no admin account for this user")
        found = record.get("smaa") or self._add_smaa(user, made_at)
        return AdminIdentity(name=found["name"], sid=found["sid"], uid=record["uid"], home=self.home_of(found["name"]))

    def _add_smaa(self, user: str, made_at: int | None) -> dict[str, Any]:
        with self._changing() as state:
            record: dict[str, Any] = state["users"][user]
            if "smaa" not in record:
                name = f"{SMAA_PREFIX}{user}"
                record["smaa"] = {"name": name, "sid": self._make_profile(state, name), "made_at": made_at}
        made: dict[str, Any] = record["smaa"]
        return made

    def home_of(self, name: str) -> str:
        """Give the real path of a profile."""
        return f"{self.drive.path}/Users/{name}"

    def to_real(self, path: str) -> str:
        r"""Turn a path of the machine (``C:\…``) into the real one; any other stays.

        Raises:
            TaskInvalidError: Another drive, a network path, or a way up.
        """
        if _DRIVE.match(path):
            names = [name for name in re.split(r"[\\/]", path[3:]) if name]
            if ".." in names:
                raise TaskInvalidError("a path on C: can't lead up")
            return "/".join([self.drive.path, *names])
        if _OTHER_DRIVE.match(path):
            raise TaskInvalidError("the emulated machine has only drive C:")
        return path

    def label(self, steps: tuple[str, ...], level: Integrity | None = None) -> Integrity | None:
        """Give the integrity label of what lies on drive C:, its own or that of the nearest folder above; or set it.

        What has none is written as if it were medium, and lowers no process, as on Windows.
        """
        if level is not None:
            with self._changing() as state:
                state.setdefault("labels", {})["/".join(steps)] = int(level)
        labels = self._load().get("labels", {})
        found = next((labels[key] for size in range(len(steps), 0, -1) if (key := "/".join(steps[:size])) in labels), None)
        return None if found is None else Integrity(found)

    def below_drive(self, path: str) -> tuple[str, ...] | None:
        """Give the steps from drive C: to a real path; None where it is not on the drive."""
        start = self.drive.path + "/"
        return tuple(path[len(start) :].split("/")) if path.startswith(start) else None

    def rule_path(self, path: str) -> str:
        """Give a real path as rules name it: ``/C:/Windows/…`` for what lies on drive C:, any other as it is."""
        steps = self.below_drive(path)
        return path if steps is None else "/".join(["/C:", *steps])

    def _make_profile(self, state: dict[str, Any], name: str) -> str:
        """Make profile and hive and give their SID; what a crash or a full disk broke off is taken up again.

        SECURITY: a profile that is there though nobody was making it is somebody else's (attacks.md row 12).
        """
        making: dict[str, str] = state.setdefault("making", {})
        with self.drive.enter("Users") as users:
            if name not in making:
                if users.exists(name):
                    raise FolderError(f"{name} has a profile already")
                making[name] = self._next_sid(state)
                _save(self.folder, state)
            with users.enter(name) if users.exists(name) else users.make(name) as profile:
                _make_known_folders(profile)
        sid = making.pop(name)
        if not self.registry_folder.exists(f"{user_hive(sid)}.json"):
            self.registry.create(user_hive(sid))
        self.registry.write(user_hive(sid), known_folders.SHELL_FOLDERS, dict(known_folders.values(name)))
        self.registry.write(MACHINE, rf"{PROFILES}\{sid}", {"ProfileImagePath": rf"C:\Users\{name}"})
        return sid

    def _next_sid(self, state: dict[str, Any]) -> str:
        rid = state["next_rid"]
        state["next_rid"] = rid + 1
        return f"{state['sid']}-{rid}"

    def _load(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.folder.read("machine.json"))
        if state["version"] != VERSION:
            raise HostError("the machine's folder was made by another version")
        return state

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        try:
            with self.folder.locked():
                state = self._load()
                before = json.dumps(state)
                yield state
                if json.dumps(state) != before:
                    _save(self.folder, state)
        except (FolderError, OSError) as exc:
            raise HostError("the machine's folder can't be changed", detail=str(exc)) from exc


def _save(folder: Folder, state: dict[str, Any]) -> None:
    folder.replace("machine.json", json.dumps(state, indent=1, sort_keys=True).encode() + b"\n")


def _furnish(folder: Folder) -> None:
    folder.make("scratch").close()
    with folder.make("drive_c", 0o755) as drive:
        _make_drive(drive)
    with folder.make("registry") as registry:
        _make_hives(Registry(registry))


def _make_known_folders(profile: Folder) -> None:
    for *above, folder in known_folders.places():
        with profile.walk_to(tuple(above)) as parent:
            if not parent.exists(folder):
                parent.make(folder).close()


def _make_drive(drive: Folder) -> None:
    for path in _FOLDERS:
        *above, name = path.split("/")
        with drive.walk_to(tuple(above)) as parent:
            parent.make(name, 0o755).close()
    with drive.walk_to(("Windows", "System32")) as system:
        system.replace("whoami", tokens.whoami().encode(), mode=0o755)
        system.replace("reg", reg.SCRIPT.encode(), mode=0o755)


def _make_hives(registry: Registry) -> None:
    registry.create(MACHINE)
    for name, display in _SERVICES.items():
        registry.write(MACHINE, rf"{SERVICES}\{name}", {"DisplayName": display, "Start": 3, "State": "stopped"})
