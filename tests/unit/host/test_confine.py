"""A task whose rule says what it can't write, or what alone it can: mounts, and every way round them that uid 0 would try."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import HostError
from elevate.host import landlock, seccomp
from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root

PYTHON = os.path.realpath("/usr/bin/python3")
ROOT = Path(__file__).parents[3]
NODES = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero 3 y"
KERNELS = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper")


@pytest.fixture
def place(linux: Linux) -> Iterator[Path]:
    """Give a folder of root's, with a file and a folder in it."""
    folder = linux.place.parent / f"elevate-confine-{os.getpid()}"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("kept")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/rm", "-rf", str(folder), f"{folder}.gone"], check=True)


def read_only(linux: Linux, *places: Path | str) -> Linux:
    return linux.demanding(identity="root", read_only=tuple(map(str, places)))


def writable(linux: Linux, *places: Path | str) -> Linux:
    return linux.demanding(identity="root", writable=tuple(map(str, places)) or ("-",))


def python(linux: Linux, code: str, *words: object) -> str:
    """Run Python code as a task; give what it says, and the last line of what went wrong."""
    done = linux.do(Task.run([PYTHON, "-I", "-S", "-c", code, *map(str, words)]))
    return done.out + (done.err.strip().splitlines() or [""])[-1]


def here(code: str, *words: object) -> str:
    """Run Python code as root, beside the tests, with elevate to import."""
    argv = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout + done.stderr


CHANGES = ("echo x > {0}/file", "echo x > {0}/new", "rm {0}/file", "chmod 777 {0}/file", "chown 1 {0}/file", "touch {0}/file")


@pytest.mark.parametrize("change", CHANGES)
def test_neither_content_nor_owner_nor_mode_is_changed(linux: Linux, place: Path, change: str) -> None:
    """By either list uid 0 changes nothing there; without one it does."""
    command = change.format(place)
    for confined in (read_only(linux, place), writable(linux), writable(linux, place / "sub")):
        assert "Read-only file system" in confined.sh(command).err
    assert linux.demanding(identity="root").sh(command).ended.exit_status == 0


def test_only_what_is_writable_can_be_written(linux: Linux, place: Path) -> None:
    """A folder with all below it, a single file, and the task's own scratch folders; inside of it read_only wins."""
    script = f"cd {place}; echo a > sub/a; echo b > file; echo c > c; echo d > /tmp/d; echo e > $HOME/e; ls /tmp $HOME"
    done = writable(linux, place / "sub", place / "file").sh(script)
    assert [(place / "sub" / "a").read_text(), (place / "file").read_text(), (place / "c").exists()] == ["a\n", "b\n", False]
    assert (done.out.split()[1], done.out.split()[-1]) == ("d", "e")
    both = linux.demanding(identity="root", writable=(str(place),), read_only=(str(place / "sub"),))
    assert "Read-only" in both.sh(f"echo x > {place}/c; echo x > {place}/sub/a").err
    assert [(place / "sub" / "a").read_text(), (place / "c").read_text()] == ["a\n", "x\n"]


def test_folder_in_which_it_starts_is_as_read_only_as_any(linux: Linux) -> None:
    """The machine's /tmp comes with the flags that the rule asks for, wherever it is mounted for the task."""
    done = writable(linux).do(Task.run(["sh", "-c", "echo x > elevate-confined; echo y > /tmp/own; cat /tmp/own"], cwd="/tmp"))
    assert (done.out, "Read-only file system" in done.err) == ("y\n", True)
    assert not Path("/tmp/elevate-confined").exists()


@pytest.mark.parametrize("cwd", ["/dev", "/dev/shm"])
def test_it_does_not_start_in_the_machines_devices(linux: Linux, cwd: str) -> None:
    """It has a /dev of its own; the refusal says so."""
    for confined in (writable(linux), read_only(linux, "/srv")):
        with pytest.raises(HostError, match="of its own") as refused:
            confined.do(Task.run(["pwd"], cwd=cwd))
        assert refused.value.hint == "change to another folder"
    assert linux.do(Task.run(["pwd"], cwd="/dev")).out == "/dev\n"


