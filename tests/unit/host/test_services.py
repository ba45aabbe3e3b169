"""Services are asked for at the machine's own manager; none is ever a child of a task."""

import hashlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import HostError, TaskInvalidError
from elevate.host.services import RUNIT, SUPERVISOR, SYSTEMD, Manager, check_what_it_starts, command, managers, what_it_starts
from elevate.model import Blob, FileFact, InspectedTask
from elevate.tasks import Task
from tests.unit.host.acting import Linux


@pytest.mark.parametrize(
    ("manager", "action", "expected"),
    [
        (SYSTEMD, "restart", ("/usr/bin/systemctl", "--no-ask-password", "--no-pager", "restart", "--", "x")),
        (RUNIT, "reload", ("/usr/bin/sv", "reload", "x")),
        (SUPERVISOR, "reload", ("/usr/bin/supervisorctl", "signal", "HUP", "x")),
    ],
)
def test_each_manager_has_its_words(manager: Manager, action: str, expected: tuple[str, ...]) -> None:
    """The program is an absolute path, the service one argument."""
    known = Manager(name=manager.name, program=manager.program, actions=manager.actions, knows=lambda name: name == "x")
    assert known.command("x", action) == expected
    with pytest.raises(TaskInvalidError, match="no such service"):
        known.command("y", action)


def test_action_that_a_manager_has_not() -> None:
    """What can't be done is said, not tried."""
    known = Manager(name="runit", program=RUNIT.program, actions=RUNIT.actions, knows=lambda _: True)
    with pytest.raises(TaskInvalidError, match="no way to enable"):
        known.command("x", "enable")


def test_17_unit_by_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias, which is a link to another unit, is refused and its own name told; a unit that lies elsewhere is none."""
    folder, elsewhere = tmp_path / "units", tmp_path / "opt"
    for made in (folder, elsewhere):
        made.mkdir()
    monkeypatch.setattr("elevate.host.services._WRITTEN", (str(folder),))
    for name in ("ssh.service", "getty@.service"):
        (folder / name).touch()
    (elsewhere / "app.service").touch()
    for name, target in (("sshd.service", folder / "ssh.service"), ("autovt@.service", folder / "getty@.service")):
        (folder / name).symlink_to(target)
    (folder / "app.service").symlink_to(elsewhere / "app.service")
    (folder / "off.service").symlink_to("/dev/null")
    for name, own in (("sshd", "ssh.service"), ("sshd.service", "ssh.service"), ("autovt@tty1", "getty@.service")):
        with pytest.raises(TaskInvalidError, match=f"another name of {own}"):
            SYSTEMD.knows(name)
    assert all(SYSTEMD.knows(name) for name in ("ssh", "getty@tty1", "app", "off"))


def test_unit_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit is known with or without its ending, a template by its instance."""
    monkeypatch.setattr("elevate.host.services._WRITTEN", (str(tmp_path),))
    monkeypatch.setattr("elevate.host.services._MADE", (str(tmp_path / "made"),))
    (tmp_path / "made").mkdir()
    for name in ("one.service", "many@.service", "door.socket", "fpm8.2-x.service", "made/sysv.service"):
        (tmp_path / name).touch()
    there = (
        "one",
        "one.service",
        "many@a",
        "many@a.service",
        "many@1.2",
        "door.socket",
        "fpm8.2-x",
        "fpm8.2-x.service",
        "sysv",
    )
    assert [name for name in (*there, "door", "x", "one.socket", "many") if SYSTEMD.knows(name)] == list(there)


