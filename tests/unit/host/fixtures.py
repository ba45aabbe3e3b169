import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.host.launcher import Launcher
from tests.unit.host.acting import Linux, a_user, acting
from tests.unit.host.emulating import Emulated, emulated


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        if launcher._base:  # of its own, so that what else runs on this machine is not counted
            launcher._base += f"-tests-{os.getpid()}"
        yield launcher
    with contextlib.suppress(OSError):
        Path(launcher._base).rmdir()


@pytest.fixture
def machine(tmp_path: Path, launcher: Launcher) -> Iterator[Emulated]:
    with emulated(tmp_path / "machine", launcher) as machine:
        yield machine


@pytest.fixture(scope="session")
def linux(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher) -> Iterator[Linux]:
    with a_user() as user, acting(tmp_path_factory.mktemp("linux") / "host", launcher, user) as linux:
        yield linux
