"""Host linux, for real: who a task is, what it sees, and what is left. All as root, for a user who has no rights."""

import ctypes
import grp
import os
import pwd
import resource
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.errors import CommandNotFoundError, HostError, TaskInvalidError
from elevate.host import cgroups, limits, mountinfo
from elevate.host.accounts import Accounts, account_name
from elevate.host.confinement import ROOT, numbers_of
from elevate.host.dpkg import PackageIndex
from elevate.host.folders import Folder
from elevate.host.launcher import Jail, Launcher, Order
from elevate.host.linux import LinuxHost
from elevate.model import Fact
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy
from tests.tools import wait_for
from tests.unit.host.acting import Linux
from tests.unit.host.run import alive, run_argv

pytestmark = pytest.mark.root


def status_of(linux: Linux) -> dict[str, str]:
    """Give the kernel's view of a task: /proc/self/status."""
    lines = linux.do(Task.run(["cat", "/proc/self/status"])).out.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_account_without_capabilities(linux: Linux) -> None:
    """By default a task is the hidden account and nothing more."""
    account = linux.host.provision(linux.requester)
    status = status_of(linux)
    assert status["Uid"].split() == [str(account.uid)] * 4
    assert status["Groups"] == str(pwd.getpwnam(account.name).pw_gid)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], account.uid != linux.uid) == ("1", True)


@pytest.mark.parametrize(("place", "hidden"), [("/var/lib/elevate", True), ("/run/elevate", True), ("/etc/elevate", False)])
def test_a_task_as_uid_0_does_not_reach_the_brokers_own(linux: Linux, place: str, *, hidden: bool) -> None:
    """Ledger, keys and socket are not there for it, and the policy can be read and not written."""
    folder = Path(place)
    if folder.exists():
        pytest.skip(f"{place} is in use on this machine")
    folder.mkdir(mode=0o700)
    try:
        (folder / "own").write_text("broker")
        root = linux.demanding(identity="root")
        done = root.sh(f"cat {place}/own; echo forged > {place}/own; echo x > {place}/new")
        assert done.out == ("" if hidden else "broker")
        assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("own", "broker")]
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("cwd", ["/tmp", "/var/tmp", "/dev/shm", "/tmp/../tmp"])
def test_a_task_starts_in_the_machines_folder_where_it_has_one_of_its_own(linux: Linux, cwd: str) -> None:
    """It stands in the very folder that was shown, and what it writes there stays; by its usual name the folder is its own."""
    place, name = os.path.normpath(cwd), f"elevate-start-{os.getpid()}"
    script = f"stat -c %d:%i .; pwd; cat {name}; cat {place}/{name}; echo new > $(pwd)/{name}.new; echo mv > m; mv m {name}.mv"
    try:
        Path(place, name).write_text("seen\n")
        done = linux.demanding(identity="root").do(Task.run(["sh", "-c", f"{script}; ls {place}"], cwd=cwd))
        found = Path(place).stat()
        assert done.out == f"{found.st_dev}:{found.st_ino}\n{place}/outside\nseen\noutside\n"
        assert f"{place}/{name}: No such file" in done.err
        assert Path(place, f"{name}.new").read_text() == "new\n"
        told = {one.path: (one.change, one.size) for one in done.ended.written}
        assert (
            told == {f"{place}/{name}.{end}": ("created", size) for end, size in (("new", 4), ("mv", 3))}
            or not done.ended.watched
        )
    finally:
        for path in Path(place).glob(f"{name}*"):
            path.unlink()


def test_a_task_starts_below_a_folder_that_it_gets_anew(linux: Linux) -> None:
    """The folder has its usual path there, and nothing else is."""
    below = Path("/tmp") / f"elevate-below-{os.getpid()}"
    below.mkdir(mode=0o755)
    try:
        (below / "seen").touch()
        assert linux.do(Task.run(["ls"], cwd=str(below))).out == "seen\n"
    finally:
        (below / "seen").unlink()
        below.rmdir()


