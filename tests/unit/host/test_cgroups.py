"""Where tasks get their cgroup: version 2 wherever it is mounted, else one that counts, else none."""

import os

import pytest

from elevate.host import cgroups

TWO = "30 23 0:26 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw"
UNIFIED = "40 23 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
PIDS = "41 23 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids"
BOTH = "42 23 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
FREEZER = "43 23 0:33 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer"
PART = "44 23 0:34 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup2 rw"
OTHER = "22 1 0:20 / /proc rw - proc proc rw"


@pytest.mark.parametrize(
    ("mounts", "own", "expected"),
    [
        ([OTHER, TWO], {"": "/system.slice/elevate.service"}, ["/sys/fs/cgroup/system.slice/elevate.service"]),
        ([PIDS, UNIFIED], {"": "/", "pids": "/a"}, ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids/a"]),
        (
            [FREEZER, BOTH, PIDS],
            {"freezer": "/", "cpu": "/", "pids": "/x"},
            ["/sys/fs/cgroup/pids/x", "/sys/fs/cgroup/freezer"],
        ),
        ([BOTH], {"cpu": "/", "cpuacct": "/"}, []),
        ([PART], {"": "/docker/1234/b"}, ["/sys/fs/cgroup/b"]),
        ([OTHER], {}, []),
    ],
)
def test_candidates(mounts: list[str], own: dict[str, str], expected: list[str]) -> None:
    """Version 2 first, then pids, then freezer; a mount that shows a part is understood."""
    assert cgroups._candidates("\n".join(mounts), own) == expected


def test_base_can_be_written_or_is_none() -> None:
    """A read-only cgroup file system is as none: tasks then have the namespace alone."""
    base = cgroups.base()
    assert base == "" or os.access(base.rpartition("/")[0], os.W_OK)


def test_no_folder_has_no_members() -> None:
    """What is not there is empty, and its end is reached."""
    assert cgroups.members("/no/such") == []
    assert cgroups.end("/no/such") == 0
    cgroups.sweep("/no/such")
