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
_ENTER = 'mount -t tmpfs tmpfs /run && mkdir -p -m 700 /run/user/0 && mount --bind "$0" /etc/passwd && exec "$@"'


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
    users = folder / "passwd"
    users.write_text(f"root:x:0:0:root:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    return [*_unshare(), "/bin/sh", "-c", _ENTER, str(users), *argv]


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
