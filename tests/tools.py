"""What many tests need: programs of Debian packages, without which they are skipped and say why, and patience."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE_SECONDS = 20.0


def tool(name: str, package: str) -> str:
    """Give the path of a program, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is missing: apt-get install {package}")
    return path


def run(*words: str | Path, cwd: Path | None = None) -> str:
    """Run a tool; give what it says."""
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait_for(ready: Callable[[], bool]) -> bool:
    """Look until something is so; False where it does not become so in time."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
