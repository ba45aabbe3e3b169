"""On host linux the kernel tells what a task wrote: all of it, under its final name, and nobody else's."""

import contextlib
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elevate.host import kernel, snapshot, writes
from elevate.host.mountinfo import table
from elevate.host.report import ALL, _reach, _written
from elevate.model import Written
from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root
MANY_WATCHES = 500


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
    assert ended.watched[0].startswith(ALL)
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
    os.write(fd, b"cr/a\0ch/b\0re/c\0!")
    assert _written(fd) == ((("/a", "created"), ("/b", "changed"), ("/c", "removed")), "")
    assert _written(-1) == ((), "")


def test_what_a_list_lacks_is_said() -> None:
    """Nothing, what is elsewhere, names, both; or anything, and then nothing is vouched for."""
    names = "what was removed, moved or given to others"
    assert [_reach(signs) for signs in (b"", b"~", b"?", b"~?", b"!~?")] == [
        "/",
        "/ (not what is on other machines)",
        f"/ (not {names})",
        f"/ (not what is on other machines, nor {names})",
        "",
    ]


def test_18_receipt_tells_no_hash_of_what_the_user_can_not_read(linux: Linux, tmp_path: Path) -> None:
    """A folder or file of the user's that was swapped after the task leads root nowhere; the entry stays."""
    secret = tmp_path / "file"
    secret.write_text("secret")
    folder = linux.place / "swapped"
    folder.mkdir()
    try:
        (folder / "file").write_text("seen")
        (seen,) = snapshot.describe([(str(folder / "file"), "created")])
        (folder / "file").unlink()
        (folder / "file").hardlink_to(secret) if tmp_path.stat().st_dev == folder.stat().st_dev else (
            folder / "file"
        ).symlink_to(secret)
        (linked,) = snapshot.describe([(str(folder / "file"), "created")])
        (folder / "file").unlink()
        folder.rmdir()
        folder.symlink_to(tmp_path)
        (led,) = snapshot.describe([(str(folder / "file"), "created")])
    finally:
        folder.unlink()
    assert (seen.sha256, linked.sha256, led.sha256) == (hashlib.sha256(b"seen").hexdigest(), "", "")
    assert {one.path for one in (seen, linked, led)} == {str(folder / "file")}


MOUNTS = b"""1 0 8:1 / / rw - ext4 /dev/a rw
2 1 0:2 / /proc rw - proc proc rw
3 1 0:3 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw,user_id=1000
4 1 0:4 / /mnt/own rw - fuse.sshfs x rw,user_id=1000
5 1 0:5 / /mnt/a\\040b rw - fuseblk /dev/b rw,allow_other
6 1 0:6 / /mnt/c rw shared:3 - nfs4 server:/ rw
7 1 0:7 / /tmp rw - tmpfs elevate rw
"""


@pytest.mark.parametrize(("lines", "complete"), [(5, True), (7, False)])
def test_36_file_systems_that_may_hang_are_not_looked_at(tmp_path: Path, lines: int, *, complete: bool) -> None:
    """A user's own program and a far machine could make every start wait; what nobody else can enter lacks nothing."""
    (tmp_path / "mounts").write_bytes(b"".join(MOUNTS.splitlines(keepends=True)[:lines]))
    found = table(str(tmp_path / "mounts"))
    assert (found.places, found.whole) == (["/", "/mnt/a b"], complete)


def names(linux: Linux, script: str) -> dict[str, str]:
    """Give what the receipt of a root task says of names: path to change."""
    ended = linux.demanding(identity="root").sh(script).ended
    if ended.watched != (ALL,):
        pytest.skip("this kernel can't tell names on this file system")
    return {item.path: item.change for item in ended.written}


@pytest.mark.skipif(tuple(map(int, os.uname().release.split(".")[:2])) < (6, 13), reason="files have a clock tick's time")
def test_what_was_made_right_before_is_not_new(place: Path) -> None:
    """Not even in the same tick of the clock."""
    for number in range(50):
        (place / f"before{number}").touch()
        began = writes._now_ns()
        (place / f"after{number}").touch()
        assert [born(place / f"{name}{number}") >= began for name in ("before", "after")] == [False, True]


def born(path: Path) -> int:
    """Give when a file was made."""
    with path.open("rb") as file:
        return kernel.born_ns(file.fileno())


def test_removed_and_moved(linux: Linux, place: Path) -> None:
    """What was there before and is gone is listed, under its old name; what came and went is not."""
    for name in ("old", "gone", "target"):
        (place / name).write_text("1")
    found = names(linux, f"cd {place}; mv old new; rm gone; : > temp; mv temp temp2; rm temp2; mv -f new target")
    assert found == {f"{place}/old": "removed", f"{place}/gone": "removed", f"{place}/target": "changed"}


def test_folders_links_owners_and_modes(linux: Linux, place: Path) -> None:
    """What no written file shows: folders, both kinds of links, and files given to others."""
    (place / "file").write_text("1")
    (place / "mode").write_text("1")
    found = names(linux, f"cd {place}; mkdir sub; ln -s file soft; ln file hard; chmod u+s mode; mkdir -p a/b; rm -r a")
    assert found == {f"{place}/{name}": "created" for name in ("sub", "soft", "hard")} | {f"{place}/mode": "changed"}
    (place / "sub").rmdir()


