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


@pytest.mark.parametrize(
    ("pids", "threads", "most"),
    [(4_194_304, 2_000_000, 16_384), (32_768, 192_730, 4_096), (4_194_304, 7_800, 1_024), (0, 0, 1_024)],
)
def test_49_one_account_can_not_have_all_processes_of_the_service(tmp_path: Path, pids: int, threads: int, most: int) -> None:
    """The service has half of the machine's, whichever bound is lower; one account has a quarter of that."""
    paths = (str(tmp_path / "pids"), str(tmp_path / "threads"))
    for path, number in zip(paths, (pids, threads), strict=True):
        Path(path).write_text(f"{number}\n")
    assert limits.processes(paths) == most


def test_a_machine_that_tells_nothing_has_the_usual_bound(tmp_path: Path) -> None:
    """As one without these files."""
    assert limits.processes((str(tmp_path / "no"), str(tmp_path / "no"))) == 16_384
