"""Debian's systemd, started for a test: the first process of namespaces of its own, over this machine's files.

What is written goes to memory, over the machine's disk; /run, /dev and the network are new, and so are host name and cgroups.
It starts one service, a program of the tests, and ends with it. All is gone when the first process ends.
"""

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from elevate.host import cgroups
from tests import stage

SYSTEMD = Path("/usr/lib/systemd/systemd")
SERVICE = "elevate-test.service"
OUT = "/run/elevate-test"
BOOT_SECONDS, WHOLE_SECONDS = 60, 240
_APART = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--net", "--propagation", "private", "--fork", "--kill-child")
_JOIN = 'echo 0 > "$0/cgroup.procs" && exec "$@"'
_NODES = "null zero full random urandom tty"
# What a container's manager makes ready for systemd: an own cgroup tree that can be written, /sys and /proc/sys that can't, a
# console. No other service of this machine's is started, and nothing of /tmp is cleared away.
_READY = """
set -e
work=$1 console=$2
mount -t tmpfs -o mode=755 tmpfs "$work/room"
mkdir "$work/room/upper" "$work/room/work" "$work/room/root"
mount -t overlay -o "lowerdir=/,upperdir=$work/room/upper,workdir=$work/room/work" overlay "$work/room/root"
root=$work/room/root
mount -t proc proc "$root/proc"
mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in $3 console; do : > "$root/dev/$node"; done
for node in $3; do mount --bind "/dev/$node" "$root/dev/$node"; done
mount --bind "$console" "$root/dev/console"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root$4"
mount --bind "$work/out" "$root$4"
rm -rf "$root/etc/systemd/system" "$root/etc/fstab"
mkdir -p "$root/etc/systemd/system"
cp "$work/unit" "$root/etc/systemd/system/$5"
for unit in systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-sysctl systemd-udevd systemd-binfmt; do
    ln -s /dev/null "$root/etc/systemd/system/$unit.service"
done
shift 5
for place in "$@"; do mount --rbind "$place" "$root$place"; done
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=elevate-test SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info SYSTEMD_COLORS=0 \\
    "$SYSTEMD" --system --unit="$UNIT" </dev/null >/dev/null 2>&1
"""
_UNIT = """\
[Unit]
DefaultDependencies=no
Requires=sysinit.target dbus.socket
After=sysinit.target dbus.socket
SuccessAction=exit-force
FailureAction=exit-force

[Service]
Type=oneshot
ExecStart={python} -m {module}
WorkingDirectory={root}
Environment=PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1
StandardOutput=file:{out}/told
StandardError=file:{out}/errors
"""


def play(module: str) -> dict[str, Any]:
    """Boot, run ``python -m module`` as a service of root's, and give the JSON of its last line; skip where it can't boot."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="elevate-boot-") as folder, _cgroup() as cgroup:
        work = Path(folder)
        (work / "room").mkdir()
        (work / "out").mkdir()
        (work / "unit").write_text(_UNIT.format(python=sys.executable, module=module, root=stage.ROOT, out=OUT))
        console, done = _boot(work, cgroup)
        told, errors = work / "out/told", work / "out/errors"
        if not told.exists():
            pytest.skip(f"systemd does not boot here: {(console + done)[-600:]}")
        assert told.read_text(), errors.read_text()[-4000:] + console[-2000:]
        answer: dict[str, Any] = json.loads(told.read_text().splitlines()[-1])
        return answer


def missing() -> str:
    """Say what this machine lacks; empty where it lacks nothing."""
    if reason := stage.missing():
        return reason
    if not SYSTEMD.exists() or not shutil.which("dbus-daemon"):
        return "needs Debian's systemd and dbus"
    return "" if _above() else "needs cgroups of version 2 that root can write"


def _above() -> Path | None:
    base = cgroups.base()
    above = Path(base).parent
    return above if base and (above / "cgroup.controllers").exists() else None


@contextmanager
def _cgroup() -> Iterator[Path]:
    """Give a cgroup that is systemd's whole tree."""
    above = _above()
    assert above is not None
    own = above / f"elevate-boot-{os.urandom(4).hex()}"
    own.mkdir()
    try:
        yield own
    finally:
        cgroups.end(str(own))


def _boot(work: Path, cgroup: Path) -> tuple[str, str]:
    """Boot, and wait until all has ended; give what systemd said on the console, and what was said before it."""
    master, slave = pty.openpty()
    said: list[bytes] = []
    reader = threading.Thread(target=_listen, args=(master, said))
    reader.start()
    words = [str(work), os.ttyname(slave), _NODES, OUT, SERVICE, *_elsewhere()]
    argv = ["/bin/sh", "-c", _JOIN, str(cgroup), "/usr/bin/unshare", *_APART, "/bin/sh", "-c", _READY, "ready", *words]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD": str(SYSTEMD), "UNIT": SERVICE}
    tree = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, text=True, cwd="/"
    )
    try:
        _, told = tree.communicate(timeout=WHOLE_SECONDS)
    except subprocess.TimeoutExpired:
        told = "it did not end in time"
    finally:
        tree.kill()
        tree.wait()
        cgroups.end(str(cgroup))
        os.close(slave)
        reader.join()
        os.close(master)
    return b"".join(said).decode(errors="replace"), told


def _listen(master: int, said: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # as a terminal ends
        while data := os.read(master, 65_536):
            said.append(data)


def _elsewhere() -> list[str]:
    """Give the folders that are needed and lie on other file systems than ``/``: an overlay does not show these."""
    device = Path("/").stat().st_dev
    wanted = (stage.ROOT, Path(sys.prefix), Path(sys.base_prefix))
    return [str(path) for path in dict.fromkeys(wanted) if path.stat().st_dev != device]