@pytest.mark.parametrize("above", [False, True])
def test_what_is_read_only_stays_so_below_the_folder_in_which_it_starts(linux: Linux, *, above: bool) -> None:
    """Whoever asks chooses the folder; one above what the rule names opens nothing, under whatever path it is there."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="elevate-confined-") as name:
        folder = Path(name)
        (folder / "sub").mkdir()
        start = Path("/tmp") if above else folder
        sub = str((folder / "sub").relative_to(start))
        script = f"echo x > {sub}/x; mv {sub} gone; echo y > $PWD/{sub}/y; touch {folder.name}-there"
        done = read_only(linux, folder / "sub").do(Task.run(["sh", "-c", script], cwd=str(start)))
        (start / f"{folder.name}-there").unlink()
        assert ([*folder.iterdir()], [*(folder / "sub").iterdir()]) == ([folder / "sub"], [])
        assert (done.err.count("Read-only file system"), "busy" in done.err) == (2, True)


def test_the_account_is_confined_too(linux: Linux, place: Path) -> None:
    """With a capability that opens every file it writes only where the list says."""
    account = linux.demanding(capabilities=("CAP_DAC_OVERRIDE",), writable=(str(place / "sub"),))
    done = account.sh(f"echo x > {place}/sub/x; echo x > {place}/x")
    assert ((place / "sub" / "x").exists(), (place / "x").exists(), "Read-only" in done.err) == (True, False, True)


@pytest.mark.parametrize("path", [path for path in KERNELS if Path(path).exists()])
def test_the_kernels_own_switches_are_not_writable(linux: Linux, place: Path, path: str) -> None:
    """By core_pattern, uevent_helper and sysrq uid 0 would run things, or remount, outside; opening them is enough."""
    code = "import os, sys; os.close(os.open(sys.argv[1], os.O_WRONLY)); print('opened')"
    assert "Read-only" in python(read_only(linux, place), code, path)
    assert "Read-only" in python(writable(linux, place), code, path)
    assert python(linux.demanding(identity="root"), code, path) == "opened\n"


def test_no_device_leads_round_the_mounts(linux: Linux, place: Path) -> None:
    """Disks are not in /dev, can't be made, and can't be opened where they lie elsewhere; the harmless ones are there."""
    disk = place / "disk"
    os.mknod(disk, 0o600 | 0o060000, os.makedev(7, 99))
    os.mknod(place / "null", 0o600 | 0o020000, os.makedev(1, 3))
    script = (
        f"ls /dev; mknod /tmp/x b 7 99; cat {place}/null; head -c 3 /dev/zero | wc -c; echo x > /dev/null; echo y > /dev/stdout"
    )
    done = read_only(linux, "/etc").sh(script)
    assert done.out.split() == NODES.split()
    assert "mknod: /tmp/x: " in done.err
    assert f"{place}/null: Permission denied" in done.err
    assert linux.demanding(identity="root").sh(f"cat {place}/null").ended.exit_status == 0


def test_no_other_program_writes_for_it(linux: Linux, place: Path) -> None:
    """A local socket of another program can't be reached; one's own pair works."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / "door"))
    listener.listen()
    code = """
import socket, sys
ours, theirs = socket.socketpair()
ours.send(b"pair ")
print(theirs.recv(9).decode(), end="")
for make in (lambda: socket.socket(socket.AF_UNIX), lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]):
    try:
        make().connect(sys.argv[1])
        print("reached")
    except OSError as exc:
        print(exc.errno)
"""
    assert python(read_only(linux, "/etc"), code, place / "door") == "pair 97\n97\n"
    assert python(linux.demanding(identity="root"), code, place / "door").startswith("pair reached\n")
    listener.close()


def test_its_own_program_is_not_written_through_its_descriptor(linux: Linux, place: Path) -> None:
    """A script's descriptor was opened by the broker, whose mounts are not read-only; the task has it anew."""
    script = place / "script"
    script.write_text('#!/bin/sh\nfor fd in /proc/self/fd/*; do echo "# changed" >> $fd; done 2>&1\n')
    script.chmod(0o755)
    before = script.read_text()
    assert read_only(linux, place).do(Task.run([str(script)])).ended.exit_status is not None
    assert script.read_text() == before
    linux.demanding(identity="root").do(Task.run([str(script)]))
    assert script.read_text() != before


def test_a_program_is_not_written_through_its_link_in_proc(linux: Linux, place: Path) -> None:
    """Neither is a binary through /proc/self/exe, once nobody executes it any more."""
    program = place / "sh"
    program.write_bytes(Path("/bin/sh").resolve().read_bytes())
    program.chmod(0o755)
    code = (
        f"exec 9< /proc/self/exe; exec {PYTHON} -I -S -c "
        '\'import os; fd = os.open("/proc/self/fd/9", os.O_WRONLY | os.O_APPEND); os.write(fd, b"x"); print("written")\''
    )
    confined = read_only(linux, place).do(Task.run([str(program), "-c", code]))
    assert ("Read-only" in confined.err, confined.out) == (True, "")
    assert linux.demanding(identity="root").do(Task.run([str(program), "-c", code])).out == "written\n"


