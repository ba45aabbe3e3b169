"""Rows 1 and 4 through the whole broker."""

from pathlib import Path

from elevate.broker import Broker
from elevate.tasks import Task


def _set(folder: Path, before: str, after: str) -> None:
    path = folder / "settings.toml"
    path.write_text(path.read_text().replace(before, after))


def test_01_a_mode_change_is_pending_until_a_restart(tmp_path: Path) -> None:
    """`status` says that a restart is pending; the mode in force stays until then."""
    with Broker.embedded(tmp_path / "state") as broker:
        _set(tmp_path / "state", "TypeOfAdminApprovalMode = 2", "TypeOfAdminApprovalMode = 1")
        assert (broker.status()["pending_restart"], broker.status()["protected"]) == (True, True)
    with Broker.open(tmp_path / "state") as again:
        assert (again.status()["pending_restart"], again.status()["protected"]) == (False, False)


def test_04_the_task_runs_as_the_hidden_account(tmp_path: Path) -> None:
    """`whoami` prints it, under a policy that ships."""
    with Broker.embedded(tmp_path / "state") as broker:
        grant = broker.elevate(Task.run(["whoami"]))
        user = grant.agreement.requester.user
        assert grant.run(capture=True).stdout == f"ADMIN_{user}\n".encode()
        assert grant.identity.sid != grant.agreement.requester.sid
