"""What a task keeps of the broker's own limits."""

from pathlib import Path

import pytest

from elevate.host import limits


@pytest.mark.parametrize(("broker", "task"), [("-500\n", "0"), ("-1\n", "0"), ("0\n", "0\n"), ("300\n", "300\n")])
def test_protection_from_the_kernels_choice_is_lost(tmp_path: Path, broker: str, task: str) -> None:
    """What the service's unit gives the broker is not the task's; what makes it more likely stays."""
    path = tmp_path / "oom_score_adj"
    path.write_text(broker)
    limits.lose_protection(str(path))
    assert path.read_text() == task
