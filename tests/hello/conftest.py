from pathlib import Path

import pytest

from tests.hello.parts import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nobody enrolled."""
    return Machine(tmp_path / "hello")
