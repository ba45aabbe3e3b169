"""Attacks on a real broker that is root, by a user who has no rights. Each succeeds against the naive broker beside it.

The naive broker does what one writes first: it looks at a path, then starts that path as root with what it finds around it.
"""

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import termios
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from elevate.errors import CommandNotExecutableError, CommandNotFoundError, ElevateError, HostError, TaskError, TaskInvalidError
from elevate.host import cgroups, paths
from elevate.host.launcher import Launcher
from elevate.host.linux import LinuxHost
from elevate.ports import Mandate
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.attacks.host.test_races import no_such_call
from tests.attacks.host.test_trees import DAEMON
from tests.unit.host.acting import Linux
from tests.unit.host.run import alive

pytestmark = pytest.mark.root

LD_TRACE = {"LD_TRACE_LOADED_OBJECTS": "1"}
PLANTED = {
    **LD_TRACE,
    "LD_PRELOAD": "/tmp/x.so",
    "PYTHONPATH": "/tmp/x",
    "BASH_ENV": "/tmp/x",
    "ENV": "/tmp/x",
    "TZ": "/tmp/x",
    "SSH_AUTH_SOCK": "/tmp/x",
    "XDG_RUNTIME_DIR": "/tmp/x",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/x",
    "HOME": "/tmp/x",
}


