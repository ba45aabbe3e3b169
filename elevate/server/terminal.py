"""The person's terminal, put right where the client could not: it was killed while its keys went to the task.

The terminal came with the call, for the prompt. It is touched only where it is still as the client left it: a shell that has
taken it over has set it as it likes.
"""

import contextlib
import termios
from collections.abc import Callable, Iterator

from elevate.interactive import raw

_FLAGS = 4


@contextlib.contextmanager
def tidied(terminal: int | None, *, left: Callable[[], bool]) -> Iterator[None]:
    """See to it that a terminal is as it was, where the client has gone meanwhile."""
    before = None
    if terminal is not None:
        with contextlib.suppress(termios.error):
            before = termios.tcgetattr(terminal)
    try:
        yield
    finally:
        if terminal is not None and before is not None and left():
            with contextlib.suppress(termios.error):
                # The flags only: what stands for two of the keys depends on them.
                if termios.tcgetattr(terminal)[:_FLAGS] == raw(before)[:_FLAGS]:
                    termios.tcsetattr(terminal, termios.TCSANOW, before)
