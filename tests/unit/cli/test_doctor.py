"""`elevate doctor` where something is wrong with the broker itself."""

import threading
from pathlib import Path

import apsw

from elevate.broker.home import create
from elevate.cli import doctor
from elevate.cli.installation import Finding
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy


def test_doctor_waits_for_no_broker_for_ever() -> None:
    """A service manager takes connections for one that can't start; what answers is taken as it is."""
    answers = threading.Event()
    silent = doctor._within(0.01, lambda: [Finding("broker", "ok", str(answers.wait()))])
    answers.set()
    assert [(one.name, one.state) for one in silent] == [("broker", "wrong")]
    there = [Finding("broker", "ok", "there")]
    assert doctor._within(60, lambda: there) == there


def test_settings_that_can_not_be_read_are_wrong(tmp_path: Path) -> None:
    """The broker does not start with them, so this is what is looked for."""
    home = create(tmp_path / "state")
    assert doctor._settings(home).state == "ok"
    home.settings.write_text("no settings\n")
    found = doctor._settings(home)
    assert (found.state, "does not start" in found.found) == ("wrong", True)


def test_a_ledger_that_somebody_changed_is_wrong(tmp_path: Path) -> None:
    """The broker does not start with it, either."""
    home = create(tmp_path / "state")
    assert doctor._ledger(home).state == "note"
    SqliteStore(home.ledger, entropy=SeededEntropy()).close()
    assert doctor._ledger(home).state == "ok"
    connection = apsw.Connection(str(home.ledger))
    connection.execute("CREATE VIEW seen AS SELECT * FROM requests")
    connection.close()
    found = doctor._ledger(home)
    assert (found.state, "'view seen'" in found.found) == ("wrong", True)
    home.ledger.write_bytes(b"no ledger")
    assert doctor._ledger(home).state == "wrong"
