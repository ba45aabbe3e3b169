"""What the emulated machine does as Windows 11 Administrator protection does; the numbers are the rows of the behaviours."""

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.errors import HostError, TaskInvalidError
from elevate.host.emulated import HIGH_INTEGRITY, MEDIUM_INTEGRITY
from elevate.host.registry import MACHINE, PROFILES, UNINSTALL, user_hive
from elevate.ports import Mandate
from elevate.tasks import Task
from tests.unit.host.archives import wheel
from tests.unit.host.emulating import Emulated


def test_04_task_runs_as_the_hidden_account(machine: Emulated) -> None:
    """`whoami` prints ADMIN_<user>, whose SID is not the caller's."""
    user = machine.requester
    done = machine.do(Task.run(["whoami", "/user"]))
    name, sid = done.out.split()
    assert name == f"ADMIN_{user.user}"
    assert sid != user.sid
    assert sid.rsplit("-", 1)[0] == user.sid.rsplit("-", 1)[0] == machine.host.machine.sid
    assert machine.do(Task.run(["whoami"])).out == f"{name}\n"


def test_05_one_account_per_administrator_linked_both_ways(machine: Emulated) -> None:
    """The machine lists the pairs, and no two users share an account."""
    second = machine.as_user(4_000_010)
    accounts = [one.host.provision(one.requester) for one in (machine, second, machine)]
    assert accounts[0] == accounts[2] != accounts[1]
    pairs = {user.name: user.smaa for user in machine.host.users()}
    assert pairs == {machine.requester.user: accounts[0], second.requester.user: accounts[1]}
    assert len({account.sid for account in accounts}) == len({account.home for account in accounts}) == 2


def test_06_account_is_made_at_the_first_elevation(machine: Emulated) -> None:
    """None before, exactly one after, the same for ever."""
    before = [user.smaa for user in machine.host.users()]
    machine.host.inspect(Task.run(["true"]), machine.requester).close()
    assert [user.smaa for user in machine.host.users()] == before == [None]
    machine.sh("true")
    first = machine.host.users()[0].smaa
    machine.sh("true")
    assert first == machine.host.users()[0].smaa
    assert [path.name for path in (machine.drive / "Users").iterdir() if path.name.startswith("ADMIN_")] == [
        f"ADMIN_{machine.requester.user}"
    ]


def test_07_account_is_hidden_and_has_no_credential(machine: Emulated) -> None:
    """No password stands anywhere, the real system has no such account, and nobody can ask in its name."""
    account = machine.host.provision(machine.requester)
    state = (Path(machine.host.machine.folder.path) / "machine.json").read_text().lower()
    assert "password" not in state
    assert "hash" not in state
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)
    with pytest.raises(HostError):
        machine.host.provision(replace(machine.requester, user=account.name, sid=account.sid))


def test_08_account_is_known_by_its_sid_never_by_its_name(machine: Emulated) -> None:
    """An identity with the right name and another SID, home or uid starts nothing."""
    account = machine.host.provision(machine.requester)
    for forged in (
        replace(account, sid=machine.requester.sid),
        replace(account, home="/tmp"),
        replace(account, uid=0, name="ADMIN_x"),
    ):
        inspection = machine.host.inspect(Task.run(["true"]), machine.requester)
        with pytest.raises(HostError):
            machine.host.start(inspection, Mandate(identity=forged, session="session-forged", time_limit_seconds=5))
        inspection.close()


def test_09_every_elevation_has_a_session_of_its_own(machine: Emulated) -> None:
    """Session id, kernel session and scratch folder are new each time."""
    seen = [machine.sh('ps -o sid= -p $$; echo "$ELEVATE_SESSION"; echo "$TMPDIR"').out.split() for _ in range(3)]
    for values in zip(*seen, strict=True):
        assert len(set(values)) == 3


