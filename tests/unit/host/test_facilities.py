"""What the machine offers is told; what is missing is told with what it means."""

import pytest

from elevate.host import facilities
from elevate.host.facilities import examine


def test_everything_is_looked_at() -> None:
    """Every finding has a state that doctor knows, and text."""
    found = examine()
    assert {one.name for one in found} >= {"namespaces", "cgroup", "fanotify", "useradd", "root"}
    assert {one.state for one in found} <= {"ok", "note", "wrong"}
    assert all(one.found for one in found)


def test_missing_things_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Needed is wrong, wanted is a note; a look that fails is as one that finds nothing."""

    def fails() -> str:
        raise OSError

    monkeypatch.setattr("elevate.host.cgroups.base", fails)
    monkeypatch.setattr(facilities, "_there", lambda _: "")
    found = {one.name: one for one in examine()}
    assert (found["cgroup"].state, found["dpkg"].state, found["useradd"].state) == ("note", "note", "wrong")
    assert "second net" in found["cgroup"].found
