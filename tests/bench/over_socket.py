"""Over the socket: a whole elevation by the library, and what ``elevate run`` costs to start."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from elevate.library import Connection
from elevate.tasks import Task
from tests.bench.figure import Figure, median
from tests.e2e.daemon import ROOT, Daemon

PROGRAM = "/bin/true"
RUNS = 41


def elevation_socket() -> Figure:
    """Ask, prove, sign, redeem, run `true`, destroy, by a daemon; less what starting `true` costs by itself."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon, daemon.connect() as broker:
        median(lambda: _elevate(broker), runs=5)
        whole = median(lambda: _elevate(broker), runs=RUNS)
    own = median(lambda: _start([PROGRAM]), runs=RUNS)
    return Figure(name="elevation_socket", value=whole - own, unit="ms", peer="the task alone", peer_value=own)


def run_start() -> Figure:
    """What the thin client costs before it asks: from fork to its first byte on the socket, against a bare interpreter."""
    load = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import elevate.client"
    ours = median(lambda: _start([sys.executable, "-I", "-S", "-c", load]), runs=RUNS)
    bare = median(lambda: _start([sys.executable, "-I", "-S", "-c", "pass"]), runs=RUNS)
    return Figure(name="run_start", value=ours, unit="ms", peer="python -I -S -c pass", peer_value=bare)


def run_whole() -> Figure:
    """``elevate run -- true`` from fork to exit, scripted face gesture, against `true` alone."""
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder)) as daemon:
        argv = daemon.argv(PROGRAM)
        median(lambda: _start(argv), runs=5)
        whole = median(lambda: _start(argv), runs=RUNS)
    own = median(lambda: _start([PROGRAM]), runs=RUNS)
    return Figure(name="run_whole", value=whole, unit="ms", peer="the task alone", peer_value=own)


def _elevate(broker: Connection) -> float:
    start = time.perf_counter()
    with broker.elevate(Task.run([PROGRAM]), interactive=False) as grant:
        grant.run(capture=True)
    return (time.perf_counter() - start) * 1000


def _start(argv: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "elevation_socket": elevation_socket,
    "run_start": run_start,
    "run_whole": run_whole,
}
