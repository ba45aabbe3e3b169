"""Rows 15, 39 and 40 on who asks: what a process shows as its program is compared with the file that it really executes."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate.host.processes import ELSEWHERE, read_process

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_CAN = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def disguised(victim: Path, own: Path) -> Iterator[int]:
    """Run ``own`` under the path of ``victim``, by a mount that only this process sees."""
    script = f'mount --bind {own} {victim} && exec {victim} -c "echo ready; read end"'
    command = [*_NAMESPACE, "/bin/sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process.pid
        finally:
            process.kill()


@pytest.mark.skipif(not _CAN, reason="the kernel allows no user namespaces here")
def test_40_a_mount_of_ones_own_makes_nobody_another_program(tmp_path: Path) -> None:
    """A service identity is pinned to a path: nobody gets it by mounting over that path where only he sees it."""
    victim, own = tmp_path / "agent", tmp_path / "mine"
    shutil.copy("/bin/true", victim)
    shutil.copy("/bin/bash", own)
    with disguised(victim, own) as pid:
        assert Path(f"/proc/{pid}/exe").readlink() == victim
        assert read_process(pid).executable == f"{victim}{ELSEWHERE}"


def test_40_a_program_that_was_replaced_since_is_not_the_one_there(tmp_path: Path) -> None:
    """The file of that name is another one now; the process does not have its name any more."""
    program = tmp_path / "agent"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert read_process(process.pid).executable == str(program)
            other = tmp_path / "other"
            shutil.copy("/bin/true", other)
            other.rename(program)
            assert read_process(process.pid).executable != str(program)
        finally:
            process.kill()
