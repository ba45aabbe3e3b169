"""What elevation adds to one step of an installer, through the library and a daemon, apart from the person."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from elevate.library import Connection
from elevate.tasks import Task
from tests.bench.figure import Figure, median
from tests.e2e.daemon import Daemon

RUNS = 41
STEPS = 8
STEP = ("/bin/cp", "/etc/services", "/dev/null")


def installer_step() -> Figure:
    """Copy a file as a step: elevated, less the same step alone."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon, daemon.connect() as broker:
        median(lambda: _elevated(broker), runs=5)
        whole = median(lambda: _elevated(broker), runs=RUNS)
    own = median(_alone, runs=RUNS)
    return Figure(name="installer_step", value=whole - own, unit="ms", peer="the step alone", peer_value=own)


def installer_steps() -> Figure:
    """The same with many steps under one token: what each of them costs, less the same step alone."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon, daemon.connect() as broker:
        median(lambda: _in_steps(broker), runs=3)
        whole = median(lambda: _in_steps(broker), runs=RUNS // 4)
    own = median(_alone, runs=RUNS)
    return Figure(name="installer_steps", value=whole - own, unit="ms", peer="the step alone", peer_value=own)


def _in_steps(broker: Connection) -> float:
    start = time.perf_counter()
    with broker.elevate([Task.run(STEP)] * STEPS, interactive=False) as grant:
        assert grant.run(capture=True).exit_status == 0
    return (time.perf_counter() - start) * 1000 / STEPS


def _elevated(broker: Connection) -> float:
    start = time.perf_counter()
    with broker.elevate(Task.run(STEP), interactive=False) as grant:
        assert grant.run(capture=True).exit_status == 0
    return (time.perf_counter() - start) * 1000


def _alone() -> float:
    start = time.perf_counter()
    subprocess.run(STEP, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


FIGURES: Mapping[str, Callable[[], Figure]] = {"installer_step": installer_step, "installer_steps": installer_steps}