def test_what_another_made_meanwhile_is_only_changed(linux: Linux, place: Path) -> None:
    """A file that is younger than the task, and whose mode and owner alone are the task's doing, is not the task's file."""
    os.mkfifo(place / "now")
    script = f"cat {place}/now; chmod u+s {place}/mode; chown 1 {place}/owner"
    inspection = linux.host.inspect(Task.run(["/bin/sh", "-c", script]), linux.requester)
    running = linux.demanding(identity="root").begin(inspection)
    with (place / "now").open("w"):
        (place / "mode").touch()
        (place / "owner").touch()
    ended = running.wait()
    inspection.close()
    for fd in (running.stdout, running.stderr):
        os.close(fd)
    if ended.watched != (ALL,):
        pytest.skip("this kernel can't tell names on this file system")
    assert {item.path: item.change for item in ended.written} == {f"{place}/{one}": "changed" for one in ("mode", "owner")}


def test_whole_tree_removed(linux: Linux, place: Path) -> None:
    """A folder with all in it: the folder is listed, and what is in it as far as it was seen in time."""
    (place / "tree" / "deep").mkdir(parents=True)
    (place / "tree" / "deep" / "file").write_text("1")
    found = names(linux, f"rm -r {place}/tree")
    assert found[f"{place}/tree"] == "removed"
    assert set(found.values()) == {"removed"}
    assert set(found) <= {f"{place}/tree", f"{place}/tree/deep", f"{place}/tree/deep/file"}


def test_folder_moved_with_what_was_made_in_it(linux: Linux, place: Path) -> None:
    """Made below one name and moved as a whole: told under its last name."""
    found = names(linux, f"cd {place}; mkdir one; mkdir one/in; mv one two")
    assert found == {f"{place}/two": "created", f"{place}/two/in": "created"}
    (place / "two" / "in").rmdir()
    (place / "two").rmdir()


def test_removed_from_a_namespace_below(linux: Linux, place: Path) -> None:
    """A process that took a PID namespace of its own is still the task's."""
    (place / "gone").write_text("1")
    admin = linux.demanding(identity="root", capabilities=("CAP_SYS_ADMIN",))
    ended = admin.sh(f"unshare --pid --fork rm {place}/gone").ended
    if ended.watched != (ALL,):
        pytest.skip("this kernel can't tell names on this file system")
    assert [(item.path, item.change) for item in ended.written] == [(f"{place}/gone", "removed")]


def test_nobody_elses_removals(linux: Linux, place: Path) -> None:
    """The file system tells everybody's; those of others are not the task's."""
    (place / "mine").write_text("1")
    inspection = linux.host.inspect(Task.run(["sleep", "1000"]), linux.requester)
    running = linux.begin(inspection)
    (place / "mine").rename(place / "other")
    (place / "other").unlink()
    running.cancel()
    assert running.wait().written == ()
    inspection.close()
    for fd in (running.stdout, running.stderr):
        os.close(fd)


def test_a_kernel_that_tells_no_names(place: Path) -> None:
    """The receipt says what is missing in it; what was written is told all the same."""
    code = [sys.executable, "-c", NO_NAMES, str(place)]
    done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert done.stdout == f"cr{place}/new|?"


@pytest.mark.parametrize("identity", ["root", "account"])
def test_whoever_else_watches(linux: Linux, place: Path, identity: str) -> None:
    """A receipt lacks nothing when root can't have another watch: a task's is counted for its account."""
    demanding = linux.demanding(identity=identity)
    before = demanding.sh("true").ended.watched
    most = int(Path("/proc/sys/fs/fanotify/max_user_groups").read_text())
    if not before or most > MANY_WATCHES:
        pytest.skip("this kernel can't watch mounts, or lets root have more watches than a test can")
    place.chmod(0o777)
    held = _all_watches(most)
    try:
        ended = demanding.sh(f"echo 1 > {place}/by-{identity}").ended
    finally:
        for fd in held:
            os.close(fd)
    assert (ended.watched, [item.path for item in ended.written]) == (before, [f"{place}/by-{identity}"])


def _all_watches(most: int) -> list[int]:
    """Take, as root, what there is."""
    held: list[int] = []
    with contextlib.suppress(OSError):
        while len(held) <= most:
            held.append(kernel.fanotify_init())
    assert len(held) <= most
    return held


@pytest.mark.parametrize("dumpable", ["0", "1"])
def test_counting_for_another_changes_nothing_else(dumpable: str) -> None:
    """All rights stay meanwhile, and user, rights and what keeps others from tracing it are as before, after a failure, too."""
    code = [sys.executable, "-c", COUNTED]
    setting = Path("/proc/sys/fs/suid_dumpable")
    kept = setting.read_text()
    try:
        setting.write_text(dumpable)
    except OSError:
        pytest.skip("this machine's setting can't be changed")
    try:
        done = subprocess.run(code, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    finally:
        setting.write_text(kept)
    before, meanwhile, after, failed = done.stdout.splitlines()
    assert (before == after == failed, meanwhile.split()[0]) == (True, "65534")
    assert meanwhile.split()[1:3] == before.split()[1:3]


COUNTED = """
import os
from elevate.host import kernel
from elevate.host.identity import CountedFor
def say():
    dumpable, bits = kernel.prctl(3), kernel.prctl(kernel.PR_GET_SECUREBITS)
    print(os.geteuid(), *kernel.capabilities_of(("CapEff", "CapPrm")), dumpable, bits, flush=True)
kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
say()
with CountedFor(65534):
    say()
say()
try:
    with CountedFor(-2):
        pass
except (OSError, OverflowError):
    say()
"""


NO_NAMES = """
import sys
from elevate.host import kernel, mountinfo, writes
kernel.FAN_REPORT_NAMES = 1 << 30
watch = writes.Writes(mountinfo.table())
with open(sys.argv[1] + "/new", "w") as file:
    file.write("1")
found = [part for part in watch.end().decode().split(chr(0)) if not part or sys.argv[1] in part or part in "?!"]
sys.stdout.write("|".join(found))
"""