def test_mounts_can_not_be_taken_off(linux: Linux, place: Path) -> None:
    """Not as uid 0, and not as the master of a user namespace of its own."""
    tries = "umount -l {0}; mount -o remount,bind,rw {0}; umount -l /proc; touch {0}/x"
    command = tries.format(place)
    assert "Read-only" in read_only(linux, place).sh(command).err
    for flags in ("-Urm", "-Um"):
        done = read_only(linux, place).sh(f"unshare {flags} sh -c '{command}'")
        assert done.err
    assert not (place / "x").exists()


@pytest.mark.parametrize(
    "script",
    [
        "mv {0}/sub {0}/gone && mkdir {0}/sub",
        "mv {0} {0}.gone && mkdir -p {0}/sub",
        'mv --exchange {0} /srv/other || python3 -c \'import os, sys; os.rename("{0}", "{0}.gone")\'',
        "rm -rf {0}",
    ],
)
def test_no_folder_above_is_moved_away(linux: Linux, place: Path, script: str) -> None:
    """Else another folder would have its name: whoever reads the path later would read what the task made."""
    (place / "sub" / "conf").write_text("kept")
    read_only(linux, place / "sub").sh(script.format(place) + f"; echo changed > {place}/sub/conf")
    assert (place / "sub" / "conf").read_text() == "kept"
    inside = linux.demanding(identity="root", writable=(str(place.parent),), read_only=(str(place / "sub"),))
    inside.sh(script.format(place) + f"; echo changed > {place}/sub/conf")
    assert (place / "sub" / "conf").read_text() == "kept"


def test_file_that_is_read_only_is_not_replaced(linux: Linux, place: Path) -> None:
    """Neither by another file of its name nor through another name of the same."""
    done = read_only(linux, place / "file").sh(
        f"cd {place}; echo x > new; mv -f new file; ln file hard; rm -f file; echo x > file"
    )
    assert ((place / "file").read_text(), (place / "hard").exists(), "busy" in done.err) == ("kept", False, True)


@pytest.mark.parametrize(
    ("kind", "path"), [("proc", "sys/kernel/core_pattern"), ("proc", "sysrq-trigger"), ("sysfs", "kernel/uevent_helper")]
)
def test_no_new_view_of_the_kernel_s_switches(linux: Linux, place: Path, kind: str, path: str) -> None:
    """A user namespace gives the right to mount /proc and /sys anew; then they are read-only, too, or can't be mounted."""
    flag = "p" if kind == "proc" else "n"
    script = f"mkdir /tmp/k; unshare -Urm{flag} --fork sh -c 'mount -t {kind} k /tmp/k && : >> /tmp/k/{path} && echo written'"
    for confined in (read_only(linux, place), writable(linux)):
        done = confined.sh(script)
        assert (done.out, bool(done.err)) == ("", True)
    if linux.demanding(identity="root").sh(script).out != "written\n":
        pytest.skip("a user namespace gives no such right here")


@pytest.mark.parametrize("name", ["CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"])
def test_capability_that_would_undo_it_is_refused(linux: Linux, place: Path, name: str) -> None:
    """Where the rule names it nothing runs; where it is only among what uid 0 gets by itself it is left out."""
    for lists in ({"read_only": (str(place),)}, {"writable": (str(place),)}):
        with pytest.raises(HostError, match=name):
            linux.demanding(identity="root", capabilities=(name,), **lists).sh("true")
    status = read_only(linux, place).sh("grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status").out.split()
    assert not int(status[status.index("CapBnd:") + 1], 16) & (1 << 27 | 1 << 2)
    assert [status[status.index(name) + 1] for name in ("NoNewPrivs:", "Seccomp:")] == ["1", "2"]


def test_kinds_that_the_machine_does(linux: Linux, place: Path) -> None:
    """A file is written only where the lists let it be; a service manager writes for others and is not asked."""
    for confined in (read_only(linux, place), writable(linux, place / "sub"), read_only(linux, place / "file")):
        with pytest.raises(HostError, match="does not let"):
            confined.do(Task.write(str(place / "file"), b"x"))
    (place.parent / f"{place.name}.link").symlink_to(place)
    through = f"{place}.link"
    try:
        with pytest.raises(HostError, match="does not let"):
            read_only(linux, through).do(Task.write(str(place / "file"), b"x"))
        assert writable(linux, through).do(Task.write(str(place / "new"), b"x")).ended.exit_status == 0
    finally:
        Path(through).unlink()
    assert (place / "file").read_text() == "kept"
    assert writable(linux, place).do(Task.write(str(place / "file"), b"x")).ended.exit_status == 0
    assert (place / "file").read_text() == "x"


