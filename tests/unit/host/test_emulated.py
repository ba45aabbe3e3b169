"""The emulated machine: every kind of task, what it leaves, and what it refuses."""

import os
import signal
from pathlib import Path

import pytest

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, HostError, TaskInvalidError
from elevate.host.emulated import EmulatedHost
from elevate.host.launcher import Launcher
from elevate.host.sealed import seal
from elevate.model import Fact
from elevate.ports import Mandate
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.unit.host.archives import wheel
from tests.unit.host.emulating import Emulated, readable_within, requester_of


def open_again(machine: Emulated, launcher: Launcher) -> EmulatedHost:
    return EmulatedHost(Path(machine.host.machine.folder.path), launcher=launcher, clock=ManualClock(), entropy=SeededEntropy())


def test_output_and_exit_status(machine: Emulated) -> None:
    """A program's outputs stay apart and its status passes through."""
    done = machine.sh("echo out; echo err >&2; exit 7")
    assert (done.out, done.err, done.ended.exit_status, done.ended.leftover) == ("out\n", "err\n", 7, 0)


def test_arguments_are_a_list(machine: Emulated) -> None:
    """No shell reads the arguments."""
    done = machine.do(Task.run(["printf", "%s|", "a b", "$(id)", "-n", "*", ""]))
    assert done.out == "a b|$(id)|-n|*||"


def test_inspected_is_real_path_and_hash(machine: Emulated) -> None:
    """The command on the fixed PATH becomes a real path, a hash and a size."""
    inspection = machine.host.inspect(Task.run(["env", "-i"]), machine.requester)
    inspection.close()
    inspection.close()
    found = inspection.task
    assert found.file is not None
    assert found.argv == (os.path.realpath("/usr/bin/env"), "-i")
    assert found.file.size == Path("/usr/bin/env").stat().st_size
    facts = dict(found.facts)
    assert (facts["writable"], facts["installer"], facts["signer"], facts["package"]) == (
        False,
        False,
        Fact.ABSENT,
        Fact.ABSENT,
    )


def test_declared_input(machine: Emulated) -> None:
    """Standard input is what was declared, from its start, by bytes or by sealed descriptor."""
    assert machine.do(Task.run(["cat"], stdin=b"one")).out == "one"
    fd = seal(b"two")
    os.lseek(fd, 2, os.SEEK_SET)
    done = machine.do(Task.run(["cat"]), fd)
    assert done.out == "two"
    assert done.inspected.payload is not None
    assert done.inspected.payload.size == 3
    os.close(fd)


def test_no_declared_input_is_empty(machine: Emulated) -> None:
    """Nothing of the caller's standard input is there."""
    assert machine.do(Task.run(["cat"])).out == ""


def test_unsealed_payload_is_refused(machine: Emulated, tmp_path: Path) -> None:
    """A descriptor whose bytes could still change is no payload."""
    memory = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    plain = os.open(tmp_path, os.O_RDONLY)
    for fd in (memory, plain):
        with pytest.raises(TaskInvalidError):
            machine.host.inspect(Task.run(["cat"]), machine.requester, fd)
        os.close(fd)


def test_payload_twice_or_for_another_kind_is_refused(machine: Emulated) -> None:
    """Input comes once, and only to kinds that take it."""
    fd = seal(b"x")
    for task in (Task.run(["cat"], stdin=b"y"), Task.service("Spooler", "stop")):
        with pytest.raises(TaskInvalidError):
            machine.host.inspect(task, machine.requester, fd)
    os.close(fd)


def test_relative_command_and_working_directory(machine: Emulated, tmp_path: Path) -> None:
    """A command with a slash is taken from the working directory, where it runs."""
    script = tmp_path / "tool.sh"
    script.write_text("#!/bin/sh\npwd -P\n")
    script.chmod(0o755)
    done = machine.do(Task.run(["./tool.sh"], cwd=str(tmp_path)))
    assert done.out == f"{tmp_path}\n"
    assert done.inspected.argv == (str(script),)


def test_link_on_the_path_keeps_its_name(machine: Emulated) -> None:
    """A program that acts by its name is called by the name of the system's link, and rules match that."""
    link = next(path for path in map(Path, ("/usr/bin/pkill", "/usr/bin/awk", "/usr/bin/python3")) if path.is_symlink())
    inspection = machine.host.inspect(Task.run([link.name]), machine.requester)
    inspection.close()
    assert inspection.task.argv == (str(link),)
    assert dict(inspection.task.facts)["path"] == str(link)
    assert inspection.task.file is not None
    assert inspection.task.file.path == os.path.realpath(link)


@pytest.mark.parametrize("command", ["no-such-command", "/no/such", "./none", "true/x"])
def test_command_not_found(machine: Emulated, command: str) -> None:
    """Not there is one error."""
    with pytest.raises(CommandNotFoundError):
        machine.host.inspect(Task.run([command]), machine.requester)


