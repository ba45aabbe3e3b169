"""A deliberately naive broker: what the attacks succeed against, so that each test can fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


def run(argv: list[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None, close_fds: bool = True) -> str:
    """Run with what the caller's surroundings give: environment, PATH, working directory."""
    found = shutil.which(argv[0], path=(env or os.environ).get("PATH")) or argv[0]
    done = subprocess.run(
        [found, *argv[1:]], env=env, cwd=cwd, close_fds=close_fds, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def check(path: Path) -> bytes:
    """Look at a file by its path, as a broker that opens twice does."""
    return path.read_bytes()


def owned_by_a_user(path: Path) -> Path:
    """Make a file an ordinary user's, also where the tests run as root."""
    if os.geteuid() == 0:
        os.chown(path, 65_534, 65_534)
    return path


def script(path: Path, text: str) -> Path:
    """Write an executable shell script of an ordinary user's."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return owned_by_a_user(path)
