"""Attacks by files that change under the broker's eyes: rows 7 to 12 and 16."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.errors import CommandNotFoundError, HostError, TaskInvalidError
from elevate.host.emulated import EmulatedHost
from elevate.host.launcher import Launcher, Order
from elevate.host.machine import Machine
from elevate.host.registry import MACHINE
from elevate.ports import Mandate
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.attacks.host import naive
from tests.unit.host.emulating import Emulated, ordinary


def test_07_empty_command_is_refused() -> None:
    """There is no task, and no order, without a first argument."""
    for argv in ([], [""]):
        with pytest.raises(TaskInvalidError):
            Task.run(argv)
        with pytest.raises(HostError):
            Order(argv=tuple(argv), env={})


def test_17_service_has_one_spelling_for_rules(machine: Emulated) -> None:
    """Windows takes any; a deny goes by the machine's own, whatever the one who asks writes."""
    for name in ("Spooler", "SPOOLER", "spooler"):
        inspection = machine.host.inspect(Task.service(name, "stop"), machine.requester)
        assert dict(inspection.task.facts) == {"action": "stop", "service": "Spooler"}
        inspection.close()


def test_07_first_argument_is_the_brokers(machine: Emulated, tmp_path: Path) -> None:
    """A link of the caller's can't choose the name by which a program acts."""
    (tmp_path / "reboot").symlink_to("/usr/bin/env")
    if os.geteuid() == 0:
        os.chown(tmp_path, 65_534, 65_534)
    user = ordinary(machine.requester)
    inspection = machine.host.inspect(Task.run(["./reboot"], cwd=str(tmp_path)), user)
    inspection.close()
    assert inspection.task.argv == (os.path.realpath("/usr/bin/env"),)


def test_08_link_swapped_after_the_check(machine: Emulated, tmp_path: Path) -> None:
    """What was opened and hashed is what runs, wherever the link leads by then."""
    naive.script(tmp_path / "good", "echo good")
    evil = naive.script(tmp_path / "evil", "echo evil")
    link = tmp_path / "link"
    link.symlink_to("good")
    inspection = machine.host.inspect(Task.run([str(link)]), machine.requester)
    naive.check(link)
    link.unlink()
    link.symlink_to("evil")
    assert naive.run([str(link)]) == "evil\n"
    done = machine.start(inspection)
    inspection.close()
    assert done.out == "good\n"
    assert done.inspected.argv == (str(evil.with_name("good")),)


def test_08_folder_swapped_after_the_check(machine: Emulated, tmp_path: Path) -> None:
    """A working directory that is swapped is not entered, and a relative name in it not followed."""
    (tmp_path / "work").mkdir()
    (tmp_path / "evil").mkdir()
    naive.script(tmp_path / "work" / "tool", "pwd -P; echo good")
    naive.script(tmp_path / "evil" / "tool", "pwd -P; echo evil")
    inspection = machine.host.inspect(Task.run(["./tool"], cwd=str(tmp_path / "work")), machine.requester)
    (tmp_path / "work").rename(tmp_path / "moved")
    (tmp_path / "work").symlink_to("evil")
    assert "evil" in naive.run(["./tool"], cwd=str(tmp_path / "work"))
    done = machine.start(inspection)
    inspection.close()
    assert done.out == f"{tmp_path}/moved\ngood\n"


def test_09_same_file_rewritten_after_the_hash(machine: Emulated, tmp_path: Path) -> None:
    """A file that the caller can write runs from a sealed copy of what was hashed."""
    path = naive.script(tmp_path / "tool", "echo good")
    inspection = machine.host.inspect(Task.run([str(path)]), machine.requester)
    naive.check(path)
    with path.open("r+") as file:
        file.write("#!/bin/sh\necho evil\n")
    assert naive.run([str(path)]) == "evil\n"
    done = machine.start(inspection)
    inspection.close()
    assert done.out == "good\n"
    assert dict(inspection.task.facts)["writable"] is True


def test_09_package_rewritten_after_the_hash(machine: Emulated, tmp_path: Path) -> None:
    """A package, too, is installed from the bytes that were hashed."""
    from tests.unit.host.archives import wheel

    path = naive.owned_by_a_user(wheel(tmp_path / "n.whl", {"notes/x": b"good"}))
    inspection = machine.host.inspect(Task.install(str(path)), machine.requester)
    wheel(tmp_path / "n.whl", {"notes/x": b"evil"})
    machine.start(inspection)
    inspection.close()
    assert (machine.drive / "Program Files/notes/notes/x").read_bytes() == b"good"


