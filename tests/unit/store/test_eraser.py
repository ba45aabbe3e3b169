"""How much an erasure does in one step, so that an elevation waits for little."""

import pytest

from elevate.store.eraser import LONG_SECONDS, SHORT_SECONDS, STEP_PAGES, _Pace


@pytest.mark.parametrize(
    ("seconds", "pages", "count"),
    [
        (0.0, 0, 128),
        (0.0, STEP_PAGES // 2 - 1, 128),
        (0.0, STEP_PAGES // 2, 64),
        (0.0, STEP_PAGES, 64),
        (0.0, STEP_PAGES + 1, 32),
        (SHORT_SECONDS, 0, 64),
        (LONG_SECONDS, 0, 64),
        (LONG_SECONDS * 2, 0, 32),
    ],
)
def test_a_step_that_takes_long_or_writes_much_is_followed_by_a_smaller_one(seconds: float, pages: int, count: int) -> None:
    """What it writes is synced in its commit, which no clock inside of the step sees."""
    pace = _Pace(8, 1024)
    for _ in range(3):
        pace.tell(0.0, 0)
    assert pace.count == 64
    pace.tell(seconds, pages)
    assert pace.count == count


def test_a_step_stays_within_its_bounds() -> None:
    """However fast or slow the disk is."""
    pace = _Pace(8, 64)
    for _ in range(9):
        pace.tell(0.0, 0)
    assert pace.count == 64
    for _ in range(9):
        pace.tell(1.0, 10_000)
    assert pace.count == 8
