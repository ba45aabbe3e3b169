"""Trusted signals: something near the machine that says a person is there, as a paired phone does.

It proves nobody's identity; it can be the second of two factors, and a prompt ends when it is lost (Windows: dynamic lock).
Source: hello.md rows 28 and 41.
"""

import os
import select
from typing import Protocol, Self

from elevate.ports import Cancel


class TrustedSignal(Protocol):
    """Something near."""

    def present(self) -> bool:
        """Say whether it is near now."""

    def fileno(self) -> int:
        """Give a descriptor that turns readable when it is lost."""


class ScriptedSignal:
    """A signal for machines without one; near until a test takes it away."""

    def __init__(self, *, near: bool = True) -> None:
        self._near = near
        self._lost = os.eventfd(0 if near else 1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def __del__(self) -> None:
        os.close(self._lost)

    def lose(self) -> None:
        """Take it away."""
        self._near = False
        os.eventfd_write(self._lost, 1)

    def present(self) -> bool:
        """Say whether it is near now."""
        return self._near

    def fileno(self) -> int:
        """Give a descriptor that turns readable when it is lost."""
        return self._lost


class WhileNear:
    """A `Cancel` that fires when the caller leaves or the signal is lost; a context, and once only."""

    def __init__(self, cancel: Cancel, signal: TrustedSignal | None) -> None:
        self._cancel, self._signal = cancel, signal
        self._both = select.epoll()
        for one in (cancel, signal):
            if one is not None and one.fileno() >= 0:
                self._both.register(one.fileno(), select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._both.close()

    def cancelled(self) -> bool:
        """Say whether to stop."""
        return self._cancel.cancelled() or (self._signal is not None and not self._signal.present())

    def fileno(self) -> int:
        """Give a descriptor that turns readable when to stop."""
        return self._both.fileno()
