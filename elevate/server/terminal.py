"""The person's terminal, put right where the client could not: it was killed while its keys went to the task.

The terminal came with the call, for the prompt. It is touched only where it is still as the client left it: a shell that has
taken it over has set it as it likes.
"""

import contextlib
import termios
from collections.abc import Callable, Iterator
from typing import TypeAlias

from elevate.interactive import raw

_FLAGS = 4


Mode: TypeAlias = list[int | list[bytes | int]]


def mode_of(terminal: int) -> Mode | None:
    """Give the mode of a terminal, before any prompt has it; None where it has gone."""
    try:
        return termios.tcgetattr(terminal)
    except termios.error:
        return None


@contextlib.contextmanager
def tidied(terminal: int | None, before: Mode | None, *, left: Callable[[], bool]) -> Iterator[None]:
    """See to it that a terminal is as it was before, where the client has gone meanwhile."""
    try:
        yield
    finally:
        if terminal is not None and before is not None and left():
            with contextlib.suppress(termios.error):
                # The flags only: what stands for two of the keys depends on them.
                if termios.tcgetattr(terminal)[:_FLAGS] == raw(before)[:_FLAGS]:
                    termios.tcsetattr(terminal, termios.TCSANOW, before)
