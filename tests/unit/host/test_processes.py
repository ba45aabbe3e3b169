"""What the kernel says of a process: who it is below."""

import os
import select
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from elevate.host.processes import MAX_CHAIN, _descent, read_process
from elevate.host.sessions import Step, origin_lost, remote_by_login, remote_by_records, scopes_in
from tests.unit.host.acting import Linux

BELOW = """
import os, sys
from elevate.host.processes import read_process
def named(name):
    with open("/proc/self/comm", "w") as file:
        file.write(name)
named(sys.argv[1])
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    named("sh")
found = read_process(os.getpid())
print(found.remote, len(found.chain), flush=True)
"""


@pytest.mark.parametrize("depth", [1, MAX_CHAIN, 3 * MAX_CHAIN])
@pytest.mark.parametrize(("name", "remote"), [("sshd: alice", True), ("bash", False)])
def test_39_long_chain_of_processes_hides_no_network(name: str, depth: int, *, remote: bool) -> None:
    """However many shells stand between the SSH server and who asks; what is shown stays short."""
    code = [sys.executable, "-c", BELOW, name, str(depth)]
    done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])

    said, shown = done.stdout.split()
    assert (said, int(shown) <= MAX_CHAIN + 1) == (str(remote), True)


@pytest.mark.parametrize(
    ("sessions", "remote"),
    [(["3"], True), (["5"], False), ([], True), (["7"], True), (["3", "5"], True), (["../users/1000"], True), (["9"], True)],
)
def test_39_process_outside_of_every_session_is_not_local_by_that(tmp_path: Path, sessions: list[str], *, remote: bool) -> None:
    """What an SSH session starts by the user's service manager or by cron has no session; the user's others then count."""
    for folder in ("sessions", "users"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sessions" / "3").write_text("UID=1000\nCLASS=user\nREMOTE=1\nREMOTE_HOST=192.0.2.1\n")
    (tmp_path / "sessions" / "5").write_text("UID=1000\nCLASS=user\nREMOTE=0\n")
    (tmp_path / "sessions" / "7").write_text("UID=1000\nCLASS=manager\nREMOTE=0\n")
    (tmp_path / "users" / "1000").write_text("NAME=alice\nSESSIONS=5 3 7\n")
    (tmp_path / "users" / "1001").write_text("NAME=bob\nSESSIONS=5\n")

    assert remote_by_login(sessions, 1000, tmp_path) is remote
    assert remote_by_login([], 1001, tmp_path) is False
    assert remote_by_login([], 1002, tmp_path) is None


def record(user: str, host: str, *, pid: int = 4711, kind: int = 7) -> bytes:
    """Give a login record as utmp(5) has it."""
    text = [part.encode() for part in ("pts/0", "0", user, host)]
    return struct.pack("=hxxi32s4s32s256s52x", kind, pid, *text)


@pytest.mark.parametrize(
    ("records", "remote"),
    [
        ([("alice", "192.0.2.1")], True),
        ([("alice", "")], False),
        ([("alice", ":0"), ("alice", "tmux(12).%0"), ("bob", "192.0.2.1")], False),
        ([("bob", ""), ("alice", "")], False),
        ([("alice", ""), ("alice", "example.net")], True),
    ],
)
def test_39_login_records_tell_who_came_from_afar(tmp_path: Path, records: list[tuple[str, str]], *, remote: bool) -> None:
    """Where there is no login manager: a living record of the user that names another machine."""
    (tmp_path / "4711").mkdir()
    data = b"".join(record(user, host) for user, host in records)
    assert remote_by_records("alice", data, alive=tmp_path) is remote
    assert remote_by_records("alice", data, alive=tmp_path / "none") is False
    assert remote_by_records("alice", b"".join(record(*one, kind=8) for one in records), alive=tmp_path) is False


PTS, CONSOLE = 136 << 8, 4 << 8 | 1


@pytest.mark.parametrize(
    ("line", "groups", "lost"),
    [
        ([(9, 1000, 7, PTS), (7, 1000, 5, PTS), (5, 0, 1, 0)], "", False),
        ([(9, 1000, 7, 0), (7, 1000, 1, 0), (1, 0, 0, 0)], "", True),
        ([(9, 1000, 1, PTS), (1, 0, 0, 0)], "0::/user.slice/user-1000.slice/system.slice/x.service\n", True),
        ([(9, 1000, 1, CONSOLE), (1, 0, 0, 0)], "", False),
        ([(9, 1000, 7, CONSOLE), (7, 1000, 1, 0), (1, 0, 0, 0)], "", False),
        ([(9, 1000, 1, 0), (1, 0, 0, 0)], "0::/system.slice/backup.service\n", False),
        ([(9, 1000, 1, 0), (1, 0, 0, 0)], "1:name=systemd:/system.slice/a.slice/backup.service\n", False),
        ([(9, 1000, 1, 0), (1, 1000, 0, 0)], "", False),
        ([(9, 1000, -1, 0)], "", True),
        ([(9, 1000, 7, PTS), (7, 1000, -1, 0)], "", True),
        ([(9, 0, 1, 0), (1, 0, 0, 0)], "", False),
    ],
)
def test_39_who_was_left_to_init_has_no_origin(line: list[tuple[int, int, int, int]], groups: str, *, lost: bool) -> None:
    """But for a system service, what has the machine's console, and root."""
    steps = [Step(pid=pid, uid=uid, parent=parent, terminal=terminal) for pid, uid, parent, terminal in line]
    assert origin_lost(steps, groups) is lost


@pytest.mark.parametrize(
    ("groups", "sessions"),
    [
        ("0::/user.slice/user-1000.slice/session-7.scope\n", ["7"]),
        ("0::/user.slice/user-1000.slice/session-c2.scope/inner\n", ["c2"]),
        (
            "4:pids:/user.slice/user-1000.slice/session-7.scope\n1:name=systemd:/user.slice/user-1000.slice/session-7.scope\n",
            ["7"],
        ),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run.service\n", []),
        ("0::/user.slice/user-1000.slice/user@1000.service/session-2.scope\n", []),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/user-1000.slice/session-2.scope\n", []),
        ("0::/session-2.scope\n", []),
    ],
)
def test_39_a_session_is_the_login_managers_and_no_group_of_that_name(groups: str, sessions: list[str]) -> None:
    """Below the user's own service manager anybody makes a group that is called like a local session."""
    assert scopes_in(groups) == sessions


TWO_FORKS = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
while os.getppid() != 1:
    time.sleep(0.001)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_39_line_that_is_too_long_or_broken_off_has_no_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for ever, and what can't be looked at is a doubt."""
    own = _descent(os.getpid(), os.geteuid(), {})
    assert own[0].pid == os.getpid()
    assert -1 not in {step.parent for step in own}
    monkeypatch.setattr("elevate.host.processes.MAX_DESCENT", 1)
    assert _descent(os.getpid(), os.geteuid(), {})[-1].parent == -1
    assert [step.parent for step in _descent(2**22 + 1, os.geteuid(), {})] == [-1]


@pytest.mark.root
def test_39_two_forks_hide_no_network(linux: Linux) -> None:
    """A program that left its session over a network by two forks is not local by that; one that did not is as before."""
    if any(Path("/run/systemd/sessions").glob("*")):
        pytest.skip("a login manager tells sessions here")
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", TWO_FORKS], user=linux.uid, group=linux.uid_group, extra_groups=[], stdout=subprocess.PIPE
    ) as started:
        assert started.stdout
        if not select.select([started.stdout], [], [], 10)[0]:
            pytest.skip("orphans are left to somebody else than init here")
        left = int(started.stdout.readline())
        try:
            assert read_process(left).remote
        finally:
            os.kill(left, signal.SIGKILL)
    stays = subprocess.Popen(["/bin/sleep", "60"], user=linux.uid, group=linux.uid_group, extra_groups=[])
    try:
        assert not read_process(stays.pid).remote
    finally:
        stays.kill()
        stays.wait()
