"""Whoever is free takes the next call; a thread is made only where none is, and all have ended after `close`."""

import threading
from collections.abc import Iterator

import pytest

from elevate.server.workers import Workers

SECONDS = 20


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


class Held:
    """A job that waits until it is let go, and says in which thread it ran."""

    def __init__(self) -> None:
        self.begun, self.go, self.thread = threading.Event(), threading.Event(), 0

    def __call__(self) -> None:
        self.thread = threading.get_ident()
        self.begun.set()
        assert self.go.wait(SECONDS)


def test_each_of_several_has_a_thread_of_its_own(workers: Workers) -> None:
    """None waits for another one."""
    jobs = [Held() for _ in range(5)]
    for job in jobs:
        workers.submit(job)
    assert all(job.begun.wait(SECONDS) for job in jobs)
    assert len({job.thread for job in jobs}) == 5
    for job in jobs:
        job.go.set()


def test_a_free_thread_takes_the_next(workers: Workers) -> None:
    """No new one is made for it."""
    jobs = [Held() for _ in range(3)]
    for job in jobs:
        job.go.set()
        workers.submit(job)
        assert job.begun.wait(SECONDS)
        while not workers._free:
            threading.Event().wait(0.001)
    assert len({job.thread for job in jobs}) == 1


def test_closing_waits_for_what_was_handed_in(workers: Workers) -> None:
    """Afterwards no thread is left, and closing again is the same."""
    job, done = Held(), threading.Event()

    def work() -> None:
        job()
        done.set()

    workers.submit(work)
    assert job.begun.wait(SECONDS)
    closing = threading.Thread(target=workers.close)
    closing.start()
    assert not done.is_set()
    job.go.set()
    closing.join(SECONDS)
    workers.close()
    assert (done.is_set(), [thread.is_alive() for thread in workers._threads]) == (True, [False])
