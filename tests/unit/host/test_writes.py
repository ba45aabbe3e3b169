"""On host linux the kernel tells what a task wrote: all of it, under its final name, and nobody else's."""

import hashlib
import os
from pathlib import Path

import pytest

from elevate.host import writes
from elevate.host.report import _written
from elevate.model import Written
from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root


@pytest.fixture
def place(linux: Linux) -> Path:
    folder = linux.place / "written"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def written(linux: Linux, script: str) -> tuple[Written, ...]:
    """Give what the receipt of a root task says."""
    ended = linux.demanding(identity="root").sh(script).ended
    if not ended.watched:
        pytest.skip("this kernel can't watch mounts")
    assert ended.watched == ("/",)
    return ended.written


def test_created_and_changed(linux: Linux, place: Path) -> None:
    """Both are listed with the hash of what is there; what was only read is not."""
    (place / "old").write_text("1")
    (place / "read").write_text("1")
    found = written(linux, f"cd {place}; cat read; echo 2 > new; echo 2 >> old")
    hashes = [hashlib.sha256(text).hexdigest() for text in (b"2\n", b"12\n")]
    assert [(item.path, item.change, item.sha256, item.size) for item in found] == [
        (f"{place}/new", "created", hashes[0], 2),
        (f"{place}/old", "changed", hashes[1], 3),
    ]


def test_final_name(linux: Linux, place: Path) -> None:
    """What is renamed into its place has that name; what is deleted again is not listed."""
    found = written(linux, f"cd {place}; echo 1 > conf.tmp; mv conf.tmp conf; echo 1 > gone; rm gone; echo 1 > 'a b'")
    assert [item.path for item in found] == [f"{place}/a b", f"{place}/conf"]


def test_nobody_elses_writes(linux: Linux, place: Path) -> None:
    """A file that is written outside of the task meanwhile is not the task's."""
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    (place / "mine").write_text("1")
    running.cancel()
    assert running.wait().written == ()
    inspection.close()
    for fd in (running.stdout, running.stderr):
        os.close(fd)


def test_grandchildren_and_scratch(linux: Linux, place: Path) -> None:
    """A write of any process of the tree counts; scratch folders do not, they are gone."""
    found = written(linux, f"(setsid sh -c 'echo 1 > {place}/deep'); echo 1 > /tmp/x; echo 1 > $HOME/y")
    assert [item.path for item in found] == [f"{place}/deep"]


def test_many_files(linux: Linux, place: Path) -> None:
    """More files than are kept open are all listed."""
    count = writes.MAX_KEPT + 50
    found = written(linux, f"cd {place}; i=0; while [ $i -lt {count} ]; do : > f$i; i=$((i+1)); done")
    assert len(found) == count
    assert {item.change for item in found} == {"created"}


def test_unprivileged_account(linux: Linux, place: Path) -> None:
    """What the account writes is listed as well."""
    place.chmod(0o777)
    done = linux.sh(f"echo 1 > {place}/a")
    place.chmod(0o755)
    assert [item.path for item in done.ended.written] == ([f"{place}/a"] if done.ended.watched else [])


def test_broken_list_is_bounded() -> None:
    """More paths than the bound are left out, and the list says that it is not all."""
    fd = os.memfd_create("list")
    os.write(fd, b"C/a\0M/b\0!")
    assert _written(fd) == ((("/a", True), ("/b", False)), False)
    assert _written(-1) == ((), False)
