"""Whether the wall clock is synchronised is the kernel's word."""

import ctypes

import pytest

from elevate.broker.system import SystemClock
from elevate.host import timex
from elevate.ports import Sync


def test_the_kernel_says_whether_the_clock_is_set() -> None:
    """A bound of its error comes with it, of 16 s at most before the kernel gives up."""
    told = SystemClock().sync()
    assert told.state in {"synchronised", "unsynchronised"} or told == Sync()
    assert told.error_us <= 16_000_000


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (0, 0, Sync(state="synchronised", error_us=2_345)),
        (5, timex.STA_UNSYNC, Sync(state="unsynchronised", error_us=2_345)),
        (-1, 0, Sync()),
    ],
)
def test_what_the_kernel_answers_is_read(monkeypatch: pytest.MonkeyPatch, answer: int, status: int, told: Sync) -> None:
    """A refusal leaves it unknown."""

    class Kernel:
        """Answers as adjtimex(2) does, in the structure that it is given."""

        def __init__(self, _name: None) -> None:
            pass

        def adjtimex(self, given: object) -> int:
            found = ctypes.cast(given, ctypes.POINTER(timex._Timex)).contents  # type: ignore[arg-type]  # what byref gives
            assert found.modes == 0
            found.status, found.maxerror = status, 2_345
            return answer

    monkeypatch.setattr(ctypes, "CDLL", Kernel)
    assert timex.read_sync() == told


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_long) != 8, reason="numbers of 64 bits stand elsewhere than of 32")
def test_the_structure_is_the_kernels() -> None:
    """Members stand where linux/timex.h has them, and there is room for all 208 bytes."""
    assert (timex._Timex.maxerror.offset, timex._Timex.status.offset) == (24, 40)
    assert ctypes.sizeof(timex._Timex) >= 208
