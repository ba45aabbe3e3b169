"""The threads that run calls: one that is free takes the next, the one that was busy last first; a new one only where none is.

How many there are is bounded by whoever hands in.
"""

import threading
from collections.abc import Callable

Job = Callable[[], None]


class Workers:
    """Runs what is handed in, each in a thread; whatever a job raises ends with it, so it is to catch its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, job: Job) -> None:
        """Run a job, soon."""
        with self._lock:
            worker = self._free.pop() if self._free else None
            if worker is None:
                worker = _Worker(self._rest)
                self._threads.append(thread := threading.Thread(target=worker.run, name="call", daemon=True))
                thread.start()
        worker.hand(job)

    def close(self) -> None:
        """Wait until all that was handed in is done, and end the threads; nothing is handed in any more."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for worker in free:
            worker.hand(None)
        for thread in self._threads:
            thread.join()

    def _rest(self, worker: "_Worker") -> bool:
        """Take note that a worker is free; False where it is to end."""
        with self._lock:
            if not self._closed:
                self._free.append(worker)
            return not self._closed


class _Worker:
    """One thread's loop: a lock that it waits for costs less than a queue."""

    def __init__(self, rest: Callable[["_Worker"], bool]) -> None:
        self._rest = rest
        self._job: Job | None = None
        self._handed = threading.Lock()
        self._handed.acquire()

    def hand(self, job: Job | None) -> None:
        """Give it a job, or none: then it ends."""
        self._job = job
        self._handed.release()

    def run(self) -> None:
        """Do one job after the other."""
        while True:
            self._handed.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            try:
                job()
            finally:
                more = self._rest(self)
            if not more:
                return