def test_09_writable_parent_is_told_to_the_policy(machine: Emulated, tmp_path: Path) -> None:
    """A root-owned file in a folder that the caller can write counts as writable; one in /usr/bin does not."""
    user = ordinary(machine.requester)
    tmp_path.chmod(0o777)
    naive.script(tmp_path / "tool", "true")
    found = {}
    for word in (str(tmp_path / "tool"), "/usr/bin/env"):
        inspection = machine.host.inspect(Task.run([word]), user)
        inspection.close()
        found[word] = dict(inspection.task.facts)["writable"]
    assert found == {str(tmp_path / "tool"): True, "/usr/bin/env": False}


def test_10_no_way_back_to_the_path(machine: Emulated, tmp_path: Path) -> None:
    """Where the descriptor can't be executed nothing is, though the path could be by then."""
    interpreter = tmp_path / "interpreter"
    interpreter.symlink_to("/bin/sh")
    path = tmp_path / "tool"
    path.write_text(f"#!{interpreter}\necho good\n")
    path.chmod(0o755)
    naive.owned_by_a_user(path)
    inspection = machine.host.inspect(Task.run([str(path)]), machine.requester)
    interpreter.unlink()
    path.unlink()
    naive.script(path, f"touch {tmp_path}/marker")
    with pytest.raises(CommandNotFoundError):
        machine.start(inspection)
    inspection.close()
    assert not (tmp_path / "marker").exists()
    naive.run([str(path)])
    assert (tmp_path / "marker").exists()


def test_10_script_runs_by_descriptor(machine: Emulated, tmp_path: Path) -> None:
    """A script needs its descriptor on exec; it has it, and runs after its path is gone."""
    path = naive.script(tmp_path / "tool", 'echo "$1"')
    inspection = machine.host.inspect(Task.run([str(path), "good"]), machine.requester)
    path.unlink()
    assert machine.start(inspection).out == "good\n"
    inspection.close()


def test_11_planted_profile_stops_the_first_elevation(machine: Emulated, tmp_path: Path) -> None:
    """A link in place of the hidden account's profile is no profile."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (machine.drive / "Users" / f"ADMIN_{machine.requester.user}").symlink_to(outside)
    with pytest.raises(HostError):
        machine.host.provision(machine.requester)
    assert (list(outside.iterdir()), machine.host.users()[0].smaa) == ([], None)


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("name", ["machine.json", "registry/HKLM.json"])
def test_11_planted_state_is_refused(machine: Emulated, tmp_path: Path, link: object, name: str) -> None:
    """A symbolic or hard link in place of a state file is neither read nor written."""
    state = Path(machine.host.machine.folder.path) / name
    elsewhere = tmp_path / "elsewhere"
    state.rename(elsewhere)
    before = elsewhere.read_bytes()
    assert callable(link)
    link(elsewhere, state)
    uses: list[Callable[[], object]] = [
        lambda: Machine.open(state.parents[name.count("/")]).registry.read(MACHINE, "x"),
        lambda: machine.host.inspect(Task.service("Spooler", "start"), machine.requester),
        lambda: machine.host.user_for(4_000_003),
    ]
    for use in uses[:1] + uses[1 + (name == "machine.json") :][:1]:
        with pytest.raises((HostError, OSError)):
            use()
    assert elsewhere.read_bytes() == before


def test_11_written_file_is_no_link(machine: Emulated, tmp_path: Path) -> None:
    """A link in the target's place, or in a folder above, is refused."""
    secret = tmp_path / "secret"
    secret.write_text("kept")
    data = machine.drive / "ProgramData"
    (data / "link").symlink_to(secret)
    (data / "hard").hardlink_to(secret)
    (data / "folder").symlink_to(tmp_path)
    for name in ("link", "hard", r"folder\secret"):
        with pytest.raises(TaskInvalidError):
            machine.host.inspect(Task.write(rf"C:\ProgramData\{name}", b"evil"), machine.requester)
    assert naive.check(data / "link") == b"kept"


