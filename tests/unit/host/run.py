"""How tests start something through a launcher and see what it said."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elevate.host.launcher import Launcher, Order, Report

PATH = {"PATH": "/usr/bin:/bin"}


def run(launcher: Launcher, script: str, *, env: Mapping[str, str] = PATH, **order: Any) -> tuple[Report, str]:  # noqa: ANN401
    """Run a shell script; give the report and its standard output."""
    return run_argv(launcher, ("/bin/sh", "-c", script), env=env, **order)


def run_argv(launcher: Launcher, argv: tuple[str, ...], **order: Any) -> tuple[Report, str]:  # noqa: ANN401
    """Run a command; give the report and its standard output."""
    read, write = os.pipe()
    try:
        launched = launcher.launch(Order(argv=argv, fds={1: write} | order.pop("fds", {}), **{"env": {}} | order))
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    with os.fdopen(read, "rb") as stream:
        text = stream.read().decode()
    return launched.wait(), text


def alive(pid: int) -> bool:
    """Say whether a process is there and not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in {b"Z", b"X"}
