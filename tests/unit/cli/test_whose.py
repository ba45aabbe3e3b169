"""Which broker's folder is meant where none is named."""

import os
from pathlib import Path

import pytest

from elevate.broker.home import create
from elevate.cli import whose


def test_machines_broker_is_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root means the machine's where there is one; everybody else their own."""
    monkeypatch.setattr(whose, "MACHINE", tmp_path / "machine")
    assert whose.broker_home().folder.name == "elevate"
    create(tmp_path / "machine")
    machine = whose.broker_home().folder == tmp_path / "machine"
    assert machine == (os.geteuid() == 0)
