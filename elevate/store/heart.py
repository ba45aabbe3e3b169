"""A heartbeat in the log, so that silence means something: an entry every five minutes with how the clocks stand.

Between two beats wall clock and monotonic clock should have gone the same way; where they have not, somebody has set the clock,
and the entry says by how much, and whether the kernel calls the clock synchronised; where that changes, an entry says so within
half a minute. Each beat also signs a checkpoint, so that no entry stays unsigned for long.
"""

import threading
from types import TracebackType
from typing import Self

from elevate.audit import body
from elevate.errors import ElevateError
from elevate.ports import Clock, Draft, Instant, Store, Sync

BEAT_SECONDS = 300
LOOK_SECONDS = 30
"""How soon it is seen that nobody sets the wall clock any more."""


class Heart:
    """Beats while it is open.

    Args:
        store: Where the entries go.
        clock: Read at each beat.
        seconds: Between two beats.
    """

    def __init__(self, store: Store, clock: Clock, *, seconds: float = BEAT_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._seconds = seconds
        self._stop = threading.Event()
        self._before: Instant | None = None
        self._sync = ""
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self._before, self._sync = self._clock.read(), self._clock.sync().state
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop; a beat that is on its way is finished."""
        self._stop.set()
        self._thread.join()

    def beat(self) -> int:
        """Write one entry and sign a checkpoint; give the entry's position."""
        position = self._write("heartbeat", self._clock.sync())
        self._store.checkpoint()
        return position

    def look(self) -> None:
        """Write an entry where the wall clock is set by others now and was not before, or the other way round."""
        sync = self._clock.sync()
        if sync.state != self._sync:
            self._write("clock-changed", sync)

    def _write(self, event: str, sync: Sync) -> int:
        now, before = self._clock.read(), self._before
        drift = (now.unix_us - before.unix_us) - (now.mono_ns - before.mono_ns) // 1000 if before else 0
        position = self._store.append(Draft(event=event, request="", at=now, body=body.clock(drift, sync)))
        self._before, self._sync = now, sync.state
        return position

    def _run(self) -> None:
        left = self._seconds
        while not self._stop.wait(step := min(left, LOOK_SECONDS)):
            left = left - step or self._seconds
            try:
                if left == self._seconds:
                    self.beat()
                else:
                    self.look()
            except ElevateError:
                continue  # A full disk refuses grants by itself; the gap in the beats shows in the report.
