"""Who could change a file: owner, group, others, the folders above, links and access lists."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.host.opening import exposed, may_change, may_reach
from elevate.model import ProcessIdentity, Requester

SOMEBODY, OTHER = 4_000_100, 4_000_200

pytestmark = pytest.mark.root


def person(uid: int, *groups: str) -> Requester:
    process = ProcessIdentity(uid=uid, pid=1, start_time=1, boot_id="b")
    return Requester(user="x", sid="x", groups=groups, machine="m", process=process)


@pytest.fixture
def file(linux_place: Path) -> Path:
    path = linux_place / "file"
    path.write_text("x")
    path.chmod(0o644)
    return path


@pytest.fixture
def linux_place() -> Path:
    """A folder all of whose parents only root can write."""
    folder = Path(f"/srv/elevate-opening-{os.getpid()}")
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    os.chown(folder, 0, 0)
    return folder


@pytest.fixture(autouse=True)
def gone(linux_place: Path) -> Iterator[None]:
    yield
    for path in linux_place.iterdir():
        path.unlink()
    linux_place.rmdir()


def test_roots_file_in_roots_folder(file: Path) -> None:
    """Nobody else can change it, and root itself does not count."""
    assert not may_change(str(file), person(SOMEBODY))
    assert not may_change(str(file), person(0))
    assert not exposed(file.stat())


def test_owner_group_and_others(file: Path) -> None:
    """The owner always can, a member of the group by its bit, anybody by theirs."""
    os.chown(file, SOMEBODY, 0)
    assert may_change(str(file), person(SOMEBODY))
    assert may_change(str(file), person(0))
    assert not may_change(str(file), person(OTHER))
    os.chown(file, 0, 100)
    file.chmod(0o664)
    assert may_change(str(file), person(OTHER, "users"))
    assert not may_change(str(file), person(OTHER, "daemon", "no-such-group"))
    file.chmod(0o646)
    assert may_change(str(file), person(OTHER))
    assert exposed(file.stat())


def test_folder_above(file: Path) -> None:
    """Who can write a folder above can swap the file, also in a sticky one."""
    for mode in (0o757, 0o1757):
        file.parent.chmod(mode)
        assert may_change(str(file), person(OTHER))


def test_access_list(file: Path) -> None:
    """A list that lets a further user write counts as a yes for everybody; one that does not counts for nothing."""
    entries = [(1, 6, -1), (2, 6, SOMEBODY), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    for mask, expected in ((6, True), (4, False)):
        entries[3] = (16, mask, -1)
        data = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
        try:
            os.setxattr(file, "system.posix_acl_access", data)
        except OSError:
            pytest.skip("this file system has no access lists")
        assert may_change(str(file), person(SOMEBODY)) is expected


def test_what_is_gone_counts_as_changeable(file: Path) -> None:
    """A doubt is a yes here, and a no where it is asked who may enter."""
    missing = str(file.with_name("missing") / "x")
    assert may_change(missing, person(OTHER))
    assert not may_reach(missing + "/y", person(OTHER))


def test_who_gets_as_far(file: Path) -> None:
    """Owner, group and others each need their own bit to search; the closest one that applies decides."""
    os.chown(file.parent, SOMEBODY, 100)
    for mode, who, expected in (
        (0o700, person(SOMEBODY), True),
        (0o077, person(SOMEBODY), False),
        (0o710, person(OTHER, "users"), True),
        (0o701, person(OTHER, "users"), False),
        (0o701, person(OTHER), True),
        (0o770, person(OTHER), False),
        (0o000, person(0), True),
    ):
        file.parent.chmod(mode)
        assert may_reach(str(file), who) is expected
