"""``elevate serve``: whose broker it is."""

import os
from pathlib import Path

import pytest

from elevate.broker import home
from elevate.server import main


@pytest.mark.parametrize(
    ("uid", "own", "machines", "served"),
    [
        (0, False, True, "machine"),
        (0, True, True, "own"),
        (0, False, False, "own"),
        (1000, False, True, "own"),
    ],
)
def test_root_without_a_broker_of_its_own_serves_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, uid: int, own: bool, machines: bool, served: str
) -> None:
    """As every other command of root's looks at that; what is named counts always."""
    for name, there in (("own", own), ("machine", machines)):
        if there:
            home.create(tmp_path / name)
    # Where the folders are is the user database's word and a constant; who asks is the kernel's.
    monkeypatch.setattr(main, "default_state", lambda: tmp_path / "own")
    monkeypatch.setattr(home, "MACHINE", tmp_path / "machine")
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert main._state({}) == tmp_path / served
    assert main._state({"--state": "/srv/other"}) == Path("/srv/other")