def test_account_with_ambient_capabilities(linux: Linux) -> None:
    """The rule's capabilities work for a program that is not made for them, and no others can be had."""
    only = linux.demanding(capabilities=("CAP_DAC_READ_SEARCH",))
    assert {status_of(only)[name] for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000004"}
    assert only.sh("head -c 5 /etc/shadow").out == "root:"
    assert linux.sh("head -c 5 /etc/shadow").ended.exit_status == 1
    assert only.sh("echo x >> /etc/shadow").ended.exit_status == 2


def test_root_with_bounded_capabilities(linux: Linux) -> None:
    """Uid 0 has what the rule names; what it does not name not even uid 0 can do."""
    root = linux.demanding(identity="root", capabilities=("CAP_CHOWN",))
    status = status_of(root)
    assert (status["Uid"].split(), status["CapEff"], status["CapBnd"]) == (["0"] * 4, "0" * 15 + "1", "0" * 15 + "1")
    assert root.sh("id -un; id -G").out.split() == ["root", "0"]
    default = int(status_of(linux.demanding(identity="root"))["CapEff"], 16)
    assert not default & sum(1 << number for number in numbers_of(("CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE")))
    assert default & 1 << numbers_of(("CAP_SETUID",))[0]


def test_own_namespaces(linux: Linux) -> None:
    """Mounts, IPC and processes are the task's own; it sees no process but its tree's."""
    script = "readlink /proc/self/ns/mnt /proc/self/ns/ipc /proc/self/ns/pid; ls -d /proc/[0-9]* | wc -l"
    *spaces, processes = linux.sh(script).out.split()
    ours = [str(Path(f"/proc/self/ns/{name}").readlink()) for name in ("mnt", "ipc", "pid")]
    assert not set(spaces) & set(ours)
    assert int(processes) <= 4


def test_scratch_home_and_private_tmp(linux: Linux) -> None:
    """Home and /tmp are new, empty and the account's; nothing of them is there afterwards or for the next task."""
    script = 'ls -A "$HOME" /tmp /var/tmp /dev/shm | grep -v : ; stat -c "%a %U" "$HOME"; echo x > "$HOME/a"; echo y > /tmp/b'
    for _ in range(2):
        assert linux.sh(script).out.split() == ["700", f"ADMIN_{linux.requester.user}"]
    assert list(Path(linux.host.provision(linux.requester).home).iterdir()) == []
    assert not Path("/tmp/b").exists()


def test_no_network(linux: Linux) -> None:
    """A rule can take the network away."""
    assert linux.demanding(network=False).sh("ls /sys/class/net; cat /proc/net/dev | tail -n +3 | wc -l").out.split()[-1] == "1"


def test_read_only_folders(linux: Linux) -> None:
    """What the rule makes read-only not even uid 0 can write; the rest it can."""
    root = linux.demanding(identity="root", read_only=(str(linux.place),))
    assert "Read-only" in root.sh(f"touch {linux.place}/x").err
    assert linux.demanding(identity="root").sh(f"touch {linux.place}/x").ended.exit_status == 0
    (linux.place / "x").unlink()
    with pytest.raises(HostError):
        linux.demanding(read_only=("/no/such/folder",)).sh("true")


BELOW = """
import os, sys
from elevate.host import kernel, mounts
place = sys.argv[1]
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
for below in (f"{place}/b elow", f"{place}/b elow/deeper"):
    os.mkdir(below)
    kernel.mount("x", below, "tmpfs", kernel.MS_NOEXEC)
mounts.cover_read_only(place)
for below in (place, f"{place}/b elow", f"{place}/b elow/deeper"):
    flags = os.statvfs(below).f_flag
    print(bool(flags & os.ST_RDONLY), bool(flags & os.ST_NOEXEC))
"""


def test_what_is_mounted_below_a_read_only_folder_is_read_only_too(tmp_path: Path) -> None:
    """A remount of the folder alone would leave it writable; what else it was stays."""
    code = [sys.executable, "-c", BELOW, str(tmp_path)]
    done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout.splitlines() == ["True False", "True True", "True True"]


def test_cgroup_file_systems_are_read_only(linux: Linux) -> None:
    """A task can't leave its cgroup by a write."""
    root = linux.demanding(identity="root")
    for mount in mountinfo.table().control:
        assert "Read-only" in root.sh(f"echo 0 > {mount}/cgroup.procs").err


@pytest.mark.parametrize("extra", [{"children": "deny"}, {"record": True}, {"something-new": "x"}])
def test_obligation_that_can_not_be_kept_is_refused(linux: Linux, extra: dict[str, str | bool]) -> None:
    """Nothing is silently weaker than the decision."""
    with pytest.raises(HostError, match="can't keep"):
        linux.demanding(**extra).sh("true")


def test_unknown_capability_is_refused(linux: Linux) -> None:
    """A name that is no capability gives none and starts nothing."""
    with pytest.raises(HostError):
        linux.demanding(capabilities=("CAP_EVERYTHING",)).sh("true")


def test_working_directory_is_the_one_that_was_shown(linux: Linux) -> None:
    """In the task's own mounts, too, it is that directory: also below /tmp; a swapped one stops the task."""
    assert linux.sh("pwd -P", cwd=str(linux.place)).out == f"{linux.place}\n"
    folder = Path(f"/tmp/elevate-cwd-{os.getpid()}/deep")
    folder.mkdir(parents=True)
    (folder / "file").write_text("there")
    assert linux.sh("pwd -P; cat file; ls -A /tmp", cwd=str(folder)).out.split() == [str(folder), "there" + folder.parts[2]]
    inspection = linux.host.inspect(Task.run(["pwd"], cwd=str(folder)), linux.requester)
    (folder / "file").unlink()
    folder.rmdir()
    folder.mkdir()
    with pytest.raises(HostError):
        linux.start(inspection)
    inspection.close()
    folder.rmdir()
    folder.parent.rmdir()


def test_exit_status_signal_time_limit(linux: Linux) -> None:
    """They pass through the namespace."""
    assert linux.sh("exit 42").ended.exit_status == 42
    assert linux.sh("kill -SEGV $$").ended.signal == signal.SIGSEGV
    ended = linux.do(Task.run(["sleep", "1000"]), limit=1).ended
    assert (ended.timed_out, ended.signal, ended.leftover) == (True, signal.SIGTERM, 0)


def test_pid_is_the_machines(linux: Linux) -> None:
    """The process number that is logged is the one that the machine knows, and a signal reaches it."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    assert Path(f"/proc/{running.pid}/comm").read_text() == "sleep\n"
    running.cancel(signal.SIGINT)
    assert running.wait().signal == signal.SIGINT
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()


def test_file_write(linux: Linux) -> None:
    """A protected file is written whole, as root, and stands in the receipt."""
    target = linux.place / "protected" / "conf"
    target.parent.mkdir(mode=0o755)
    done = linux.do(Task.write(str(target), b"a=1\n", mode=0o640))
    found = target.stat()
    assert (target.read_bytes(), found.st_mode & 0o777, found.st_uid) == (b"a=1\n", 0o640, 0)
    assert [(item.path, item.change) for item in done.ended.written] == [(str(target), "created")]
    assert linux.do(Task.write(str(target), b"a=2\n")).ended.written[0].change == "changed"


def test_a_file_keeps_its_mode_unless_another_is_asked_for(linux: Linux) -> None:
    """Nobody makes a secret public by forgetting a parameter; a new file is everybody's to read; a mode alone is a change."""
    secret, new = linux.place / "secret", linux.place / "new"
    secret.touch(0o600)
    secret.chmod(0o4600)
    linux.do(Task.write(str(secret), b"1"))
    linux.do(Task.write(str(new), b"1"))
    assert [path.stat().st_mode & 0o7777 for path in (secret, new)] == [0o600, 0o644]
    done = linux.do(Task.write(str(secret), b"1", mode=0o640))
    assert ([one.change for one in done.ended.written], secret.stat().st_mode & 0o7777) == (["changed"], 0o640)
    assert linux.do(Task.write(str(secret), b"1")).ended.written == ()


def test_a_file_that_is_written_anew_stays_its_owners(linux: Linux) -> None:
    """A secret of a service's group is not root's alone afterwards, and not everybody's."""
    target = linux.place / "secret"
    target.write_text("old")
    os.chown(target, 12_345, 54_321)
    linux.do(Task.write(str(target), b"new", mode=0o640))
    found = target.stat()
    assert (target.read_text(), found.st_uid, found.st_gid, found.st_mode & 0o7777) == ("new", 12_345, 54_321, 0o640)


@pytest.mark.parametrize("path", ["/no/such/folder/file", "/etc", "/", "/etc/.."])
def test_file_write_refused(linux: Linux, path: str) -> None:
    """No such folder, or no file."""
    with pytest.raises(TaskInvalidError):
        linux.host.inspect(Task.write(path, b"x"), linux.requester)


def test_service_without_manager(linux: Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody manages services, nobody is asked."""
    monkeypatch.setattr("elevate.host.services.managers", tuple)
    with pytest.raises(HostError, match="no service manager"):
        linux.host.inspect(Task.service("x", "start"), linux.requester)


def test_account_is_locked_and_hidden(linux: Linux) -> None:
    """No password, no shell, expired, a system account, in no further group."""
    account = linux.host.provision(linux.requester)
    entry = pwd.getpwnam(account.name)
    assert Path(entry.pw_shell).name == "nologin"
    shadow = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{account.name}:")).split(
        ":"
    )
    assert (shadow[1][0], shadow[7]) == ("!", "1")
    assert entry.pw_uid < 1000
    assert not [group.gr_name for group in grp.getgrall() if account.name in group.gr_mem]


def test_account_that_was_changed_is_refused(linux: Linux) -> None:
    """An account that somebody gave a shell is not used."""
    account = linux.host.provision(linux.requester)
    subprocess.run(["/usr/sbin/usermod", "--shell", "/bin/sh", account.name], check=True)
    try:
        with pytest.raises(HostError, match="changed"):
            linux.sh("true")
    finally:
        subprocess.run(["/usr/sbin/usermod", "--shell", "/usr/sbin/nologin", account.name], check=True)


def test_account_that_the_system_has_no_more_is_made_again(linux: Linux) -> None:
    """Whoever took it away by hand is told how to go on."""
    user, accounts = f"gone{os.getpid()}", linux.host.accounts
    account = accounts.make(user, 65_000, made_at=0)
    subprocess.run(["/usr/sbin/userdel", account.name], check=True)
    with pytest.raises(HostError, match="or removed") as error:
        accounts.make(user, 65_000, made_at=0)
    assert f"elevate account remove {user};" in error.value.hint
    accounts.remove(user)
    accounts.make(user, 65_000, made_at=0)
    accounts.remove(user)


def test_account_of_a_user_who_was_made_again_is_made_again(linux: Linux) -> None:
    """A name is not who has it."""
    user, accounts = f"again{os.getpid()}", linux.host.accounts
    accounts.make(user, 65_000, made_at=0)
    try:
        with pytest.raises(HostError, match="another uid") as error:
            accounts.make(user, 65_001, made_at=0)
        assert f"elevate account remove {user};" in error.value.hint
    finally:
        accounts.remove(user)


def test_account_that_a_task_runs_as_stays(linux: Linux) -> None:
    """And whoever wants it away is told why."""
    user, accounts = f"busy{os.getpid()}", linux.host.accounts
    account = accounts.make(user, 65_000, made_at=0)
    with subprocess.Popen(["/usr/bin/sleep", "100"], user=account.uid) as process:
        try:
            with pytest.raises(HostError, match="a task runs as this admin account"):
                accounts.remove(user)
        finally:
            process.kill()
    accounts.remove(user)
    with pytest.raises(HostError, match="has no admin account"):
        accounts.remove(user)


def test_account_that_is_in_further_groups_is_used_no_more(linux: Linux) -> None:
    """Whoever put it there wanted its tasks to have them."""
    user = f"joined{os.getpid()}"
    accounts = linux.host.accounts
    account = accounts.make(user, 65_000, made_at=0)
    try:
        subprocess.run(["/usr/sbin/usermod", "-aG", "adm", account.name], check=True)
        with pytest.raises(HostError, match="further groups"):
            accounts.make(user, 65_000, made_at=0)
    finally:
        subprocess.run(["/usr/sbin/usermod", "-G", "", account.name], check=True)
        accounts.remove(user)


@pytest.fixture
def squatted() -> Iterator[str]:
    name = account_name("nobody")
    subprocess.run(["/usr/sbin/useradd", "--badname", "--no-create-home", name], check=True)
    yield name
    subprocess.run(["/usr/sbin/userdel", "--force", name], check=True)


def test_account_name_that_is_taken(linux: Linux, squatted: str) -> None:
    """An account that is there already is nobody's admin account."""
    with pytest.raises(HostError, match="there already"):
        linux.host.accounts.make("nobody", 65_534, made_at=0)
    assert pwd.getpwnam(squatted)


@pytest.mark.parametrize("after", ["/usr/sbin/useradd", "/usr/sbin/usermod"])
def test_account_whose_making_was_broken_off_is_made_again(linux: Linux, tmp_path: Path, after: str) -> None:
    """A crash after any step locks nobody out; an account of that name that was not being made is still not taken."""
    with Launcher() as launcher, Folder.open(tmp_path) as folder:
        accounts, run = Accounts(folder, tmp_path, launcher), Accounts._run

        def crash(self: Accounts, argv: tuple[str, ...]) -> None:
            run(self, argv)
            if argv[0] == after:
                raise KeyboardInterrupt

        user = f"crash{os.getpid()}"
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Accounts, "_run", crash)  # a crash can't be had otherwise without losing the test
                with pytest.raises(KeyboardInterrupt):
                    accounts.make(user, 65_000, made_at=0)
            assert pwd.getpwnam(account_name(user))
            account = accounts.make(user, 65_000, made_at=0)
            assert (accounts.find(user), "making" in accounts._state()) == (account, False)
            (tmp_path / "accounts.json").unlink()
            with pytest.raises(HostError, match="there already"):
                accounts.make(user, 65_000, made_at=0)
        finally:
            subprocess.run(["/usr/sbin/userdel", "--force", account_name(user)], check=True)
    assert linux.sh("true").ended.exit_status == 0


def test_account_shows_on_no_login_screen(linux: Linux, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where login screens ask AccountsService, it is told that this is a system account; told nothing more when it is gone."""
    monkeypatch.setattr("elevate.host.accounts._SCREENS", tmp_path)
    user = f"screen{os.getpid()}"
    accounts = linux.host.accounts
    account = accounts.make(user, 65_000, made_at=0)
    assert (tmp_path / account.name).read_text() == "[User]\nSystemAccount=true\n"
    accounts.remove(user)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)


def test_mount_that_came_later_is_there_for_the_next_task(linux: Linux) -> None:
    """Launchers that wait have mounts from before, which need not follow the machine's; then they are not used."""
    place = linux.place / "late"
    place.mkdir()
    linux.sh("true")
    subprocess.run(["/bin/mount", "-t", "tmpfs", "late", str(place)], check=True)
    try:
        (place / "here").touch()
        assert linux.sh(f"ls {place}").out == "here\n"
    finally:
        subprocess.run(["/bin/umount", str(place)], check=True)
    assert linux.sh(f"ls {place}").out == ""
    place.rmdir()


def test_limits_and_mask_are_the_same_whatever_the_brokers(linux: Linux) -> None:
    """No dumps, descriptors as usual, processes bounded, files and memory not; umask 022."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_CORE), os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, before[0][1]))
    resource.setrlimit(resource.RLIMIT_CORE, (before[1][1], before[1][1]))
    try:
        with Launcher() as launcher:
            jail = Jail(uid=0, gid=0, home=linux.host.provision(linux.requester).home, capabilities=numbers_of(ROOT))
            script = "umask; ulimit -c; ulimit -Hc; ulimit -n; ulimit -Hn; ulimit -u; ulimit -f; ulimit -v; ulimit -t"
            _, text = run_argv(launcher, ("/bin/bash", "-c", script), jail=jail, env={"PATH": "/bin"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        resource.setrlimit(resource.RLIMIT_CORE, before[1])
        os.umask(before[2])
    mask, core, hard_core, files, hard_files, processes, *rest = text.split()
    assert (mask, core, hard_core, files, processes, rest) == (
        "0022",
        "0",
        "0",
        "1024",
        str(limits.processes()),
        ["unlimited"] * 3,
    )
    assert int(hard_files) <= 524_288


def test_limit_that_can_not_be_raised_stays() -> None:
    """A broker whose surroundings bound it gives no more than it has, and starts the task."""
    script = """
import resource
from elevate.host import kernel, limits
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
resource.setrlimit(resource.RLIMIT_NPROC, (100, 200))
kernel.Capabilities(()).take()
limits.set_all()
print(resource.getrlimit(resource.RLIMIT_FSIZE), resource.getrlimit(resource.RLIMIT_NPROC))
"""
    code = [sys.executable, "-c", script]
    done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout == f"({1 << 20}, {1 << 20}) (200, 200)\n"


def test_launcher_of_a_running_task_has_few_rights(linux: Linux) -> None:
    """A task with SYS_PTRACE, which can take hold of it, gets no mounts and no devices by that."""
    done = linux.demanding(identity="root", capabilities=("CAP_SYS_PTRACE",)).sh("cat /proc/1/status")
    status = dict(line.split(":\t") for line in done.out.splitlines() if line.startswith(("Cap", "NoNew")))
    assert {int(status[name], 16) for name in ("CapPrm", "CapEff")} == {1 << 5 | 1 << 2}
    assert status["NoNewPrivs"] == "1"
    code = "import os; from elevate.host import identity; identity.shed(); os.execv('/bin/cat', ['cat', '/proc/self/status'])"
    root = Path(__file__).parents[3]
    then = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert {line.split()[1] for line in then.splitlines() if line.startswith(("CapPrm", "CapEff"))} == {"0" * 16}


def test_accounts_pairs_and_long_names(linux: Linux) -> None:
    """The pairs are listed; a long name is cut so that two never meet."""
    linux.host.provision(linux.requester)
    assert [(pair.user, pair.name) for pair in linux.host.accounts.pairs()] == [
        (linux.requester.user, f"ADMIN_{linux.requester.user}")
    ]
    names = [account_name("x" * 40 + end) for end in "ab"]
    assert len(set(names)) == 2
    assert {len(name) for name in names} == {32}
    with pytest.raises(HostError):
        linux.host.accounts.remove("nobody")


@pytest.mark.parametrize("user", ["ADMIN_x", "../x", "-x", ""])
def test_names_that_get_no_account(linux: Linux, user: str) -> None:
    """A hidden account has none itself, and a name that could be an option or a path neither."""
    with pytest.raises(HostError):
        linux.host.accounts.make(user, 4_000_000, made_at=0)


def test_requester_must_be_who_the_machine_says(linux: Linux) -> None:
    """A name or identifier that is not the uid's gets no account."""
    for stranger in (replace(linux.requester, user="root"), replace(linux.requester, sid="0@x")):
        with pytest.raises(HostError):
            linux.host.provision(stranger)
    for uid in (-1, 2**32 - 1, 4_000_000):
        with pytest.raises(HostError):
            linux.host.user_for(uid)


def test_package_facts(linux: Linux, tmp_path: Path) -> None:
    """Debian's database says where a program is from; a file outside of the system's folders is from no package."""
    index = PackageIndex()
    if not Path("/var/lib/dpkg/status").exists():
        pytest.skip("this machine has no dpkg database")
    assert index.facts("/usr/bin/env")["package"] == "coreutils"
    assert index.facts(str(tmp_path))["package"] is Fact.ABSENT
    assert index.facts("/usr/share/x/y")["package"] is Fact.UNDETERMINED
    assert PackageIndex(tmp_path).facts("/usr/bin/env")["package"] is Fact.UNDETERMINED
    assert linux.host.name.startswith("linux:")


def test_nothing_is_left(linux: Linux, launcher: Launcher) -> None:
    """After tasks no descriptor, process, cgroup or mount is left."""
    linux.sh("true")
    before = (len(list(Path("/proc/self/fd").iterdir())), Path("/proc/self/mountinfo").read_text())
    pids = [int(linux.sh("sleep 1000 & exec cat /proc/self/stat").out.split()[0]) for _ in range(10)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before[0]  # fewer launchers may wait than at the beginning
    assert Path("/proc/self/mountinfo").read_text() == before[1]
    assert len(pids) == 10
    # What the kernel is still ending, or has just been forked, has no command line of its own yet.
    assert wait_for(lambda: all(_is_launcher(name) for name in _cgroups(launcher)))


def test_closed_launcher_leaves_no_cgroup(linux: Linux, tmp_path: Path) -> None:
    """The launchers that still waited are buried."""
    with Launcher() as launcher:
        host = LinuxHost.create(
            tmp_path / "h", launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(), homes=_homes(linux)
        )
        own = Linux(host, linux.requester, place=linux.place)
        host.accounts._folder.replace("accounts.json", linux.host.accounts._folder.read("accounts.json"))
        assert own.sh("exit 3").ended.exit_status == 3
        waiting = [one.cgroup for one in launcher._pools[True].ready]
        zygote = launcher._pid
        host.close()
    assert not [name for name in waiting if Path(name).exists()]
    assert not alive(zygote)


def _kill_program(launcher: Launcher) -> None:
    os.kill(launcher._pid, signal.SIGKILL)
    os.waitid(os.P_PID, launcher._pid, os.WEXITED | os.WNOWAIT)


def test_killed_program_leaves_the_task_and_no_cgroup(linux: Linux, tmp_path: Path) -> None:
    """The program that forks launchers may be killed: what runs goes on, is reported, and its cgroup goes at the next start."""
    with Launcher() as launcher:
        host = LinuxHost.create(
            tmp_path / "h", launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(), homes=_homes(linux)
        )
        own = Linux(host, linux.requester, place=linux.place)
        host.accounts._folder.replace("accounts.json", linux.host.accounts._folder.read("accounts.json"))
        inspection = host.inspect(Task.run(["sleep", "1000"]), linux.requester)
        running = own.begin(inspection)
        folder = next(name for name in _cgroups(launcher) if running.pid in cgroups.members(name))
        _kill_program(launcher)
        running.cancel()
        assert (running.wait().signal, running.wait().leftover) == (signal.SIGTERM, 0)
        assert cgroups.end(folder) == 0
        Path(folder).mkdir()
        _kill_program(launcher)
        assert own.sh("exit 3").ended.exit_status == 3
        assert not Path(folder).exists()
        for fd in (running.stdout, running.stderr):
            os.close(fd)
        inspection.close()
        host.close()


def test_killed_launcher_leaves_nothing(linux: Linux) -> None:
    """When the init of a task's namespace is killed all in it is gone, and that is checked, not assumed."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    os.kill(int(Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
    ended = running.wait()
    assert (ended.signal, ended.leftover) == (signal.SIGKILL, 0 if cgroups.base() else 1)
    assert not alive(running.pid)
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    inspection.close()


def test_command_not_found_for_the_account(linux: Linux) -> None:
    """A program that the account may not execute is one error, whatever root could do."""
    secret = linux.place / "secret.sh"
    secret.write_text("#!/bin/sh\n")
    secret.chmod(0o700)
    with pytest.raises(Exception, match="can't be executed"):
        linux.do(Task.run([str(secret)]))
    with pytest.raises(CommandNotFoundError):
        linux.do(Task.run(["no-such-command"]))
    secret.unlink()


def _homes(linux: Linux) -> Path:
    return Path(linux.host.provision(linux.requester).home).parent


def _cgroups(launcher: Launcher) -> list[str]:
    return [str(path) for path in Path(launcher._base or "/nonexistent").glob("*") if path.is_dir()]


def _is_launcher(name: str) -> bool:
    """Say whether only a launcher is in there: one that waits, or one that is about to end."""
    return all(not words or b"program.py" in words for words in map(_command_line, cgroups.members(name)))


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


FIND_KEY = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.stdout.write("found" if libc.syscall(249, b"user", b"elevate-test", None, 0) > 0 else "none")
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the key calls are this machine's")
def test_keys_of_the_broker_are_not_the_tasks(linux: Linux, launcher: Launcher) -> None:
    """What lies in the session keyring of whoever started the broker is not found by a task, but by any child."""
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall(248, b"user", b"elevate-test", b"secret", 6, -3)
    if key < 0:
        pytest.skip("no key can be made here")
    python = ["-I", "-S", "-c", FIND_KEY]
    try:
        child = subprocess.run([sys.executable, *python], capture_output=True, text=True, check=True).stdout
        jail = Jail(uid=0, gid=0, home=linux.host.provision(linux.requester).home, capabilities=numbers_of(ROOT))
        _, task = run_argv(launcher, (os.path.realpath(sys.executable), *python), jail=jail)
    finally:
        libc.syscall(250, 9, key, -3)
    if child != "found":
        pytest.skip("this session keyring does not reach children")
    assert task == "none"


def test_machine_without_cgroups(linux: Linux) -> None:
    """The namespace alone ends the tree; only a launcher that was killed can then not be vouched for."""
    jail = Jail(uid=65_534, gid=65_534, home=linux.host.provision(linux.requester).home)
    with Launcher() as launcher:
        launcher._base = ""
        report, text = run_argv(launcher, ("/bin/sh", "-c", "sleep 1000 & echo $$; exit 4"), jail=jail, env={"PATH": "/bin"})
        assert (report.exit_status, report.leftover, text) == (4, 0, "2\n")
        launched = launcher.launch(Order(argv=("/bin/sleep", "1000"), env={}, jail=jail))
        task = os.pidfd_open(launched.pid)
        os.kill(int(Path(f"/proc/{launched.pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert launched.wait().leftover == 1
        assert select.select([task], [], [], 10)[0]
        os.close(task)
