"""Copying a task's output to ours, live, with back-pressure: what is not written yet is not read further.

Part of the thin client; see `elevate.client`.
"""

import posix
import select

from elevate.late import errors
from elevate.wire import Wire

_CHUNK = 65_536
_PIPE_CHUNK = 4_096
_SETTLE_MS = 1_000


class Copy:
    """Copies the task's streams to ours until all have ended and the broker has told the outcome.

    Attributes:
        streams: Where each source goes; a source that ends is closed and taken out.
        inputs: Sources of ours that go to the task; the end does not wait for them.
        jobs: Where the task's stops are told, by their signals' numbers; -1 where it has no terminal.
    """

    def __init__(self, wire: Wire, streams: "dict[int, int]", inputs: "dict[int, int] | None" = None) -> None:
        self.wire = wire
        self.streams = streams
        self.inputs = inputs or {}
        self.jobs = -1
        self.waiting: dict[int, bytes] = {}
        self.outcome: "dict[str, object] | None" = None

    def run(self) -> "dict[str, object]":
        """Copy; give the outcome."""
        while self.outcome is None or self.streams:
            if self.outcome is None and self.wire.buffered:
                self._hear()
                continue
            quiet = self.outcome is not None and not self.waiting
            ready = dict(self._watched().poll(_SETTLE_MS if quiet else None))
            if not ready:
                break  # the tree has ended and nothing comes; whoever still holds the pipe is not ours to wait for
            if self.wire.alarm in ready:
                posix.read(self.wire.alarm, 64)
            self._move(ready)
        return self.outcome or {}

    def _watched(self) -> "select.poll":
        poll = select.poll()
        poll.register(self.wire.alarm, select.POLLIN)
        if self.jobs >= 0:
            poll.register(self.jobs, select.POLLIN)
        if self.outcome is None:
            poll.register(self.wire.socket.fileno(), select.POLLIN)
        wanted: dict[int, int] = {}
        for source, target in {**self.streams, **self.inputs}.items():
            fd, event = (target, select.POLLOUT) if source in self.waiting else (source, select.POLLIN)
            wanted[fd] = wanted.get(fd, 0) | event
        for fd, events in wanted.items():
            poll.register(fd, events)
        return poll

    def _move(self, ready: "dict[int, int]") -> None:
        """Move what can be moved without waiting. A terminal is both, source and target: each end has its own event."""
        for source, target in list({**self.streams, **self.inputs}.items()):
            if source in self.waiting:
                if ready.get(target, 0) & ~select.POLLIN:
                    self._write(source, target)
            elif ready.get(source, 0) & ~select.POLLOUT:
                self._read(source)
        if self.outcome is None and self.wire.socket.fileno() in ready:
            self._hear()
        if self.jobs in ready:
            self._hear_stop()

    def stopped(self, number: int) -> None:
        """Do what is to be done when the task was stopped; whoever gives it a terminal says what."""

    def _hear_stop(self) -> None:
        told = posix.read(self.jobs, 1)
        if told:
            self.stopped(told[0])
        else:
            posix.close(self.jobs)
            self.jobs = -1

    def _hear(self) -> None:
        told, continues = self.wire.receive()
        if not continues:
            self.outcome = told

    def _read(self, source: int) -> None:
        try:
            data = posix.read(source, _CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: a terminal whose other end has gone
            data = b""
        if data:
            self.waiting[source] = data
        elif source in self.inputs:
            del self.inputs[source]
        else:
            posix.close(source)
            del self.streams[source]
            self.inputs = {ours: target for ours, target in self.inputs.items() if target != source}

    def _write(self, source: int, target: int) -> None:
        data = self.waiting.pop(source)
        try:
            written = posix.write(target, data[:_PIPE_CHUNK])
        except BlockingIOError:
            written = 0
        except OSError as exc:
            if source in self.inputs:
                return  # the task has gone, and hears no more
            raise errors.BrokerError(f"the output can't be written: {exc.strerror}", hint="the task was ended") from exc
        if written < len(data):
            self.waiting[source] = data[written:]