def test_users_link_in_a_place_of_the_rules(linux: Linux, place: Path) -> None:
    """A link that the user planted leads no rule to another folder; one of the system's does."""
    linux.as_attacker(["/bin/ln", "-sfn", str(place), str(linux.place / "out")])
    for lists in ({"read_only": (f"{linux.place}/out",)}, {"writable": (f"{linux.place}/out/sub",)}):
        with pytest.raises(HostError, match="surroundings"):
            linux.demanding(identity="root", **lists).sh("true")
    (linux.place / "out").unlink()
    (place / "link").symlink_to("sub")
    writable(linux, place / "link").sh(f"echo x > {place}/sub/x; echo x > {place}/x")
    assert ((place / "sub" / "x").exists(), (place / "x").exists()) == (True, False)


@pytest.mark.parametrize("where", ["/no/such/folder", "/etc/passwd/x"])
def test_place_that_is_not_there_stops_the_task(linux: Linux, where: str) -> None:
    """Neither list is silently shorter."""
    for confined in (read_only(linux, where), writable(linux, where)):
        with pytest.raises(HostError):
            confined.sh("true")


def test_package_goes_in_where_it_may_be_written(linux: Linux, place: Path) -> None:
    """Dpkg needs none of what a confined task lacks; a package that wants to write what is read-only is not installed."""
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("this machine has no dpkg")
    name, tree = f"elevate-confine-{os.getpid()}", place / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    text = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.net>\nDescription: x\n"
    (tree / "DEBIAN" / "control").write_text(text)
    (tree / "usr" / "lib" / name).mkdir(parents=True)
    (tree / "usr" / "lib" / name / "file").write_text("x")
    subprocess.run(["/usr/bin/dpkg-deb", "--build", str(tree), str(place / "x.deb")], check=True, capture_output=True)
    try:
        refused = read_only(linux, "/usr/lib").do(Task.install(str(place / "x.deb")))
        assert (refused.ended.exit_status, Path("/usr/lib", name).exists()) == (1, False)
        done = read_only(linux, place, "/etc/ssl").do(Task.install(str(place / "x.deb")))
        assert (done.ended.exit_status, Path("/usr/lib", name, "file").exists()) == (0, True), done.err
    finally:
        subprocess.run(["/usr/bin/dpkg", "--purge", name], check=False, capture_output=True)


def test_everything_read_only(linux: Linux, place: Path) -> None:
    """The root folder in read_only is all of it; in writable it is no limit."""
    both = linux.demanding(identity="root", read_only=("/",), writable=(str(place),))
    for confined in (read_only(linux, "/"), both):
        assert "Read-only" in confined.sh(f"echo x > {place}/x; echo y > /tmp/y && cat /tmp/y").err
    assert writable(linux, "/").sh(f"echo x > {place}/x").ended.exit_status == 0


def test_landlock_holds_the_task_as_well(linux: Linux, place: Path) -> None:
    """Sixteen layers are the most that the kernel takes: a confined task has one already."""
    if landlock.version() < 2:
        pytest.skip("this kernel has no landlock")
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
layers = 0
while libc.syscall(446, libc.syscall(444, (ctypes.c_uint64 * 1)(2), ctypes.c_size_t(8), 0), 0) == 0:
    layers += 1
print(layers)
"""
    layers = [int(python(one, code)) for one in (read_only(linux, place), writable(linux, place), linux)]
    assert layers == [15, 15, 16]


LANDLOCKED = """
import os, sys
from elevate.host import kernel, landlock
folder = sys.argv[1]
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
rules = landlock.ruleset([folder + "/sub", "/dev"] if sys.argv[2] == "list" else None)
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
landlock.restrict(rules)
def tried(name, act):
    try:
        act()
        print(name, "done")
    except OSError as exc:
        print(name, exc.strerror)
