"""What was read of a file is kept for as long as the file is unchanged, and no longer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from elevate.host import sealed
from elevate.host.hashed import MAX_KEPT, QUIET_NS, Kept


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"one")
    return path


def reading(path: Path, kept: Kept[bytes]) -> Callable[..., bytes]:
    """Give the file's bytes through ``kept``, so long after its last change."""

    def read(after_ns: int = 2 * QUIET_NS) -> bytes:
        found = path.stat()
        return kept.of(found, path.read_bytes, now_ns=found.st_ctime_ns + after_ns)

    return read


def test_10_what_was_changed_is_read_anew(file: Path) -> None:
    """The same size, the same name, its date set back: the time of change tells."""
    read, before = reading(file, Kept()), file.stat()
    assert read() == b"one"
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # the clock by which files are dated stands still for a moment
        file.write_bytes(b"two")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert read() == b"two"


def test_10_what_was_just_changed_is_not_kept(file: Path) -> None:
    """It could change again, and its dates would be the same."""
    found, kept = file.stat(), Kept[str]()
    for moment in (0, QUIET_NS, -QUIET_NS):
        assert kept.of(found, lambda: "early", now_ns=found.st_ctime_ns + moment) == "early"
    assert kept.of(found, lambda: "late", now_ns=found.st_ctime_ns + QUIET_NS + 1) == "late"
    assert kept.of(found, lambda: "anew", now_ns=found.st_ctime_ns) == "late"


def test_what_is_kept_is_bounded(file: Path) -> None:
    """Many files are forgotten, and read again."""
    kept = Kept[bytes]()
    for size in range(MAX_KEPT + 1):
        os.truncate(file, size)
        reading(file, kept)()
    assert len(kept._kept) == 1


@pytest.mark.parametrize(("other", "reads"), [(0, 1), (1, 2)])
def test_10_only_what_lies_on_the_systems_own_disk_is_kept(
    file: Path, monkeypatch: pytest.MonkeyPatch, other: int, reads: int
) -> None:
    """Another one can be exchanged for one with the same numbers and dates."""
    found = file.stat()
    monkeypatch.setattr(sealed, "_system_device", lambda: found.st_dev + other)
    monkeypatch.setattr("elevate.host.sealed.time.time_ns", lambda: found.st_ctime_ns + 2 * QUIET_NS)
    seen: list[int] = []
    digest_of = sealed.digest_of

    def counted(fd: int) -> tuple[str, int]:
        seen.append(fd)
        return digest_of(fd)

    monkeypatch.setattr(sealed, "digest_of", counted)  # it reads as ever
    with file.open("rb") as stream:
        assert sealed.digest_once(stream.fileno()) == sealed.digest_once(stream.fileno()) == digest_of(stream.fileno())
    assert len(seen) == reads