def naive(argv: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a path as root, with the caller's environment and directory."""
    done = subprocess.run(argv, env=dict(env or os.environ), cwd=cwd, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def script(linux: Linux, name: str, text: str) -> Path:
    """Let the user write an executable script."""
    path = linux.place / name
    linux.as_attacker(["/bin/sh", "-c", 'printf "%s\\n" "#!/bin/sh" "$2" > "$1" && chmod 755 "$1"', "sh", str(path), text])
    return path


@pytest.fixture(autouse=True)
def tidy(linux: Linux) -> Iterator[None]:
    yield
    subprocess.run(["/bin/sh", "-c", f"rm -rf {linux.place}/*"], check=True)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("kept")
    path.chmod(0o600)
    return path


def test_01_02_05_06_environment_is_made_from_nothing(linux: Linux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that the caller, or the broker's own start, has in its environment reaches the task."""
    assert "libc.so" in naive(["/bin/echo", "ran"], env=LD_TRACE)
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    homes = Path(linux.host.provision(linux.requester).home).parent
    with Launcher() as launcher:
        host = LinuxHost.create(tmp_path / "h", launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(), homes=homes)
        host.accounts._folder.replace("accounts.json", linux.host.accounts._folder.read("accounts.json"))
        own = Linux(host, linux.requester, place=linux.place)
        names = {line.partition("=")[0] for line in own.do(Task.run(["env"])).out.splitlines()}
        host.close()
    allowed = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR"}
    allowed |= {f"SUDO_{name}" for name in ("USER", "UID", "GID", "COMMAND")}
    assert {name for name in names if not name.startswith("ELEVATE_")} == allowed


@pytest.mark.parametrize("name", sorted(PLANTED.keys() - {"TZ"}))
def test_01_02_05_dangerous_variables_can_not_be_asked_for(linux: Linux, name: str) -> None:
    """Neither by name."""
    with pytest.raises(TaskInvalidError):
        linux.host.inspect(Task.run(["true"], env={name: PLANTED[name]}), linux.requester)


def test_03_04_planted_command_in_the_working_directory(linux: Linux) -> None:
    """A command is never taken from the caller's directory or PATH."""
    script(linux, "ls", "echo planted; id -u")
    assert naive(["ls"], env={"PATH": f"{linux.place}:/bin"}, cwd=linux.place).split() == ["planted", "0"]
    done = linux.do(Task.run(["ls", "-d", "/"], cwd=str(linux.place)))
    assert (done.out, done.inspected.argv[0]) == ("/\n", os.path.realpath("/usr/bin/ls"))


def test_07_argument_zero_is_the_brokers(linux: Linux) -> None:
    """The user's link can't choose the name by which a system program acts."""
    linux.as_attacker(["ln", "-s", "/usr/bin/env", str(linux.place / "reboot")])
    inspection = linux.host.inspect(Task.run(["./reboot"], cwd=str(linux.place)), linux.requester)
    inspection.close()
    assert inspection.task.argv == (os.path.realpath("/usr/bin/env"),)


def test_08_link_swapped_after_the_check(linux: Linux) -> None:
    """What was opened and hashed runs, wherever the user's link leads by then."""
    script(linux, "good", "echo good")
    script(linux, "evil", "echo evil")
    link = linux.place / "link"
    linux.as_attacker(["ln", "-s", "good", str(link)])
    inspection = linux.host.inspect(Task.run([str(link)]), linux.requester)
    link.read_bytes()
    linux.as_attacker(["ln", "-sfn", "evil", str(link)])
    assert naive([str(link)]) == "evil\n"
    assert linux.start(inspection).out == "good\n"
    inspection.close()


def test_09_same_file_rewritten_after_the_hash(linux: Linux) -> None:
    """A file that the user can write runs from the sealed copy that was hashed."""
    path = script(linux, "tool", "echo good")
    inspection = linux.host.inspect(Task.run([str(path)]), linux.requester)
    path.read_bytes()
    script(linux, "tool", "echo evil")
    assert naive([str(path)]) == "evil\n"
    assert linux.start(inspection).out == "good\n"
    inspection.close()
    assert dict(inspection.task.facts)["writable"] is True


def test_10_no_way_back_to_the_path(linux: Linux) -> None:
    """Where the descriptor can't be executed nothing is, though the path could be by then."""
    interpreter = linux.place / "interpreter"
    linux.as_attacker(["ln", "-s", "/bin/sh", str(interpreter)])
    path = script(linux, "tool", "echo good")
    linux.as_attacker(["/bin/sh", "-c", f"printf '#!{interpreter}\\necho good\\n' > {path}"])
    inspection = linux.host.inspect(Task.run([str(path)]), linux.requester)
    linux.as_attacker(["rm", str(interpreter), str(path)])
    script(linux, "tool", f"touch {linux.place}/marker")
    with pytest.raises(CommandNotFoundError):
        linux.demanding(identity="root").start(inspection)
    inspection.close()
    assert not (linux.place / "marker").exists()
    naive([str(path)])
    assert (linux.place / "marker").stat().st_uid == 0


@pytest.mark.parametrize("kind", ["-s", ""])
def test_11_link_in_place_of_the_file_that_is_written(linux: Linux, kind: str) -> None:
    """A symbolic or hard link that the user planted is not written through."""
    secret = linux.place.parent / f"elevate-secret-{os.getpid()}"
    secret.write_text("kept")
    target = linux.place / "conf"
    (target.symlink_to if kind else target.hardlink_to)(secret)
    try:
        with pytest.raises(TaskInvalidError):
            linux.do(Task.write(str(target), b"evil"))
        assert secret.read_text() == "kept"
        target.write_text("evil")
        assert secret.read_text() == "evil"
    finally:
        secret.unlink()


def test_11_folder_swapped_after_the_check(linux: Linux, secret: Path) -> None:
    """A folder of the path that becomes a link between check and run leads nowhere."""
    linux.as_attacker(["mkdir", "-p", str(linux.place / "sub")])
    inspection = linux.host.inspect(Task.write(str(linux.place / "sub" / secret.name), b"evil"), linux.requester)
    linux.as_attacker(["/bin/sh", "-c", f"cd {linux.place} && mv sub moved && ln -s {secret.parent} sub"])
    linux.start(inspection)
    inspection.close()
    assert (secret.read_text(), (linux.place / "moved" / secret.name).read_text()) == ("kept", "evil")
    (linux.place / "sub" / secret.name).write_text("evil")
    assert secret.read_text() == "evil"


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_11_folder_swapped_while_it_is_looked_up(
    linux: Linux, secret: Path, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that becomes a link after its real path was found is not entered; also where the kernel has no openat2."""
    if kernel == "old":
        monkeypatch.setattr(paths, "openat2", no_such_call)
    folder = linux.place / "sub"
    linux.as_attacker(["mkdir", "-p", str(folder)])
    look_up = os.path.realpath

    def look_up_and_lose(path: str) -> str:
        found = look_up(path)
        linux.as_attacker(["/bin/sh", "-c", f"cd {linux.place} && mv sub moved && ln -s {secret.parent} sub"])
        return found

    # The race is won for the attacker: the swap comes at the worst moment.
    monkeypatch.setattr("elevate.host.looking.os.path.realpath", look_up_and_lose)
    with pytest.raises(TaskInvalidError):
        linux.host.inspect(Task.write(str(folder / secret.name), b"evil"), linux.requester)
    assert (folder / secret.name).read_text() == "kept"


def test_12_user_can_not_make_the_scratch_home_in_advance(linux: Linux) -> None:
    """The places are the broker's own; what is mounted there is empty, whatever lies below."""
    home = Path(linux.host.provision(linux.requester).home)
    assert "denied" in linux.as_attacker(["mkdir", str(home.parent / "ADMIN_other")]).lower()
    assert "denied" in linux.as_attacker(["touch", str(home / ".profile")]).lower()
    (home / ".profile").write_text("echo planted")
    try:
        assert linux.sh('ls -A "$HOME"').out == ""
    finally:
        (home / ".profile").unlink()


@pytest.mark.parametrize("cwd", ["/tmp", "/"])
def test_12_what_is_planted_in_tmp_meets_no_program_that_looks_there(linux: Linux, cwd: str) -> None:
    """Not either where the request was made in /tmp, so that the machine's own folder is there, too."""
    name = f"/tmp/elevate-planted-{os.getpid()}"
    try:
        linux.as_attacker(["/bin/sh", "-c", f"echo planted > {name}"])
        assert naive(["/bin/cat", name]) == "planted\n"
        done = linux.demanding(identity="root").do(Task.run(["/bin/cat", name], cwd=cwd))
        assert (done.out, done.ended.exit_status) == ("", 1)
    finally:
        Path(name).unlink()


def test_17_option_like_names(linux: Linux) -> None:
    """Arguments stay what they are; a service or package can't be an option."""
    assert linux.do(Task.run(["printf", "%s|", "-rf", "$(id)", "a\nb"])).out == "-rf|$(id)|a\nb|"
    for kind, params in (
        ("service.control", {"service": "-x", "action": "start"}),
        ("package.install", {"path": "-x", "cwd": "/"}),
    ):
        with pytest.raises(TaskError):
            linux.host.inspect(Task.parse(kind, params), linux.requester)


def test_18_what_the_user_can_not_enter_is_not_told(linux: Linux, secret: Path) -> None:
    """A file in a closed folder and one that is not there give the same answer, through a link, too."""
    secret.parent.chmod(0o700)
    secret.chmod(0o755)
    linux.as_attacker(["ln", "-s", str(secret), str(linux.place / "link")])
    answers = set()
    for path in (secret, secret.with_name("nothing"), linux.place / "link"):
        with pytest.raises(ElevateError) as caught:
            linux.host.inspect(Task.run([str(path)]), linux.requester)
        answers.add((type(caught.value), caught.value.message))
        with pytest.raises(ElevateError):
            linux.host.inspect(Task.install(str(path)), linux.requester)
    assert len(answers) == 1


def test_26_no_terminal_to_push_input_into(linux: Linux) -> None:
    """A root task can't type into the user's terminal: it has none, and can't get it."""
    master, slave = pty.openpty()
    push = "import fcntl, os, sys, termios\nfor c in b'id': fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))"
    subprocess.run(["/usr/bin/env", "python3", "-c", push], stdin=slave, start_new_session=True, check=False)
    pushed = fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4)
    done = linux.demanding(identity="root").sh("cat < /dev/tty; tty; readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2")
    os.close(master)
    os.close(slave)
    assert pushed[0] in {0, 2}
    assert "No such device" in done.err
    assert "/dev/pts" not in done.out


def test_27_standard_input_is_empty_unless_declared(linux: Linux) -> None:
    """Nobody can type into an elevated program that reads."""
    assert linux.do(Task.run(["cat"])).out == ""
    assert linux.do(Task.run(["cat"], stdin=b"declared")).out == "declared"


def test_28_user_can_not_touch_the_task(linux: Linux) -> None:
    """Memory, descriptors and signals of task and launcher are closed to the user, who owns a naive broker's."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    launcher = int(Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[1])
    own = subprocess.Popen(["/bin/sleep", "1000"], user=linux.uid, group=linux.uid_group, extra_groups=[])
    tries = {
        pid: linux.as_attacker(["/bin/sh", "-c", f"head -c 0 /proc/{pid}/mem && ls /proc/{pid}/fd"])
        for pid in (running.pid, launcher, own.pid)
    }
    killed = [
        linux.as_attacker(["/bin/sh", "-c", f"kill -0 {pid} && echo reached"]) for pid in (running.pid, launcher, own.pid)
    ]
    running.cancel(signal.SIGKILL)
    running.wait()
    own.kill()
    own.wait()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()
    assert all("denied" in tries[pid].lower() for pid in (running.pid, launcher))
    assert "denied" not in tries[own.pid].lower()
    assert [("reached" in text) for text in killed] == [False, False, True]


def test_28_one_task_does_not_see_another(linux: Linux) -> None:
    """Two tasks of the same account can't look at one another."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    assert "sleep" not in linux.sh("cat /proc/[0-9]*/comm").out
    running.cancel(signal.SIGKILL)
    running.wait()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()


def test_29_no_descriptor_of_the_broker(linux: Linux, secret: Path) -> None:
    """Not even an inheritable one."""
    fd = os.open(secret, os.O_RDONLY)
    os.set_inheritable(fd, True)  # noqa: FBT003 - positional only
    leaky = subprocess.run(["/bin/cat", f"/proc/self/fd/{fd}"], close_fds=False, capture_output=True, check=False)
    done = linux.sh("ls /proc/$$/fd")
    os.close(fd)
    assert leaky.stdout == b"kept"
    assert done.out.split() == ["0", "1", "2"]


def test_30_no_group_is_left_over(linux: Linux) -> None:
    """A broker that only changes the uid leaves root's groups; here they are set, and read back."""
    done = subprocess.run(["/usr/bin/id", "-G"], user=linux.uid, capture_output=True, text=True, check=True)
    assert "0" in done.stdout.split()
    account = linux.host.provision(linux.requester)
    assert linux.do(Task.run(["id", "-G"])).out.split() == linux.do(Task.run(["id", "-g"])).out.split()
    assert linux.do(Task.run(["id", "-u"])).out == f"{account.uid}\n"


def test_31_grandchild_does_not_outlive_the_task(linux: Linux) -> None:
    """The namespace ends with the task; a naive broker's orphan lives on."""
    marker = f"{1000 + os.getpid() % 1000}.{os.getpid()}"
    text = DAEMON.replace("1000", f"{marker} > /dev/null 2>&1")
    naive(["/bin/sh", "-c", text])
    left = _running(marker)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(left) == 1
    done = linux.demanding(identity="root").sh(text)
    assert (done.out.strip().isdigit(), done.ended.leftover, _running(marker)) == (True, 0, [])


def test_31_namespace_can_not_be_left_upwards(linux: Linux) -> None:
    """A root task with SYS_ADMIN that uncovers the machine's /proc still can't enter the machine's PID namespace."""
    admin = linux.demanding(identity="root", capabilities=("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_KILL", "CAP_DAC_OVERRIDE"))
    done = admin.sh(f"umount -l /proc; nsenter --pid=/proc/{os.getpid()}/ns/pid true")
    assert (done.ended.exit_status, "failed: Invalid argument" in done.err) == (1, True)


def test_31_second_net_catches_what_is_outside_of_the_namespace(linux: Linux, launcher: Launcher) -> None:
    """A process of the task's cgroup that is not in its namespace ends with the task, too."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    base = launcher._base
    if not base:
        pytest.skip("no cgroup file system is mounted here")
    folder = next(path for path in Path(base).iterdir() if path.is_dir() and running.pid in cgroups.members(str(path)))
    outside = subprocess.Popen(["/bin/sleep", "1000"])
    (folder / "cgroup.procs").write_text(str(outside.pid))
    running.cancel()
    assert running.wait().leftover == 0
    assert outside.wait(timeout=10) == -signal.SIGKILL
    assert not folder.exists()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()


def test_32_profile_can_not_be_poisoned_for_the_next_task(linux: Linux) -> None:
    """What a task leaves in the admin account's home is not there for the next."""
    linux.sh('echo "echo poisoned" > "$HOME/.profile"')
    assert "poisoned" not in linux.do(Task.run(["/bin/sh", "-l", "-c", "ls -A $HOME"])).out


def test_36_output_flood_stops_at_the_pipe(linux: Linux) -> None:
    """A task that nobody reads waits, and ends when it is told to."""
    inspection = linux.host.inspect(Task.run(["yes"]), linux.requester)
    running = linux.begin(inspection)
    running.cancel(signal.SIGKILL)
    assert running.wait().leftover == 0
    with os.fdopen(running.stdout, "rb") as stream:
        assert len(stream.read()) <= 1 << 20
    os.close(running.stderr)
    inspection.close()


def test_36_fork_bomb_ends(linux: Linux) -> None:
    """Processes that multiply until the time is over are all gone."""
    done = linux.do(Task.run(["/bin/sh", "-c", "f() { sleep 0.05; f & f & }; f; wait"]), limit=1)
    assert done.ended.leftover == 0
    assert done.ended.timed_out or done.ended.exit_status is not None


def test_40_nobody_logs_in_as_the_account(linux: Linux) -> None:
    """The user can't become it, and not even root gets a shell of it."""
    name = linux.host.provision(linux.requester).name
    assert "uid=" not in linux.as_attacker(["su", name, "-c", "id"])
    assert "uid=" not in naive(["su", name, "-c", "id"])


def test_48_another_identity_starts_nothing(linux: Linux) -> None:
    """An identity that is not exactly the requester's account is refused."""
    from dataclasses import replace

    account = linux.host.provision(linux.requester)
    for forged in (replace(account, uid=0), replace(account, name="root"), replace(account, home="/root")):
        inspection = linux.host.inspect(Task.run(["true"]), linux.requester)
        with pytest.raises(HostError):
            linux.host.start(inspection, Mandate(identity=forged, session="session-x", time_limit_seconds=5))
        inspection.close()


def _running(marker: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", marker.encode()] and alive(int(path.parent.name)):
            found.append(int(path.parent.name))
    return found


def odd(linux: Linux, line: bytes) -> Path:
    """Write a script with such a first line."""
    path = linux.place / "odd"
    path.write_bytes(b"#!" + line + b"\necho good\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    "line", [b"\x0b/bin/sh", b"\x0c/bin/sh", b"\r/bin/sh", b"/bin/sh\r", b"bin/sh", b"", b"\0/bin/sh", b"\t \x0b/bin/sh"]
)
def test_09_interpreter_is_the_one_that_the_kernel_takes(linux: Linux, line: bytes) -> None:
    """A blank that is none for the kernel makes a path that begins in the folder which the caller chose."""
    planted = linux.place / "\x0b" / "bin" / "sh"
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\necho evil\n")
    planted.chmod(0o755)
    with pytest.raises(CommandNotExecutableError):
        linux.host.inspect(Task.run([str(odd(linux, line))], cwd=str(linux.place)), linux.requester)
    if line == b"\x0b/bin/sh":
        assert linux.as_attacker([str(linux.place / "odd")]) == "evil\n"


@pytest.mark.parametrize("line", [b"/bin/sh", b" \t/bin/sh", b"/bin/sh  ", b"/bin/sh\t-e", b"/bin/sh -e\0x"])
def test_09_interpreter_with_blanks_of_the_kernels(linux: Linux, line: bytes) -> None:
    """Those are skipped, as by the kernel."""
    assert linux.do(Task.run([str(odd(linux, line))])).out == "good\n"


@pytest.mark.parametrize("planted", ["link", "folder", "file"])
def test_09_interpreter_behind_a_link_of_the_users(linux: Linux, planted: str) -> None:
    """A script of root's is one that the user can change, where the user can say what its interpreter is."""
    own = linux.place / "own"
    if planted == "link":
        linux.as_attacker(["ln", "-s", "/bin/sh", str(own)])
    elif planted == "folder":
        linux.as_attacker(["ln", "-s", "/bin", str(own)])
        own /= "sh"
    else:
        linux.as_attacker(["cp", "/bin/sh", str(own)])
    place = Path(f"/srv/elevate-roots-{os.getpid()}")
    place.mkdir(mode=0o755)
    found = {}
    try:
        for interpreter in (str(own), "/bin/sh", "/usr/bin/env sh"):
            path = place / "tool"
            path.write_text(f"#!{interpreter}\necho good\n")
            path.chmod(0o755)
            inspection = linux.host.inspect(Task.run([str(path)]), linux.requester)
            found[interpreter] = dict(inspection.task.facts)["writable"]
            inspection.close()
    finally:
        shutil.rmtree(place)
    assert found == {str(own): True, "/bin/sh": False, "/usr/bin/env sh": False}
