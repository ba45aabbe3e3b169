"""What is mounted is read once for each change, and a launcher's table is what its task has."""

import os
from pathlib import Path

import pytest

from elevate.host import jail, kernel, mountinfo
from elevate.host.mountinfo import Mounts, Table

DETACH = 2
FIELDS = ("read_only", "limited", "private", "cwd")


def order(cwd: str, **given: list[bytes]) -> dict[str, list[bytes]]:
    """Give what of an order counts here."""
    return {name: [] for name in FIELDS} | {"private": [b"1"], "cwd": [cwd.encode()]} | given


@pytest.mark.root
def test_they_are_read_again_where_they_changed(tmp_path: Path) -> None:
    """And only then."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    seen = Mounts()
    first = seen.now()
    assert seen.now() is first
    kernel.mount("x", str(tmp_path), "tmpfs", 0)
    try:
        assert str(tmp_path) in seen.now().places
    finally:
        kernel._checked(kernel._libc.umount2(os.fsencode(tmp_path), DETACH))
    assert str(tmp_path) not in seen.now().places
    assert str(tmp_path) not in first.places


def test_what_a_task_has_beside_the_machines_is_watched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy's folder is mounted over itself; a folder in /tmp, or a confined task, changes more than that."""
    told = Table([], ["/told"], whole=True)
    monkeypatch.setattr(jail, "_POLICY", str(tmp_path / "nothing"))
    assert jail.watched(order("/"), told) is told
    monkeypatch.setattr(jail, "_POLICY", str(tmp_path))
    assert jail.watched(order("/"), told).places == ["/told", str(tmp_path)]
    monkeypatch.setattr(mountinfo, "table", lambda: Table([], ["/read"], whole=True))
    for other in (order("/tmp"), order("/tmp/x"), order("/", read_only=[b"/etc"]), order("/", limited=[b"1"])):
        assert jail.watched(other, told).places == ["/read"]
