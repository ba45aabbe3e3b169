"""What it costs to start a task through the launcher, beside a bare fork and exec of the same program."""

import os
import subprocess
import tempfile
import time

from elevate.host.launcher import Jail, Launcher, Order
from tests.bench.figure import Figure, median

RUNS = 60
TRUE = Order(argv=("/bin/true",), env={})


def _bare() -> float:
    start = time.perf_counter()
    subprocess.run(["/bin/true"], check=True)
    return (time.perf_counter() - start) * 1000


def _started(launcher: Launcher, order: Order) -> float:
    time.sleep(0.002)  # one request does not follow the other at once: the pool is warm
    start = time.perf_counter()
    launched = launcher.launch(order)
    took = time.perf_counter() - start
    launched.wait()
    return took * 1000


def _whole(launcher: Launcher, order: Order) -> float:
    time.sleep(0.002)
    start = time.perf_counter()
    launcher.launch(order).wait()
    return (time.perf_counter() - start) * 1000


def start_warm() -> Figure:
    """From the order to the running program."""
    with Launcher() as launcher:
        value = median(lambda: _started(launcher, TRUE), runs=RUNS)
    return Figure(
        name="launcher_start", value=value, unit="ms", peer="fork, exec and wait", peer_value=median(_bare, runs=RUNS)
    )


def _gone(launcher: Launcher, order: Order) -> float:
    prepared = launcher.prepare(order)
    time.sleep(0.02)  # what is made beside the commits
    start = time.perf_counter()
    launched = prepared.go()
    took = time.perf_counter() - start
    launched.wait()
    return took * 1000


def go() -> Figure:
    """From the byte that lets a prepared task go to the running program."""
    with Launcher() as launcher:
        value = median(lambda: _gone(launcher, TRUE), runs=RUNS)
    return Figure(name="launcher_go", value=value, unit="ms", peer="fork, exec and wait", peer_value=median(_bare, runs=RUNS))


def start_and_wait() -> Figure:
    """From the order to the report that nothing is left."""
    with Launcher() as launcher:
        value = median(lambda: _whole(launcher, TRUE), runs=RUNS)
    return Figure(
        name="launcher_whole", value=value, unit="ms", peer="fork, exec and wait", peer_value=median(_bare, runs=RUNS)
    )


def start_and_wait_jailed() -> Figure:
    """The same with namespaces, mounts, cgroup, user and capabilities; without root the plain one."""
    with Launcher() as launcher, tempfile.TemporaryDirectory(dir="/var/lib" if os.geteuid() == 0 else None) as home:
        jail = Jail(uid=65_534, gid=65_534, home=home) if os.geteuid() == 0 else None
        order = Order(argv=("/bin/true",), env={}, jail=jail)
        value = median(lambda: _whole(launcher, order), runs=RUNS)
    return Figure(
        name="launcher_jailed", value=value, unit="ms", peer="fork, exec and wait", peer_value=median(_bare, runs=RUNS)
    )


FIGURES = {
    "launcher_go": go,
    "launcher_start": start_warm,
    "launcher_whole": start_and_wait,
    "launcher_jailed": start_and_wait_jailed,
}
