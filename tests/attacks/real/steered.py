"""The true daemon's door with a machine's clock that a test moves.

The file ``clock`` beside the state says how many seconds are added to the wall clock and to the monotonic one.
"""

import sys
from pathlib import Path

from elevate.broker.system import SystemClock
from elevate.ports import Instant
from elevate.server.main import main as serve


def main(words: list[str]) -> int:
    """Serve."""
    steps = Path(words[words.index("--state") + 1]).with_name("clock")
    read = SystemClock.read
    last = [0.0, 0.0]

    def stepped(self: SystemClock) -> Instant:
        now = read(self)
        try:
            # It is empty for a moment while it is written anew; the last word counts until then.
            last[:] = [float(word) for word in steps.read_text().split()] or last
        except FileNotFoundError:
            last[:] = 0.0, 0.0
        wall, mono = last
        return Instant(unix_us=now.unix_us + int(wall * 1e6), mono_ns=now.mono_ns + int(mono * 1e9))

    SystemClock.read = stepped  # type: ignore[method-assign]  # the kernel's own clock is everybody's
    return serve(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
