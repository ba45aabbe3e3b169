"""An attacker who swaps folders and links all the time, beside a broker that looks paths up. What is wrong once is a hole."""

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevate.errors import ElevateError
from elevate.host import paths
from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root

TRIES = 300
MAX_TRIES = 20_000
MAX_NAIVE = 200_000
SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("sub", "moved")
    os.symlink(sys.argv[2], "sub")
    os.unlink("sub")
    os.rename("moved", "sub")
"""


@pytest.fixture
def secret(linux: Linux) -> Iterator[Path]:
    """Give a folder that is root's; not below /tmp, which a task has anew."""
    folder = linux.place.parent / f"elevate-secret-{os.getpid()}"
    folder.mkdir(mode=0o755)
    (folder / "conf").write_text("kept")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/rm", "-rf", str(folder)], check=True)


@contextmanager
def swapping(linux: Linux, target: Path) -> Iterator[None]:
    """Let the user swap a folder for a link to ``target`` and back, as fast as it goes."""
    folder = linux.place / "race"
    folder.mkdir()
    (folder / "sub").mkdir()
    for one in (folder, folder / "sub"):
        os.chown(one, linux.uid, linux.uid_group)
    argv = ["/usr/bin/python3", "-I", "-S", "-c", SWAP, str(folder), str(target)]
    attacker = subprocess.Popen(argv, user=linux.uid, group=linux.uid_group, extra_groups=[])
    try:
        yield
    finally:
        attacker.send_signal(signal.SIGKILL)
        attacker.wait()
        subprocess.run(["/bin/rm", "-rf", str(folder)], check=True)


def no_such_call(*_: object) -> int:
    raise OSError(errno.ENOSYS, "no openat2")


@pytest.mark.parametrize("kernel", ["new", "old"])
def test_11_folder_that_is_swapped_all_the_time(
    linux: Linux, secret: Path, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is written where it was shown or nowhere; with and without a kernel that refuses links by itself."""
    if kernel == "old":
        monkeypatch.setattr(paths, "openat2", no_such_call)
    outcomes: set[str] = set()
    shown = str(linux.place / "race" / "sub" / "conf")
    with swapping(linux, secret):
        for number in range(MAX_TRIES):
            if number > TRIES and len(outcomes) > 1:
                break
            try:
                inspection = linux.host.inspect(Task.write(shown, b"x"), linux.requester)
            except ElevateError:
                outcomes.add("refused")
                continue
            assert inspection.target is not None
            fact = inspection.task.file
            assert fact is not None
            landed = os.path.samestat(os.fstat(inspection.target.fd), secret.stat())
            # What the link leads to may be shown and agreed to; what must not be is one thing shown and another opened.
            assert landed == (fact.path == str(secret / "conf"))
            outcomes.add("elsewhere" if landed else "there")
            inspection.close()
    assert "there" in outcomes
    assert outcomes & {"refused", "elsewhere"}


def test_11_naive_broker_is_led_astray(linux: Linux, secret: Path) -> None:
    """One that looks first and opens by the same path then opens another folder before long."""
    shown = linux.place / "race" / "sub"
    with swapping(linux, secret):
        for _ in range(MAX_NAIVE):
            try:
                if os.path.realpath(shown) == str(shown) and os.path.samestat(shown.stat(), secret.stat()):
                    return
            except OSError:
                continue
    pytest.fail("the attacker never won")


def test_11_rule_s_place_that_is_swapped_all_the_time(linux: Linux, secret: Path) -> None:
    """A task never gets to write what the user's link leads to: the place is the folder itself, or the task is stopped."""
    out = linux.place / "race" / "sub"
    confined = linux.demanding(identity="root", writable=(str(out),))
    ended = set()
    with swapping(linux, secret):
        for _ in range(40):
            try:
                done = confined.sh(f"echo x > {secret}/conf; echo x > {secret}/new")
                ended.add("kept" if "Read-only" in done.err or "denied" in done.err else "written")
            except ElevateError:
                ended.add("kept")
    assert ended == {"kept"}
    assert sorted(path.name for path in secret.iterdir()) == ["conf"]
    assert (secret / "conf").read_text() == "kept"