def test_command_not_executable(machine: Emulated, tmp_path: Path) -> None:
    """A folder, a file without the bit, a script without interpreter and a FIFO can't be executed."""
    (tmp_path / "plain").write_text("x")
    (tmp_path / "script").write_text("#!/no/such\n")
    (tmp_path / "script").chmod(0o755)
    os.mkfifo(tmp_path / "fifo", 0o755)
    for name in ("plain", "script", "fifo", "."):
        with pytest.raises(CommandNotExecutableError):
            machine.host.inspect(Task.run([f"./{name}"], cwd=str(tmp_path)), machine.requester)


@pytest.mark.parametrize("cwd", ["relative", "/no/such/folder", "/etc/passwd", "D:\\", "\\\\server\\share", "C:\\..\\x"])
def test_bad_working_directory(machine: Emulated, cwd: str) -> None:
    """A working directory is an absolute path of a directory that is there."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.run(["true"], cwd=cwd), machine.requester)


def test_path_on_drive_c(machine: Emulated) -> None:
    """A path as Windows writes it is one on the machine's drive."""
    done = machine.do(Task.run([r"C:\Windows\System32\whoami"], cwd=r"c:\ProgramData"))
    assert done.out.startswith("ADMIN_")
    assert done.inspected.cwd == str(machine.drive / "ProgramData")


def test_allowed_additions_reach_the_task(machine: Emulated) -> None:
    """An addition that policy may allow is there, beside the machine's own variables."""
    done = machine.do(Task.run(["env"], env={"CI": "1", "TZ": "Europe/Berlin"}))
    assert {"CI=1", "TZ=Europe/Berlin"} <= set(done.out.splitlines())


def test_file_write(machine: Emulated) -> None:
    """A file on drive C: is written whole, with its mode, and stands in the receipt."""
    done = machine.do(Task.write(r"C:\ProgramData\conf.ini", b"a=1\n", mode=0o640))
    target = machine.drive / "ProgramData" / "conf.ini"
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"a=1\n", 0o640)
    assert [(item.path, item.change, item.size) for item in done.ended.written] == [(str(target), "created", 4)]
    again = machine.do(Task.write(r"C:\ProgramData\conf.ini", b"a=2\n"))
    assert [item.change for item in again.ended.written] == ["changed"]
    assert target.stat().st_mode & 0o777 == 0o640
    assert again.inspected.file is not None
    assert again.inspected.file.size == 4


@pytest.mark.parametrize("path", ["/etc/elevate-test", "C:\\", "C:\\no\\such\\file", "C:\\Windows", "relative", "C:\\..\\x"])
def test_file_write_elsewhere_is_refused(machine: Emulated, path: str) -> None:
    """Only a file on drive C:, in a folder that is there."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.write(path, b"x"), machine.requester)


def test_file_write_without_content(machine: Emulated) -> None:
    """A file needs content, an empty one too."""
    with pytest.raises(TaskInvalidError, match="no content"):
        machine.host.inspect(Task.parse("file.write", {"path": r"C:\x", "cwd": "/"}), machine.requester)
    assert machine.do(Task.write(r"C:\ProgramData\empty", b"")).ended.exit_status == 0


def test_service_life(machine: Emulated) -> None:
    """A service's state is kept in the registry, and the output says that no process is behind it."""
    done = machine.do(Task.service("Spooler", "start"))
    assert (done.ended.exit_status, "no process behind it" in done.out) == (0, True)
    assert machine.do(Task.service("Spooler", "stop")).out.startswith("Spooler: State running -> State stopped")
    assert machine.do(Task.service("Spooler", "disable")).ended.exit_status == 0
    refused = machine.do(Task.service("Spooler", "start"))
    assert (refused.ended.exit_status, refused.err) == (1, "elevate: error: the service is disabled\n")
    assert machine.do(Task.service("spooler", "reload")).ended.exit_status == 1
    assert machine.do(Task.service("Spooler", "enable")).ended.exit_status == 0


def test_unknown_service(machine: Emulated) -> None:
    """A service that is not there can't be asked for."""
    with pytest.raises(TaskInvalidError):
        machine.host.inspect(Task.service("nothing", "start"), machine.requester)


def test_what_a_task_wrote_is_listed(machine: Emulated) -> None:
    """Created, changed and removed things are in the receipt, with hashes of what is there."""
    machine.sh('cd "$ELEVATE_DRIVE_C/ProgramData" && echo 1 > keep && echo 2 > change && echo 3 > remove')
    done = machine.sh(
        'cd "$ELEVATE_DRIVE_C/ProgramData" && echo 22 > change && rm remove && mkdir new && ln -s /etc/passwd new/link'
    )
    start = f"{machine.drive}/ProgramData/"
    found = {item.path.removeprefix(start): (item.change, bool(item.sha256)) for item in done.ended.written}
    assert found == {
        "change": ("changed", True),
        "remove": ("removed", False),
        "new": ("created", False),
        "new/link": ("created", False),
    }
    assert done.ended.watched == (str(machine.drive), str(machine.drive.parent / "registry"))


