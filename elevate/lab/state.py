r"""What there is in a prefix, before and after: files, registry of the machine, registry of the one who runs.

Places are written as Windows writes them: ``C:\…`` for files, ``HKLM\…`` and ``HKCU\…`` for registry values, where a value's
name stands after two backslashes.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from elevate.lab import hive

MAX_TEXT_BYTES = 65_536
_WINES_OWN = re.compile(
    r"hkcu\\software\\wine\\|hklm\\software\\wine\\|hklm\\software\\microsoft\\[^\\]+\\currentversion\\fonts\\"
    r"|hklm\\system\\currentcontrolset\\(control\\(class|video|deviceclasses|graphicsdrivers)|enum|hardware profiles)\\"
    r"|.*\\pendingfilerenameoperations$",
)
"""What Wine writes by itself now and then, and what is renamed at the next start."""
_SCRATCH = ("/temp/", "/appdata/local/temp/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that a run made, changed or removed.

    Attributes:
        place: Where.
        how: ``created``, ``changed`` or ``removed``.
        data: A value's data, or a small text file's content; empty for anything else.
    """

    place: str
    how: str
    data: str = ""

    @property
    def is_value(self) -> bool:
        """Whether it is in the registry."""
        return self.place.startswith("HK")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All there is at one moment; a file by its size and time of change."""

    files: Mapping[str, tuple[int, int]]
    values: Mapping[str, str]
    root: Path = field(repr=False)


def take(prefix: Path) -> State:
    """Look at a prefix in which nothing runs."""
    drive = prefix / "drive_c"
    files: dict[str, tuple[int, int]] = {}
    for folder, _, names in os.walk(drive):
        for name in names:
            path = Path(folder, name)
            relative = str(path.relative_to(drive))
            if not is_scratch(relative):
                found = path.lstat()
                files["C:\\" + relative.replace("/", "\\")] = (found.st_size, found.st_mtime_ns)
    values: dict[str, str] = {}
    for file, root in (("system.reg", "HKLM"), ("user.reg", "HKCU")):
        text = (prefix / file).read_text("utf-8", errors="replace")
        values |= {f"{root}\\{place}": data for place, data in hive.parse(text).items()}
    return State(files=files, values=values, root=drive)


def is_scratch(relative: str) -> bool:
    """Say whether a file below drive C: is left out: the lab's own, and temporary ones."""
    low = "/" + relative.lower()
    return low.startswith("/lab/") or any(part in low for part in _SCRATCH)


def compare(before: State, after: State, noise: frozenset[str] = frozenset()) -> tuple[Change, ...]:
    """Give what differs, in the order of places, without what differs in every run."""
    changes = [
        *_differences(before.files, after.files),
        *_differences(before.values, after.values),
    ]
    return tuple(
        Change(place=place, how=how, data=_data(after, place)) for place, how in sorted(changes) if not _noisy(place, noise)
    )


def places(changes: tuple[Change, ...]) -> frozenset[str]:
    """Give where the changes are."""
    return frozenset(change.place for change in changes)


def _differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[tuple[str, str]]:
    return [
        *((place, "created") for place in after.keys() - before.keys()),
        *((place, "removed") for place in before.keys() - after.keys()),
        *((place, "changed") for place in before.keys() & after.keys() if before[place] != after[place]),
    ]


def _noisy(place: str, noise: frozenset[str]) -> bool:
    return place in noise or bool(_WINES_OWN.match(place.lower()))


def _data(state: State, place: str) -> str:
    if place in state.values:
        return state.values[place]
    if place not in state.files or state.files[place][0] > MAX_TEXT_BYTES:
        return ""
    data = Path(state.root, *place[3:].split("\\")).read_bytes()
    return data.decode("utf-8", "replace") if b"\0" not in data else ""