def test_11_target_swapped_after_the_check(machine: Emulated, tmp_path: Path) -> None:
    """A link that is planted between check and run is never written through."""
    secret = tmp_path / "secret"
    secret.write_text("kept")
    data = machine.drive / "ProgramData"
    (data / "sub").mkdir()
    inspection = machine.host.inspect(Task.write(r"C:\ProgramData\sub\file", b"new"), machine.requester)
    (data / "sub").rename(data / "moved")
    (data / "sub").symlink_to(tmp_path)
    (data / "moved" / "file").symlink_to(secret)
    assert machine.start(inspection).ended.exit_status == 1
    inspection.close()
    assert (secret.read_text(), (tmp_path / "file").exists()) == ("kept", False)


def test_11_folder_of_another_user_is_no_machine(machine: Emulated, launcher: Launcher) -> None:
    """A machine's folder that others can write to is not opened."""
    folder = Path(machine.host.machine.folder.path)
    folder.chmod(0o777)
    with pytest.raises(HostError):
        EmulatedHost(folder, launcher=launcher, clock=ManualClock(), entropy=SeededEntropy())


@pytest.mark.parametrize("plant", ["folder", "link"])
def test_12_session_folder_made_in_advance(machine: Emulated, tmp_path: Path, plant: str) -> None:
    """Who makes the session's folder first stops the task, and gets nothing."""
    place = Path(machine.host.machine.folder.path) / "scratch" / "session-planted"
    place.mkdir() if plant == "folder" else place.symlink_to(tmp_path)
    inspection = machine.host.inspect(Task.run(["touch", str(tmp_path / "ran")]), machine.requester)
    with pytest.raises(HostError):
        machine.start(inspection, session="session-planted")
    inspection.close()
    assert not (tmp_path / "ran").exists()


def test_12_session_folder_is_closed_and_goes(machine: Emulated) -> None:
    """It is 0700 while the task runs, and gone after, whatever the task left in it."""
    done = machine.sh(
        'stat -c %a "$TMPDIR"; echo "$TMPDIR"; mkdir -p "$TMPDIR/a/b"; chmod 500 "$TMPDIR/a"; ln -s / "$TMPDIR/root"'
    )
    mode, path = done.out.split()
    assert (mode, Path(path).exists(), done.ended.leftover) == ("700", False, 0)


def test_12_a_deep_session_folder_goes_too(machine: Emulated) -> None:
    """Nesting deeper than any path or stack is removed, and no link in it is followed."""
    script = 'cd "$TMPDIR"; echo "$TMPDIR"; for i in $(seq 1500); do mkdir d; ln -s /etc l; cd d || exit 1; done'
    done = machine.sh(script)
    assert (Path(done.out.split()[0]).exists(), done.ended.leftover) == (False, 0)
    assert list((Path(machine.host.machine.folder.path) / "scratch").iterdir()) == []
    assert Path("/etc/passwd").exists()


def test_16_every_part_of_a_task_is_in_its_digest(machine: Emulated, tmp_path: Path) -> None:
    """One argument, one byte of input, the directory or one variable changed: another digest."""
    tasks = [
        Task.run(["echo", "a"]),
        Task.run(["echo", "b"]),
        Task.run(["echo", "a", ""]),
        Task.run(["echo", "a"], cwd=str(tmp_path)),
        Task.run(["echo", "a"], env={"A": "1"}),
        Task.run(["echo", "a"], stdin=b""),
        Task.run(["echo", "a"], stdin=b"x"),
        Task.run(["echo", "a"], time_limit_seconds=1),
        Task.run(["printf", "a"]),
    ]
    digests = set()
    for task in tasks:
        inspection = machine.host.inspect(task, machine.requester)
        digests.add(inspection.task.digest)
        inspection.close()
    assert len(digests) == len(tasks)


def test_16_inspection_starts_once(machine: Emulated) -> None:
    """What was approved once can't be started twice, not even by the broker's own mistake."""
    inspection = machine.host.inspect(Task.run(["echo", "a"]), machine.requester)
    assert machine.start(inspection).out == "a\n"
    with pytest.raises(HostError):
        machine.start(inspection)
    inspection.close()


def test_16_another_users_inspection_is_refused(machine: Emulated) -> None:
    """A task that was inspected for one user never runs in the name of another's account."""
    other = machine.as_user(4_000_004)
    inspection = machine.host.inspect(Task.run(["true"]), machine.requester)
    with pytest.raises(HostError):
        other.start(inspection)
    forged = replace(machine.host.provision(machine.requester), sid="S-1-5-32-544")
    with pytest.raises(HostError):
        machine.host.start(inspection, Mandate(identity=forged, session="session-forged", time_limit_seconds=1))
    inspection.close()
