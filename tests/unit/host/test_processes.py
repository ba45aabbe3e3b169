"""What the kernel says of a process: who it is below."""

import subprocess
import sys
from pathlib import Path

import pytest

from elevate.host.processes import MAX_CHAIN, remote_by_login

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
    assert remote_by_login([], 1002, tmp_path) is False
