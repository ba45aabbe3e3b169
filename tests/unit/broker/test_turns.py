"""One prompt per user, a bounded queue, and pauses for prompt bombing."""

import threading

import pytest

from elevate.broker.cancel import Cancellation
from elevate.broker.turns import FIRST_PAUSE_SECONDS, FREE_REFUSALS, MAX_PAUSE_SECONDS, MAX_WAITING, Turns
from elevate.errors import BusyError, CancelledError
from elevate.testing import ManualClock


@pytest.fixture
def turns(clock: ManualClock) -> Turns:
    return Turns(clock)


def _queue(turns: Turns, user: str, count: int) -> tuple[list[threading.Thread], list[Cancellation]]:
    switches = [Cancellation() for _ in range(count)]

    def wait(switch: Cancellation) -> None:
        with pytest.raises(CancelledError), turns.take(user, switch):
            pass

    threads = [threading.Thread(target=wait, args=(switch,)) for switch in switches]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        while turns.waiting(user) < number:
            thread.join(0.005)
    return threads, switches


def test_a_second_prompt_of_the_same_user_waits(turns: Turns) -> None:
    """One prompt per user is open at a time, and the next gets its turn when it closes."""
    got = threading.Event()

    def second() -> None:
        with turns.take("alice", Cancellation()):
            got.set()

    with turns.take("alice", Cancellation()):
        thread = threading.Thread(target=second)
        thread.start()
        assert not got.wait(0.05)
        assert turns.open_prompts() == 1
    thread.join(5)
    assert got.is_set()


def test_two_users_do_not_wait_for_each_other(turns: Turns) -> None:
    """Queues are per user."""
    with turns.take("alice", Cancellation()), turns.take("bob", Cancellation()):
        assert turns.open_prompts() == 2


def test_the_queue_is_bounded(turns: Turns) -> None:
    """One more than the queue holds is refused at once; those in it can leave."""
    with turns.take("alice", Cancellation()):
        threads, switches = _queue(turns, "alice", MAX_WAITING)
        with pytest.raises(BusyError, match="wait for alice's prompt"), turns.take("alice", Cancellation()):
            pass
        for switch in switches:
            switch.cancel()
        for thread in threads:
            thread.join(5)
    assert turns.waiting("alice") == 0


def test_35_prompt_bombing_is_slowed_and_then_refused(turns: Turns, clock: ManualClock) -> None:
    """From the third unanswered prompt on each costs a pause that doubles, up to ten minutes."""
    for _ in range(FREE_REFUSALS - 1):
        turns.refused("alice")
    with turns.take("alice", Cancellation()):
        pass
    turns.refused("alice")
    with pytest.raises(BusyError, match=f"in {FIRST_PAUSE_SECONDS} s"), turns.take("alice", Cancellation()):
        pass
    for _ in range(20):
        turns.refused("alice")
    with pytest.raises(BusyError, match=f"in {MAX_PAUSE_SECONDS} s"), turns.take("alice", Cancellation()):
        pass
    clock.advance(MAX_PAUSE_SECONDS)
    with turns.take("alice", Cancellation()):
        turns.answered("alice")


def test_49_one_users_refusals_do_not_pause_another(turns: Turns) -> None:
    """Pauses are per user."""
    for _ in range(10):
        turns.refused("mallory")
    with turns.take("alice", Cancellation()):
        assert turns.open_prompts() == 1


def test_an_answer_forgets_the_refusals(turns: Turns) -> None:
    """After an answered prompt the count begins anew."""
    for _ in range(FREE_REFUSALS - 1):
        turns.refused("alice")
    turns.answered("alice")
    turns.refused("alice")
    with turns.take("alice", Cancellation()):
        assert turns.open_prompts() == 1