def test_time_limit(machine: Emulated) -> None:
    """The limit ends a task, and the end says so."""
    ended = machine.do(Task.run(["sleep", "1000"]), limit=1).ended
    assert (ended.timed_out, ended.signal, ended.leftover) == (True, signal.SIGTERM, 0)


def test_cancel(machine: Emulated) -> None:
    """A cancelled task ends at once, and `fileno` says when."""
    inspection = machine.host.inspect(Task.run(["sleep", "1000"]), machine.requester)
    identity = machine.host.provision(machine.requester)
    running = machine.host.start(inspection, Mandate(identity=identity, session="session-cancel", time_limit_seconds=60))
    running.cancel(signal.SIGINT)
    assert readable_within(running.fileno(), 10)
    assert running.wait().signal == signal.SIGINT
    assert running.wait() is running.wait()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()


def test_start_refuses_what_it_did_not_inspect(machine: Emulated, launcher: Launcher) -> None:
    """A closed inspection, or another machine's, never starts."""
    other = open_again(machine, launcher)
    foreign = other.inspect(Task.run(["true"]), machine.requester)
    own = machine.host.inspect(Task.run(["true"]), machine.requester)
    own.close()
    for inspection in (foreign, own):
        with pytest.raises(HostError):
            machine.start(inspection)
    foreign.close()
    other.close()


def test_unknown_requester_is_refused(machine: Emulated) -> None:
    """No account is made for somebody whom the machine does not know by SID."""
    from dataclasses import replace

    for stranger in (replace(machine.requester, sid="S-1-5-21-0"), replace(machine.requester, user="nobody-known")):
        with pytest.raises(HostError):
            machine.host.provision(stranger)


def test_session_id_is_one_name(machine: Emulated) -> None:
    """A session's id can't lead anywhere."""
    inspection = machine.host.inspect(Task.run(["true"]), machine.requester)
    for session in ("../../escape", "short", "a/b/c/d/e", "x" * 65):
        with pytest.raises(HostError):
            machine.start(inspection, session=session)
    inspection.close()


def test_machine_outlives_its_process(machine: Emulated, launcher: Launcher) -> None:
    """Users, accounts, registry and files are there when the machine is opened again."""
    machine.do(Task.service("Spooler", "start"))
    other = open_again(machine, launcher)
    assert other.users() == machine.host.users()
    assert other.name == machine.host.name
    assert requester_of(other, os.getuid()) == machine.requester
    other.close()


def test_create_twice_and_open_of_nothing(machine: Emulated, launcher: Launcher, tmp_path: Path) -> None:
    """A machine is never made over another, and a folder that is none is refused."""
    folder = Path(machine.host.machine.folder.path)
    with pytest.raises(HostError):
        EmulatedHost.create(folder, launcher=launcher, clock=ManualClock(), entropy=SeededEntropy())
    (tmp_path / "empty").mkdir(mode=0o700)
    for path in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(HostError):
            EmulatedHost(path, launcher=launcher, clock=ManualClock(), entropy=SeededEntropy())


def test_user_without_name(machine: Emulated) -> None:
    """A uid that no account has gets a name that can stand in a path."""
    name, _, groups = machine.host.user_for(4_000_000)
    assert (name, groups) == ("uid4000000", ("Administrators", "Users"))


def test_user_named_like_a_hidden_account(machine: Emulated) -> None:
    """Nobody can be named like a hidden account."""
    assert machine.host.machine.add_user("ADMIN_root", 4_000_001)["name"] == "uid4000001"
    assert machine.host.machine.add_user("../x", 4_000_002)["name"] == "uid4000002"


def test_package_of_a_program(machine: Emulated, tmp_path: Path) -> None:
    """A program that a package of the machine's brought is known by it."""
    package = wheel(tmp_path / "n.whl", {"notes/run.sh": b"#!/bin/sh\necho hi\n"}, mode=0o100755)
    assert machine.do(Task.install(str(package))).ended.exit_status == 0
    done = machine.do(Task.run([r"C:\Program Files\notes\notes\run.sh"]))
    facts = dict(done.inspected.facts)
    assert (done.out, facts["package"], facts["version"], facts["writable"]) == ("hi\n", "notes", "1.0", False)


def test_no_descriptor_is_left(machine: Emulated) -> None:
    """Tasks, refused ones too, leave the broker with the descriptors it had."""
    machine.sh("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        machine.sh("true")
        with pytest.raises(CommandNotFoundError):
            machine.do(Task.run(["no-such-command"], stdin=b"x"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # one launcher more than then may wait ready
