"""Host linux on the machine that runs the tests, with a user of the tests' own who has no rights."""

import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from elevate.host.launcher import Launcher
from elevate.host.linux import LinuxHost
from elevate.model import Obligations
from elevate.testing import ManualClock, SeededEntropy
from tests.unit.host.emulating import Acting, requester_of

_NUMBERS = itertools.count()


@dataclass
class Linux(Acting[LinuxHost]):
    """The machine, and the unprivileged user who asks.

    Attributes:
        place: A folder that this user owns and everybody may enter; not below /tmp.
    """

    place: Path = Path("/")

    def demanding(self, **extra: str | bool | tuple[str, ...]) -> "Linux":
        """Give the same with a decision's obligations."""
        obligations = Obligations(extra=tuple(sorted(extra.items())))
        return Linux(self.host, self.requester, self.sessions, obligations, self.place)

    @property
    def uid(self) -> int:
        """The user's number."""
        return self.requester.process.uid

    def as_attacker(self, argv: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
        """Run something as the user, with the user's rights only; give both outputs."""
        done = subprocess.run(
            argv,
            env=dict(env or {"PATH": "/usr/bin:/bin"}),
            cwd=cwd or self.place,
            user=self.uid,
            group=self.uid_group,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        return done.stdout + done.stderr

    @property
    def uid_group(self) -> int:
        """The user's own group."""
        return pwd.getpwuid(self.uid).pw_gid


@cache
def _namespaces() -> bool:
    argv = ["/usr/bin/unshare", "--mount", "--ipc", "--pid", "--fork", "--mount-proc", "/bin/true"]
    return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode == 0


@contextmanager
def a_user() -> Iterator[pwd.struct_passwd]:
    """Make a user of the tests' own; skip where that can't be done."""
    if os.geteuid() != 0 or not Path("/usr/sbin/useradd").exists():
        pytest.skip("needs root and useradd")
    if not _namespaces():
        pytest.skip("this machine gives root no namespaces")
    name = f"elev-t{os.getpid()}-{next(_NUMBERS)}"
    subprocess.run(["/usr/sbin/useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["/usr/sbin/userdel", "--force", name], check=False, capture_output=True)


@contextmanager
def acting(folder: Path, launcher: Launcher, user: pwd.struct_passwd) -> Iterator[Linux]:
    """Open host linux; its account, folders and places are gone afterwards."""
    homes = Path(f"/var/lib/elevate-admin-{user.pw_name}")
    place = Path(f"/srv/elevate-{user.pw_name}")
    place.mkdir(parents=True)
    os.chown(place, user.pw_uid, user.pw_gid)
    host = LinuxHost.create(folder, launcher=launcher, clock=ManualClock(), entropy=SeededEntropy(), homes=homes)
    try:
        yield Linux(host, requester_of(host, user.pw_uid), place=place)
    finally:
        for pair in host.accounts.pairs():
            host.accounts.remove(pair.user)
        host.close()
        shutil.rmtree(homes)
        shutil.rmtree(place)
