"""What is mounted: the cgroup file systems, which a task must not write, and the places on which it can leave something.

The launcher program reads that once for each change, and every launcher that it forks has it: a task's launcher has the same
mounts, as long as the broker uses it. Standard library only.
"""

import os
import select

from elevate.host.reading import read

_PATH = "/proc/self/mountinfo"
_PSEUDO = frozenset(
    {
        *(
            "proc",
            "sysfs",
            "cgroup",
            "cgroup2",
            "devtmpfs",
            "devpts",
            "mqueue",
            "debugfs",
            "tracefs",
            "securityfs",
            "bpf",
            "pstore",
        ),
        *("configfs", "fusectl", "hugetlbfs", "binfmt_misc", "autofs", "efivarfs", "nsfs", "rpc_pipefs", "ramfs"),
    }
)
_DISTANT = ("fuse.", "nfs", "cifs", "smb", "ceph", "afs", "lustre", "gfs", "ocfs")


class Table:
    """One reading.

    Attributes:
        control: Where cgroup file systems are mounted.
        places: The mounts on which a task can leave something: no scratch and no pseudo file system. SECURITY: a file system
            behind which a program or a network stands may hang whoever looks at it, so nobody does.
        whole: Whether these are all of them that can be written.
    """

    def __init__(self, control: list[str], places: list[str], *, whole: bool) -> None:
        self.control, self.places, self.whole = control, places, whole

    def and_also(self, place: str) -> "Table":
        """Give the same with one mount more."""
        return Table(self.control, [*self.places, place], whole=self.whole)


def table(path: str = _PATH) -> Table:
    """Read the mounts of this process."""
    lines = [line.partition(" - ") for line in os.fsdecode(read(path)).split("\n")[:-1]]
    found = [(plain(before.split()[4]), *after.split()[:3]) for before, _, after in lines]
    control = [place for place, kind, *_ in found if kind in {"cgroup", "cgroup2"}]
    real = [one for one in found if one[1] not in _PSEUDO and one[2] != "elevate" and not _closed_to_all(*one)]
    places = [place for place, kind, *_ in real if kind != "fuse" and not kind.startswith(_DISTANT)]
    return Table(control, places, whole=len(places) == len(real))


class Mounts:
    """The machine's mounts; read again only where they changed."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(os.open(_PATH, os.O_RDONLY | os.O_CLOEXEC), select.POLLPRI)
        self._table: Table | None = None

    def now(self) -> Table:
        """Give them as they are."""
        if self._poll.poll(0) or self._table is None:
            self._table = table()
        return self._table


def _closed_to_all(place: str, kind: str, _source: str, options: str) -> bool:
    """Say whether no task gets there: a hidden folder, or a user's own program that lets nobody else in."""
    own = kind.startswith("fuse") and "allow_other" not in options.split(",")
    return own or place.startswith("/run/user/")


def plain(place: str) -> str:
    """Give a path as it is, without what mountinfo writes in place of blanks."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        place = place.replace(code, char)
    return place
