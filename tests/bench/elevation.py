"""One whole elevation with the face gesture, embedded: milliseconds beyond the task's own run time."""

import subprocess
import time
from collections.abc import Callable, Mapping

from elevate.broker import Broker
from elevate.tasks import Task
from tests.bench.figure import Figure, median

PROGRAM = "/bin/true"
RUNS = 41


def elevation_embedded() -> Figure:
    """Ask, prove, sign, redeem, run `true`, destroy; less what starting `true` costs by itself."""
    with Broker.embedded() as broker:

        def elevate_once() -> float:
            start = time.perf_counter()
            broker.elevate(Task.run([PROGRAM])).run(capture=True)
            return (time.perf_counter() - start) * 1000

        median(elevate_once, runs=5)
        whole = median(elevate_once, runs=RUNS)
    own = median(_run_once, runs=RUNS)
    return Figure(name="elevation_embedded", value=whole - own, unit="ms", peer="the task alone", peer_value=own)


def _run_once() -> float:
    start = time.perf_counter()
    subprocess.run([PROGRAM], check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


FIGURES: Mapping[str, Callable[[], Figure]] = {"elevation_embedded": elevation_embedded}
