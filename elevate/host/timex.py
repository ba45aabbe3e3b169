"""Whether the wall clock is synchronised: what the kernel's clock discipline was told by chronyd, ntpd, timesyncd or ptp4l.

Source: adjtimex(2); ``struct timex`` of linux/timex.h.
"""

import ctypes

from elevate.ports import Sync

STA_UNSYNC = 0x40
_long = ctypes.c_long


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", _long),
        ("freq", _long),
        ("maxerror", _long),
        ("esterror", _long),
        ("status", ctypes.c_int),
        ("rest", _long * 32),
    )
    """The rest is not read; there is more room than any kernel fills."""


def read_sync() -> Sync:
    """Ask the kernel; that changes nothing and takes no right, but a sandbox may refuse it."""
    told = _Timex(modes=0)
    if ctypes.CDLL(None).adjtimex(ctypes.byref(told)) < 0:
        return Sync()
    state = "unsynchronised" if told.status & STA_UNSYNC else "synchronised"
    return Sync(state=state, error_us=max(told.maxerror, 0))
