"""Who writes: a caller that waits does it for all, and a thread of the ledger's own for those who go on."""

import contextlib
import dis
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from elevate.errors import StoreError, StoreUnwritableError
from elevate.ports import Draft, Instant
from elevate.store import SqliteStore
from elevate.store.sqlite_ledger import Ledger
from elevate.store.sqlite_writer import MAX_GROUP, Writer
from elevate.testing import SeededEntropy

SECONDS = 20
TraceFunction = Callable[[FrameType, str, object], Any]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """The writer of a new ledger."""
    store = SqliteStore(tmp_path / "ledger", entropy=SeededEntropy())
    yield store._writer
    store.close()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    """Threads that can wait; a signal never breaks them off."""
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Held:
    """The turn, held by an operation until it is let go."""

    def __init__(self, writer: Writer) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._future = writer.submit(self._hold)
        assert self._begun.wait(SECONDS)

    def _hold(self, _ledger: Ledger) -> None:
        self._begun.set()
        assert self._go.wait(SECONDS)

    def let_go(self) -> None:
        self._go.set()
        self._future.result(SECONDS)


def until(what: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    pause = threading.Event()
    assert any(what() or pause.wait(0.001) for _ in range(SECONDS * 1000))


def thread_of(_ledger: Ledger) -> int:
    return threading.get_ident()


def _note(order: list[int], number: int, _ledger: Ledger) -> None:
    order.append(number)


def test_a_caller_that_waits_writes_itself(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """One alone pays for no change of threads."""
    own, wrote = callers.submit(lambda: (threading.get_ident(), writer.run(thread_of))).result(SECONDS)
    assert own == wrote


def test_the_main_thread_never_writes(writer: Writer) -> None:
    """Ctrl-C between two instructions would leave the turn with nobody."""
    assert writer.run(thread_of) == writer.submit(thread_of).result(SECONDS) != threading.get_ident()


class Interrupt:
    """Ctrl-C at the n-th place where the main thread would hear of it: signals are looked for after calls, and in loops."""

    _HEARD = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME"})

    def __init__(self, number: int) -> None:
        self.left = number
        self._last: dict[FrameType, int] = {}

    def __enter__(self) -> None:
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _arg: object) -> TraceFunction:
        frame.f_trace_opcodes = True
        if event == "opcode":
            before, self._last[frame] = self._last.get(frame, -1), frame.f_lasti
            self.left -= before >= 0 and dis.opname[frame.f_code.co_code[before]] in self._HEARD
            if self.left == 0:
                self.left = -1
                raise KeyboardInterrupt
        return self._trace


@pytest.mark.parametrize("ahead", [False, True])
def test_nobody_is_held_up_by_a_main_thread_that_is_broken_off(
    writer: Writer, callers: ThreadPoolExecutor, *, ahead: bool
) -> None:
    """Wherever Ctrl-C comes, neither the turn nor a lock stays taken."""
    interrupt, number = Interrupt(0), 0
    while interrupt.left <= 0:
        number += 1
        interrupt = Interrupt(number)
        # What is broken off while it begins to wait gave its lock back already, and says so.
        with contextlib.suppress(KeyboardInterrupt, RuntimeError), interrupt:
            if ahead:
                writer.submit(thread_of).result(SECONDS)
            else:
                writer.run(thread_of)
        callers.submit(writer.run, thread_of).result(SECONDS)
    assert number > 10


def test_what_waits_is_one_group_in_its_order(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """The next who has the turn takes all of it, whoever handed it in."""
    held, order, commits = Held(writer), list[int](), list[int]()
    commit = writer._ledger.commit

    def counted() -> None:
        commits.append(1)
        commit()

    writer._ledger.commit = counted  # type: ignore[method-assign]  # it commits as ever
    waiting: list[Future[None]] = []
    for number in range(4):
        work = partial(_note, order, number)
        waiting.append(callers.submit(writer.run, work) if number % 2 else writer.submit(work))
        until(lambda: len(writer._queue) == len(waiting))
    held.let_go()
    for one in waiting:
        one.result(SECONDS)
    assert (order, len(commits)) == ([0, 1, 2, 3], 2)


def _broken_in_the_middle(ledger: Ledger) -> None:
    ledger.append(Draft(event="half", request="", at=Instant(unix_us=1, mono_ns=1)))
    raise StoreError("half of it is there")


@pytest.mark.parametrize("beside", [0, 2])
def test_what_fails_in_the_middle_leaves_nothing_alone_and_in_a_group(
    writer: Writer, callers: ThreadPoolExecutor, beside: int
) -> None:
    """One alone has no savepoint: its transaction is taken back, and the next begins where that began."""
    held = Held(writer)
    broken = callers.submit(writer.run, _broken_in_the_middle)
    good = [writer.submit(_noted) for _ in range(beside)]
    until(lambda: len(writer._queue) == beside + 1)
    held.let_go()
    with pytest.raises(StoreError, match="half"):
        broken.result(SECONDS)
    assert [one.result(SECONDS) for one in good] == list(range(beside))
    assert writer.submit(_noted).result(SECONDS) == beside


def _noted(ledger: Ledger) -> int:
    return ledger.append(Draft(event="whole", request="", at=Instant(unix_us=1, mono_ns=1)))


def test_one_that_waits_behind_more_than_a_group_is_served(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """Whoever has the turn keeps it until its own operation is done."""
    held = Held(writer)
    ahead = [writer.submit(thread_of) for _ in range(2 * MAX_GROUP)]
    last = callers.submit(writer.run, thread_of)
    until(lambda: len(writer._queue) == 2 * MAX_GROUP + 1)
    held.let_go()
    assert last.result(SECONDS) in {one.result(SECONDS) for one in ahead}


def test_no_caller_is_left_waiting_when_one_is_torn_off(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """What no operation may raise ends all writing, and everybody hears of it."""

    def torn(_ledger: Ledger) -> None:
        raise SystemExit

    held = Held(writer)
    waiting = [callers.submit(writer.run, work) for work in (torn, thread_of, thread_of)]
    until(lambda: len(writer._queue) == len(waiting))
    held.let_go()
    answers: list[Future[Any]] = [*waiting, callers.submit(writer.run, thread_of), writer.submit(thread_of)]
    for one in answers:
        with pytest.raises(StoreUnwritableError):
            one.result(SECONDS)


def test_an_operation_that_was_taken_back_is_not_done(writer: Writer) -> None:
    """A future that is cancelled before its turn leaves nothing."""
    held, done = Held(writer), list[int]()
    back = writer.submit(lambda _: done.append(1))
    assert back.cancel()
    held.let_go()
    writer.run(thread_of)
    assert done == []


def test_nobody_waits_for_one_that_a_signal_broke_off(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """Ctrl-C comes between queueing and calling the thread: the next one does it all, and so does closing."""

    class Broken:
        def put(self, _more: object) -> None:
            raise KeyboardInterrupt

    done, calls = list[int](), writer._calls
    for number in (0, 2):
        writer._calls = Broken()  # type: ignore[assignment]  # the signal can't be timed otherwise
        with pytest.raises(KeyboardInterrupt):
            writer.submit(partial(_note, done, number))
        writer._calls = calls
        if not number:
            callers.submit(writer.run, partial(_note, done, 1)).result(SECONDS)
    writer.close()
    assert done == [0, 1, 2]


def test_closing_waits_for_whoever_has_the_turn(writer: Writer, callers: ThreadPoolExecutor) -> None:
    """What was queued is written; nothing else is taken."""
    held = Held(writer)
    queued = [callers.submit(writer.run, thread_of), writer.submit(thread_of)]
    until(lambda: len(writer._queue) == len(queued))
    closing = threading.Thread(target=writer.close)
    closing.start()
    until(lambda: writer._closed)
    with pytest.raises(StoreUnwritableError):
        writer.run(thread_of)
    held.let_go()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert all(one.result(SECONDS) for one in queued)


def test_many_callers_lose_nothing(writer: Writer) -> None:
    """The turn goes from hand to hand; each operation is done once."""
    done: list[int] = []

    def caller(first: int) -> None:
        for number in range(first, first + 50):
            work = partial(_note, done, number)
            if number % 3:
                writer.run(work)
            else:
                writer.submit(work).result(SECONDS)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(caller, range(0, 800, 50)))
    assert sorted(done) == list(range(800))
    assert not writer._turn