tried("inside", lambda: open(folder + "/sub/x", "w").close())
tried("outside", lambda: open(folder + "/x", "w").close())
tried("truncate", lambda: os.truncate(folder + "/file", 1))
tried("across", lambda: os.rename(folder + "/sub/x", folder + "/y"))
tried("device", lambda: os.mknod(folder + "/sub/n", 0o600 | 0o060000, os.makedev(7, 99)))
tried("mount", lambda: kernel.mount("x", folder, "tmpfs", 0))
"""


def test_landlock_alone(place: Path) -> None:
    """Without any mount, and with all capabilities, it keeps the list, devices and the mounts themselves."""
    if landlock.version() < 3:
        pytest.skip("this kernel's landlock knows no truncation")
    found = here(LANDLOCKED, place, "list").splitlines()
    assert found == [
        "inside done",
        "outside Permission denied",
        "truncate Permission denied",
        "across Permission denied",
        "device Permission denied",
        "mount Operation not permitted",
    ]
    free = dict(line.split(" ", 1) for line in here(LANDLOCKED, place, "all").splitlines())
    assert [free[name] for name in ("outside", "across", "device", "mount")] == [
        "done",
        "done",
        "Permission denied",
        "Operation not permitted",
    ]


FILTERED = """
import ctypes, os, sys
from elevate.host import kernel, seccomp
libc = ctypes.CDLL(None, use_errno=True)
handle, mount = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder) + bytes(132)), ctypes.c_int()
assert libc.name_to_handle_at(-100, sys.argv[1].encode(), handle, ctypes.byref(mount), 0) == 0
root = os.open("/srv", os.O_RDONLY)
def opened():
    return libc.open_by_handle_at(root, handle, os.O_RDWR) >= 0
def ring():
    return libc.syscall(425, 1, ctypes.create_string_buffer(120)), ctypes.get_errno()
before = opened(), ring()[0] >= 0
if sys.argv[2] == "filter":
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install()
print(before, opened(), ring())
"""


def test_filter_alone(place: Path) -> None:
    """With all capabilities no file is opened by handle, and no ring makes sockets past the filter."""
    if not seccomp.known():
        pytest.skip("no filter is known for this machine")
    before, after = here(FILTERED, place / "file", "filter"), here(FILTERED, place / "file", "none")
    if "(True," not in after:
        pytest.skip("files are not opened by handle here")
    assert before.rstrip().endswith(") False (-1, 38)"), before
    assert ") True (" in after


UNFILTERED_ARCHITECTURE = """
import ctypes, mmap, signal, sys
from elevate.host import kernel, seccomp
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install()
print("installed", flush=True)
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid of i386); int 0x80; ret
ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
print("called")
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the code is this machine's")
def test_calls_of_another_architecture_end_the_process() -> None:
    """The filter does not know their numbers."""
    assert here(UNFILTERED_ARCHITECTURE) == "installed\n"


CHANGED_EACH = """
import os, sys
from elevate.host import kernel, mounts
place = sys.argv[1]
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
kernel.mount("x", place + "/sub", "tmpfs", kernel.MS_NOEXEC)
mounts._MOUNT_SETATTR = int(sys.argv[2])
mounts.cover_read_only(place)
for below in (place, place + "/sub"):
    flags = os.statvfs(below).f_flag
    print(bool(flags & os.ST_RDONLY), bool(flags & os.ST_NODEV), bool(flags & os.ST_NOEXEC))
root = os.open("/", os.O_PATH)
mounts.change(root, mounts.READ_ONLY)
print(bool(os.statvfs("/").f_flag & os.ST_RDONLY), bool(os.statvfs(place + "/sub").f_flag & os.ST_NOEXEC))
"""


@pytest.mark.parametrize("call", ["442", "100000"])
def test_flags_of_a_tree_on_any_kernel(place: Path, call: str) -> None:
    """At once, or, where the kernel has no such call, one mount after the other: the same comes out."""
    assert here(CHANGED_EACH, place, call).splitlines() == ["True True False", "True True True", "True True"]


LED_ELSEWHERE = """
import os, sys
from elevate.host import kernel, mounts
place = sys.argv[1]
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
for name in ("one", "two"):
    os.makedirs(f"{place}/{name}/in")
kernel.mount("x", f"{place}/two/in", "tmpfs", 0)
looked = mounts._mounts_of
def raced(top):
    found = looked(top)
    os.rename(f"{place}/one", f"{place}/away")
    os.rename(f"{place}/two", f"{place}/one")
    return found
mounts._mounts_of = raced
mounts._MOUNT_SETATTR = 100000
try:
    mounts.cover_read_only(f"{place}/one/in")
    print("covered")
except BlockingIOError as error:
    print(error.strerror)
"""


def test_mount_that_a_path_no_longer_leads_to_is_not_taken_for_read_only(place: Path) -> None:
    """On a kernel without flags for a whole tree, paths are used: whoever moves the folder above meanwhile stops the task."""
    assert here(LED_ELSEWHERE, place) == "the mount did not become read-only\n"