def test_10_users_configuration_has_no_effect_on_the_task(
    machine: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the user's home is not read: the task's home is another."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".profile").write_text("echo planted\n")
    (tmp_path / ".toolrc").write_text("planted\n")
    done = machine.do(Task.run(["/bin/sh", "-l", "-c", 'cat ~/.toolrc || echo none; echo "$HOME"']))
    assert done.out == f"none\n{machine.host.provision(machine.requester).home}\n"


def test_10_what_a_task_keeps_per_user_is_not_in_the_users_profile(machine: Emulated) -> None:
    """The hidden account's profile persists; the user's own stays as it was."""
    own = machine.drive / "Users" / machine.requester.user
    before = sorted(own.rglob("*"))
    machine.sh("echo mine > ~/.toolrc")
    assert machine.sh("cat ~/.toolrc").out == "mine\n"
    assert sorted(own.rglob("*")) == before


def test_10_hives_are_separate(machine: Emulated) -> None:
    """User and hidden account each have a hive of their own, and a profile that HKLM names."""
    account = machine.host.provision(machine.requester)
    registry = machine.host.machine.registry
    registry.write(user_hive(account.sid), r"Software\Tool", {"Seen": 1})
    assert registry.read(user_hive(machine.requester.sid), r"Software\Tool") is None
    assert registry.read(user_hive(account.sid), r"software\TOOL") == {"Seen": 1}
    profile = registry.read(MACHINE, rf"{PROFILES}\{account.sid}")
    assert profile == {"ProfileImagePath": rf"C:\Users\{account.name}"}


def test_11_files_saved_to_libraries_land_in_the_hidden_profile(machine: Emulated) -> None:
    """The receipt lists where they are."""
    done = machine.sh("echo text > ~/Documents/letter.txt")
    account = machine.host.provision(machine.requester)
    assert [item.path for item in done.ended.written] == [f"{account.home}/Documents/letter.txt"]
    assert not (machine.drive / "Users" / machine.requester.user / "Documents" / "letter.txt").exists()


def test_12_integrity_levels(machine: Emulated) -> None:
    """The caller stands at 8192, the task at 12288."""
    assert (MEDIUM_INTEGRITY, HIGH_INTEGRITY) == (8192, 12288)
    assert "S-1-16-12288" in machine.do(Task.run(["whoami", "/groups"])).out
    assert machine.sh('echo "$ELEVATE_INTEGRITY"').out == "12288\n"


def test_13_nothing_of_the_admin_context_is_left(machine: Emulated) -> None:
    """After the end neither process, nor scratch, nor a way to start again is there."""
    inspection = machine.host.inspect(Task.run(["/bin/sh", "-c", "echo $$; echo $TMPDIR"]), machine.requester)
    pid, scratch = machine.start(inspection).out.split()
    assert not Path(f"/proc/{pid}").exists()
    assert not Path(scratch).exists()
    with pytest.raises(HostError):
        machine.start(inspection)
    inspection.close()


def test_14_children_have_the_identity_and_end_with_the_task(machine: Emulated) -> None:
    """A child of a child is the hidden account too; none is there when the end is told."""
    done = machine.sh("sh -c \"sh -c 'echo $USERNAME $ELEVATE_ADMIN_SID'\"; sleep 1000 & echo $!")
    account = machine.host.provision(machine.requester)
    first, second = done.out.splitlines()
    assert first == f"{account.name} {account.sid}"
    assert not Path(f"/proc/{second}").exists()


@pytest.mark.parametrize(
    "name", ["KRB5CCNAME", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "GNOME_KEYRING_CONTROL"]
)
def test_24_no_single_sign_on_and_no_mapped_drives(machine: Emulated, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The user's agents and tickets are not there, and there is no drive but C:."""
    monkeypatch.setenv(name, "/run/user/secret")
    assert name not in machine.do(Task.run(["env"])).out
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], cwd="Z:\\"), machine.requester)


def test_27_two_tasks_at_once_stay_apart(machine: Emulated) -> None:
    """Each has its own session and scratch folder, and neither ends the other."""
    long = machine.host.inspect(Task.run(["sleep", "1000"]), machine.requester)
    account = machine.host.provision(machine.requester)
    running = machine.host.start(long, Mandate(identity=account, session="session-long", time_limit_seconds=60))
    assert "session-long" not in machine.sh('echo "$TMPDIR"').out
    assert Path(f"/proc/{running.pid}").exists()
    running.cancel()
    assert running.wait().leftover == 0
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    long.close()


def test_32_nothing_of_the_users_is_loaded(machine: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's site-packages with a .pth file runs nothing in the machine's own programs or in the task."""
    marker = tmp_path / "marker"
    code = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
    for folder in (tmp_path / f".local/lib/python3.{minor}/site-packages" for minor in range(9, 16)):
        folder.mkdir(parents=True)
        (folder / "evil.pth").write_text(code)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONUSERBASE", str(tmp_path / ".local"))
    machine.do(Task.service("Spooler", "start"))
    machine.do(Task.run(["env", "python3", "-c", "pass"]))
    assert not marker.exists()


def test_33_refused_write_is_an_error(machine: Emulated) -> None:
    """No copy in a VirtualStore stands in for a write that was refused."""
    done = machine.sh("echo x > /proc/version || exit 13")
    assert (done.ended.exit_status, done.ended.written) == (13, ())
    assert not [path for path in machine.drive.rglob("*") if path.name in {"version", "VirtualStore"}]


def test_34_receipt_and_registry_name_who_installed_what(machine: Emulated, tmp_path: Path) -> None:
    """An uninstall finds the account and the files: both are written down."""
    done = machine.do(Task.install(str(wheel(tmp_path / "n.whl", {"notes/a.py": b"1"}))))
    values = machine.host.machine.registry.read(MACHINE, rf"{UNINSTALL}\notes")
    account = machine.host.provision(machine.requester)
    assert values is not None
    assert (values["InstalledBy"], values["InstallLocation"]) == (account.name, r"C:\Program Files\notes")
    paths = {item.path.removeprefix(f"{machine.drive}/") for item in done.ended.written}
    assert {"Program Files/notes", "Program Files/notes/notes/a.py"} <= paths
    assert f"{machine.drive.parent}/registry/HKLM.json" in paths
