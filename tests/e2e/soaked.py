"""Many elevations in a row by an ordinary user against root's daemon: ``python -m tests.e2e.soaked COUNT``.

It prints, as JSON, what there was before and after: descriptors of the daemon, processes, cgroups, mounts, files and accounts;
and by how many bytes memory and ledger grew with each elevation, by the line of least squares through the second half.
"""

import json
import os
import pwd
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from elevate.host.watch import descendants
from elevate.library import Connection, connect
from elevate.tasks import Task
from tests.bench.scenes import resident
from tests.stage import Stage

RULES = """
format = 1

[[rule]]
id = "programs"
effect = "allow"
task = { kind = "process.run", path = ["/usr/bin/true", "/usr/bin/tee"] }
then = { prompt = "credential" }
why = "What is done again and again."
"""
WARM = 40
PARTS = 20
"""So often the memory is looked at."""
STILL = 6
"""So many looks in a row see the same before it counts."""
BY_COMMAND = 20
"""One in so many is asked for by a new process of ``elevate run``."""


def elevations(stage: Stage, count: int) -> None:
    """Ask so often, as the user: most over one connection, some by the command."""

    def all_of_them() -> dict[str, Any]:
        with connect() as broker:
            for number in range(count):
                by_command(stage.elevate) if number % BY_COMMAND == 0 else by_library(broker)
        return {}

    stage.as_user(all_of_them)


def by_library(broker: Connection) -> None:
    """Elevate once over an open connection."""
    with broker.elevate(Task.run(["true"]), interactive=False) as grant:
        assert grant.run(capture=True).exit_status == 0


def by_command(elevate: str) -> None:
    """Elevate once by a process of its own, with an input and an output."""
    done = subprocess.run([elevate, "run", "--", "tee"], input=b"x", capture_output=True, check=False, cwd="/")
    assert (done.returncode, done.stdout) == (0, b"x"), done.stderr


def settle(pid: int) -> None:
    """Wait until the launchers that wait are all there again, and those that were used are gone."""
    seen: list[int] = []
    for _ in range(200):
        seen.append(len(descendants(pid)))
        if len(seen) > STILL and len(set(seen[-STILL:])) == 1:
            return
        time.sleep(0.1)


def counted(stage: Stage) -> dict[str, Any]:
    """Say what there is now."""
    assert stage.daemon is not None
    pid = stage.daemon.pid
    settle(pid)
    places = [stage.home.folder, Path("/run/elevate"), Path("/var/lib/elevate-admin")]
    return {
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "processes": len(descendants(pid)),
        "cgroups": len([path for path in stage.cgroup.glob("*") if path.is_dir()]),
        "mounts": Path(f"/proc/{pid}/mountinfo").read_text() == Path("/proc/self/mountinfo").read_text(),
        "mounted": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "files": sorted(str(path) for place in places for path in place.rglob("*")),
        "accounts": sorted(entry.pw_name for entry in pwd.getpwall() if entry.pw_name.startswith("ADMIN_")),
    }


def size_of_ledger(stage: Stage) -> int:
    """Give the bytes of the ledger's files."""
    return sum(path.stat().st_size for path in stage.home.folder.glob("ledger.sqlite*"))


def memory(stage: Stage) -> dict[str, float]:
    """Give the resident memory of the daemon and of the program that forks launchers, in MB."""
    assert stage.daemon is not None
    program = min(descendants(stage.daemon.pid))
    return {"daemon": resident(stage.daemon.pid, "VmRSS"), "program": resident(program, "VmRSS")}


def slope(points: list[tuple[int, float]]) -> float:
    """Give the growth in bytes for each elevation, by least squares over the second half."""
    half = points[len(points) // 2 :]
    return statistics.linear_regression([at for at, _ in half], [size * 2**20 for _, size in half]).slope


def soak(stage: Stage, count: int) -> dict[str, Any]:
    """Do it, and look before, meanwhile and afterwards."""
    stage.start()
    elevations(stage, WARM)
    before, begun = counted(stage), time.monotonic()
    points: dict[str, list[tuple[int, float]]] = {"daemon": [], "program": []}
    ledger: list[tuple[int, float]] = []
    for part in range(1, PARTS + 1):
        elevations(stage, count // PARTS)
        for name, size in memory(stage).items():
            points[name].append((part * (count // PARTS), size))
        ledger.append((part * (count // PARTS), size_of_ledger(stage) / 2**20))
    seconds = time.monotonic() - begun
    after = counted(stage)
    status = stage.stop()
    ours = {"1", str(os.getpid())}
    others = [path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit() and path.name not in ours]
    return {
        "count": count,
        "per_second": count / seconds,
        "before": before,
        "after": after,
        "slopes": {name: slope(found) for name, found in points.items()} | {"ledger": slope(ledger)},
        "memory": {name: found[-1][1] for name, found in points.items()},
        "status": status,
        "left": [words for path in others if (words := path.read_text())],  # the dead have none
        "cgroups_left": len([path for path in stage.cgroup.glob("*") if path.is_dir()]),
    }


def main(count: int) -> None:
    """Soak in a stage."""
    with Stage(RULES) as stage:
        os.chdir("/")
        told = soak(stage, count)
    print(json.dumps(told))  # noqa: T201 - what a program of the tests says


if __name__ == "__main__":
    main(int(sys.argv[1]))
