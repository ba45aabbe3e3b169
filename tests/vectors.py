"""Where the published test vectors lie; tests that need them skip where they are absent."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared" / "vectors"


def vectors(name: str) -> Path:
    """Give the path of one vector file, or skip the test."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"published vectors {name} are not beside the project")
    return path
