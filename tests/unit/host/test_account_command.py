"""``elevate account``: root sees the pairs and removes one."""

import json
import pwd
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.cli.account import app
from elevate.errors import HostError, NoBrokerError
from elevate.host.launcher import Launcher
from elevate.host.linux import LinuxHost
from elevate.testing import ManualClock, SeededEntropy
from tests.unit.host.acting import a_user
from tests.unit.host.emulating import requester_of


@pytest.mark.root
def test_list_and_remove(tmp_path: Path, launcher: Launcher) -> None:
    """The pair is listed both ways, gone after removal, and the system's account with it."""
    with a_user() as user:
        homes = Path(f"/var/lib/elevate-admin-{user.pw_name}")
        host = LinuxHost.create(
            tmp_path / "accounts", launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(), homes=homes
        )
        account = host.provision(requester_of(host, user.pw_uid))
        shown = CliRunner().invoke(app, ["list", "--state", str(tmp_path), "--json"])
        plain = CliRunner().invoke(app, ["list", "--state", str(tmp_path)])
        gone = CliRunner().invoke(app, ["remove", "--state", str(tmp_path), user.pw_name])
        empty = CliRunner().invoke(app, ["list", "--state", str(tmp_path)])
        (homes / "nobody").rmdir()
        homes.rmdir()
        host.close()
    (pair,) = json.loads(shown.stdout)["accounts"]
    assert (pair["user"], pair["account"], pair["account_uid"]) == (user.pw_name, account.name, account.uid)
    assert plain.stdout == f"{user.pw_name} ({user.pw_uid})  {account.name} ({account.uid})\n"
    assert gone.exit_code == 0, gone.output
    assert empty.stdout.startswith("none yet")
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)


@pytest.mark.root
def test_accounts_of_the_machine_are_roots_to_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else is told so, and not that there is no broker in the own home."""
    # Both are what the command sees of the machine; the test's own user is root.
    monkeypatch.setattr("elevate.cli.account.MACHINE", tmp_path)
    monkeypatch.setattr("elevate.cli.account.os.geteuid", lambda: 65_534)
    result = CliRunner().invoke(app, ["list"])
    assert isinstance(result.exception, HostError)
    assert result.exception.hint == "as root: elevate account list"


def test_no_host_there(tmp_path: Path) -> None:
    """A folder without one, and a user without an account, are one error each."""
    result = CliRunner().invoke(app, ["list", "--state", str(tmp_path)])
    assert isinstance(result.exception, NoBrokerError)
    (tmp_path / "accounts").mkdir(mode=0o700)
    result = CliRunner().invoke(app, ["remove", "--state", str(tmp_path), "nobody"])
    assert isinstance(result.exception, HostError)
