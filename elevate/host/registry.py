r"""The emulated registry: one JSON file for each hive, keys with backslashes as on Windows, matched without case.

Standard library only: programs that run under the launcher import this.
"""

import json
from typing import TypeAlias

from elevate.host.folders import Folder

Data: TypeAlias = str | int
Values: TypeAlias = dict[str, Data]

MACHINE = "HKLM"
UNINSTALL = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
SERVICES = r"SYSTEM\CurrentControlSet\Services"
PROFILES = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList"


def user_hive(sid: str) -> str:
    """Give the name of a user's own hive, which that user sees as HKCU."""
    return f"HKU_{sid}"


class Registry:
    """The hives in one folder, which the caller keeps open."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def create(self, hive: str) -> None:
        """Make an empty hive; one that is there already is an error."""
        with self._folder.locked():
            if self._folder.exists(f"{hive}.json"):
                raise FileExistsError(hive)
            self._save(hive, {})

    def keys(self, hive: str, parent: str) -> list[str]:
        """Give the names of the keys right below ``parent``."""
        start = parent.lower() + "\\"
        return sorted({key[len(start) :].split("\\")[0] for key in self._load(hive) if key.lower().startswith(start)})

    def read(self, hive: str, key: str) -> Values | None:
        """Give the values of a key; None where it is not there."""
        return next((values for name, values in self._load(hive).items() if name.lower() == key.lower()), None)

    def spelled(self, hive: str, key: str) -> str:
        """Give a key as it stands there, whose case does not count; empty where there is none."""
        return next((name for name in self._load(hive) if name.lower() == key.lower()), "")

    def write(self, hive: str, key: str, values: Values) -> None:
        """Set values of a key, which is made where it is not there; its other values stay."""
        with self._folder.locked():
            keys = self._load(hive)
            name = next((known for known in keys if known.lower() == key.lower()), key)
            keys.setdefault(name, {}).update(values)
            self._save(hive, keys)

    def all(self, hive: str) -> dict[str, Values]:
        """Give a whole hive: keys to values."""
        return self._load(hive)

    def remove(self, hive: str, key: str, name: str | None = None) -> None:
        """Remove one value, or without ``name`` a key and all keys below it; what is not there is no error."""
        low = key.lower()
        with self._folder.locked():
            keys = self._load(hive)
            if name is None:
                keys = {known: values for known, values in keys.items() if not f"{known.lower()}\\".startswith(f"{low}\\")}
            for known, values in keys.items():
                if known.lower() == low and name is not None:
                    found = next((one for one in values if one.lower() == name.lower()), None)
                    values.pop(found or name, None)
            self._save(hive, keys)

    def _load(self, hive: str) -> dict[str, Values]:
        keys: dict[str, Values] = json.loads(self._folder.read(f"{hive}.json"))["keys"]
        return keys

    def _save(self, hive: str, keys: dict[str, Values]) -> None:
        text = json.dumps({"version": 1, "keys": keys}, indent=1, sort_keys=True)
        self._folder.replace(f"{hive}.json", text.encode() + b"\n")
