"""What the log keeps of who asked, and of what was in force."""

import hashlib
import os
from pathlib import Path

from elevate.audit import parse
from elevate.broker import Broker
from elevate.host.processes import read_process
from elevate.tasks import Task


def _started(folder: Path) -> object:
    with Broker.open(folder) as broker:
        last = [entry for entry in map(parse, broker.parts.store.entries()) if entry.event == "broker-started"][-1]
    shown = last.body["broker"]
    assert isinstance(shown, dict)
    return shown["settings"]


def test_the_asking_program_is_hashed_by_its_descriptor() -> None:
    """The digest is that of the file that runs, and the same for every look."""
    facts = read_process(os.getpid())
    assert facts.executable_sha256 == hashlib.sha256(Path("/proc/self/exe").read_bytes()).hexdigest()
    assert read_process(os.getpid()).executable_sha256 == facts.executable_sha256


def test_the_login_uid_is_the_kernels() -> None:
    """-1 where nobody logged in."""
    login = Path("/proc/self/loginuid")
    known = int(login.read_text()) if login.exists() else 2**32 - 1
    assert read_process(os.getpid()).audit_uid == (-1 if known == 2**32 - 1 else known)


def test_requests_carry_both(broker: Broker) -> None:
    """They reach the requester, and so the digest that is signed."""
    grant = broker.elevate(Task.run(["true"]))
    requester = grant.agreement.requester
    assert requester.executable_sha256 == read_process(os.getpid()).executable_sha256
    assert requester.audit_uid == read_process(os.getpid()).audit_uid
    grant.release()


def test_a_start_names_the_settings_in_force(tmp_path: Path) -> None:
    """The same settings have the same digest at the next start, others have another; the log shows it openly."""
    Broker.embedded(tmp_path / "state").close()
    first = _started(tmp_path / "state")
    assert _started(tmp_path / "state") == first
    path = tmp_path / "state/settings.toml"
    path.write_text("remote = true\n" + path.read_text())
    assert _started(tmp_path / "state") != first
