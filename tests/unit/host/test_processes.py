"""What the kernel says of a process: who it is below."""

import subprocess
import sys
from pathlib import Path

import pytest

from elevate.host.processes import MAX_CHAIN

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
