"""A place of its own for the fixed paths: a mount namespace with an empty /run and a user database whose home is a test's.

So tests can use the command line as a person does, without a path to a socket, and touch nobody's real broker. What is started
there ends with it. It needs namespaces, as root or through a user namespace; where the machine gives none, tests skip.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

_APART = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")
# The whole of /etc is replaced, by links to what it was and a user database of our own: a mount over the one file would be
# undone in the middle of a test by whoever adds a user to the machine.
_ENTER = """
mount -t tmpfs tmpfs /run && mkdir -p -m 700 /run/user/0 /run/etc &&
mount --bind /etc /run/etc && mount --bind "$0" /etc && exec "$@"
"""


def inside(folder: Path, argv: Sequence[str]) -> list[str]:
    """Give a command line that runs ``argv`` in the private place, as a user who looks like uid 0 there.

    Args:
        folder: Becomes that user's world: ``home`` in it is home.
        argv: Command line.
    """
    if not _possible():
        pytest.skip("this machine gives no mount namespace")
    home = folder / "home"
    home.mkdir(exist_ok=True)
    home.chmod(0o700)
    return [*_unshare(), "/bin/sh", "-c", _ENTER, str(_etc(folder, home)), *argv]


def _etc(folder: Path, home: Path) -> Path:
    etc = folder / "etc"
    if not etc.exists():
        etc.mkdir()
        for entry in Path("/etc").iterdir():
            (etc / entry.name).symlink_to(f"/run/etc/{entry.name}")
        (etc / "passwd").unlink()
        (etc / "passwd").write_text(f"root:x:0:0:root:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    return etc


def _unshare() -> list[str]:
    mapped = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    return [shutil.which("unshare") or "unshare", *mapped, *_APART]


@cache
def _possible() -> bool:
    argv = [*_unshare(), "/bin/sh", "-c", "mount -t tmpfs tmpfs /run"]
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0
    except FileNotFoundError:
        return False