def write(path: str, content: bytes = b"[Service]\n") -> InspectedTask:
    """Give what was found of a step that writes a file."""
    payload = Blob(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    task = Task.parse("file.write", {"path": path, "cwd": "/"})
    return InspectedTask(task=task, argv=(), cwd="/", file=FileFact(path=path, sha256="", size=0), payload=payload)


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with systemd, whose only folder of units this is: none is on the machines where tests run."""
    tmp_path.chmod(0o755)
    monkeypatch.setattr("elevate.host.services._WRITTEN", (str(tmp_path),))
    monkeypatch.setattr("elevate.host.services.managers", lambda: (SYSTEMD,))
    return tmp_path


def test_a_unit_that_an_earlier_step_writes_is_a_service(units: Path) -> None:
    """By its exact path; the last that writes it counts. It is checked again before it starts: the very bytes, or nothing."""
    steps = [write(f"{units}/x.service", b"1"), write("/etc/motd"), write(f"{units}/x.service", b"2")]
    words, brought = command("x", "start", steps)
    assert words[-3:] == ("start", "--", "x")
    assert brought is not None
    assert brought.step == 3
    for content in (None, b"1"):
        if content:
            (units / "x.service").write_bytes(content)
        with pytest.raises(HostError, match="not as step 3 was to bring it"):
            brought.check()
    (units / "x.service").write_bytes(b"2")
    brought.check()
    assert command("x", "start", steps)[1] is None


@pytest.mark.parametrize("path", ["{}/y.service", "{}/x.socket", "{}/sub/x.service", "/etc/x.service", "{}/x.service.d/a.conf"])
def test_no_other_file_brings_it(units: Path, path: str) -> None:
    """Neither another name, nor another folder; a link in a unit's place is not what was agreed to."""
    with pytest.raises(TaskInvalidError, match="no such service"):
        command("x", "start", [write(path.format(units))])
    (units / "real").write_bytes(b"[Service]\n")
    _, brought = command("x", "start", [write(f"{units}/x.service")])
    (units / "x.service").symlink_to(units / "real")
    assert brought is not None
    with pytest.raises(HostError):
        brought.check()


@pytest.mark.root
def test_host_linux_tells_rules_and_checks_before_it_starts(linux: Linux, units: Path) -> None:
    """The fact names the step; a unit that is not there, or another one, starts nothing."""
    inspection = linux.host.inspect(Task.service("x", "start"), linux.requester, before=[write(f"{units}/x.service")])
    try:
        assert dict(inspection.task.facts) == {"action": "start", "service": "x", "brought": "step 1"}
        with pytest.raises(HostError, match="not as step 1 was to bring it"):
            inspection.check()
        (units / "x.service").write_bytes(b"[Service]\n")
        inspection.check()
    finally:
        inspection.close()
    known = linux.host.inspect(Task.service("x", "start"), linux.requester, before=[write(f"{units}/x.service")])
    known.close()
    assert "brought" not in dict(known.task.facts)


@pytest.mark.parametrize("other", ["{}/more/x.service", "{}/x@.service"])
def test_a_unit_that_two_steps_write_in_different_places_is_refused(
    units: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """What starts is what was agreed to; which of the two systemd takes nobody was asked."""
    monkeypatch.setattr("elevate.host.services._WRITTEN", (str(units), f"{units}/more"))
    service = "x@1" if "@" in other else "x"
    steps = [write(f"{units}/{service}.service", b"1"), write(other.format(units), b"2")]
    for order in (steps, steps[::-1]):
        with pytest.raises(TaskInvalidError, match=f"more than one step brings {service}.service"):
            command(service, "start", order)


@pytest.mark.parametrize("kind", ["socket", "timer", "path", "automount", "target"])
def test_only_a_service_is_brought(units: Path, kind: str) -> None:
    """What another kind of unit starts is known only when systemd has read it."""
    with pytest.raises(TaskInvalidError, match="no such service"):
        command(f"x.{kind}", "start", [write(f"{units}/x.{kind}")])


@pytest.mark.parametrize(
    ("unit", "said", "fine"),
    [
        ("x.socket", "x.service\n", True),
        ("x@1.timer", "x@1.service\n", True),
        ("x.socket", "\n", True),
        ("x.automount", "x.mount\n", True),
        ("x.timer", "y.service\n", False),
        ("x.path", "x.service y.service\n", False),
        ("x.timer", "x.target\n", False),
    ],
)
def test_17_a_unit_starts_only_what_it_is_named_after(unit: str, said: str, *, fine: bool) -> None:
    """A deny for y must not be passed by with x.timer, which starts y."""
    assert what_it_starts((SYSTEMD.program, "start", "--", unit))[-3:] == ("--property=Triggers", "--", unit)
    if fine:
        check_what_it_starts(unit, said)
    else:
        with pytest.raises(TaskInvalidError, match="which has another name"):
            check_what_it_starts(unit, said)


@pytest.mark.parametrize(
    "command", [(), (SYSTEMD.program, "x"), (SYSTEMD.program, "x.target"), (RUNIT.program, "start", "x.timer")]
)
def test_nobody_is_asked_what_a_service_starts(command: tuple[str, ...]) -> None:
    """Nor of another manager's."""
    assert what_it_starts(command) == ()


@pytest.mark.root
def test_a_unit_of_which_systemd_says_nothing_is_refused(linux: Linux, units: Path) -> None:
    """Where systemctl reaches nobody, it is not known what would start."""
    (units / "x.timer").touch()
    with pytest.raises(HostError, match="does not say"):
        linux.host.inspect(Task.service("x.timer", "start"), linux.requester)


def test_only_systemd_knows_a_service_by_one_file(units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others want a folder, or a command of their own, before they know it."""
    monkeypatch.setattr("elevate.host.services.managers", lambda: (RUNIT,))
    with pytest.raises(TaskInvalidError, match="no such service"):
        command("x", "start", [write(f"{units}/x.service")])


@pytest.mark.root
@pytest.mark.parametrize(
    ("action", "result", "call", "status"),
    [
        ("restart", "done", "RestartUnit", 0),
        ("start", "done", "StartUnit", 0),
        ("stop", "failed", "StopUnit", 1),
        ("reload", "done", "ReloadUnit", 0),
    ],
)
def test_systemd_is_asked_over_its_bus(action: str, result: str, call: str, status: int) -> None:
    """The machine's systemctl, as the task, asks whoever has systemd's name at the fixed address, and waits for the job."""
    needed = ("/usr/bin/dbus-daemon", "/usr/bin/systemctl", "/usr/bin/setpriv")
    if os.geteuid() != 0 or not all(Path(path).exists() for path in needed):
        pytest.skip("needs root, dbus-daemon and systemctl")
    argv = [sys.executable, "-m", "tests.unit.host.systemd_peer", action, result]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["calls"], found["status"]) == ([[call, "elevate-demo.service", "replace"]], status), found


@pytest.fixture
def service() -> Iterator[tuple[str, int]]:
    """A real service under a real runsv; give its name and a pipe on which each start says its number."""
    if os.geteuid() != 0 or not Path("/usr/bin/runsv").exists() or not Path("/etc/service").is_dir():
        pytest.skip("needs root and runit")
    name = f"elevate-t{os.getpid()}"
    folder = Path("/etc/sv", name)
    folder.mkdir()
    (folder / "run").write_text("#!/bin/sh\necho $$\nexec 1>&-\nexec sleep 1000\n")
    (folder / "run").chmod(0o755)
    Path("/etc/service", name).symlink_to(folder)
    read, write = os.pipe()
    runsv = subprocess.Popen(["/usr/bin/runsv", str(folder)], stdout=write)
    os.close(write)
    try:
        yield name, read
    finally:
        subprocess.run(["/usr/bin/sv", "force-shutdown", name], check=False, capture_output=True)
        runsv.wait(timeout=20)
        Path("/etc/service", name).unlink()
        shutil.rmtree(folder)
        os.close(read)


@pytest.mark.root
@pytest.mark.service
def test_real_service_is_restarted_by_its_manager(linux: Linux, service: tuple[str, int]) -> None:
    """A restart gives it a new process, whose parent is the manager and which outlives the task."""
    name, starts = service
    first = int(os.read(starts, 100))
    done = linux.do(Task.service(name, "restart"))
    assert select.select([starts], [], [], 20)[0]
    second = int(os.read(starts, 100))
    parents = [line.split()[3] for line in (Path(f"/proc/{second}/stat").read_text(),)]
    assert (done.ended.exit_status, done.ended.leftover) == (0, 0), done
    assert second != first
    assert not Path(f"/proc/{first}").exists()
    assert b"runsv" in Path(f"/proc/{parents[0]}/cmdline").read_bytes()
    assert [manager.name for manager in managers()][-1:] == ["runit"]
    assert command(name, "stop") == (("/usr/bin/sv", "stop", name), None)
