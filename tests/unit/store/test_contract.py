"""What every store promises; `SqliteStore` and its simulator both keep it."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.audit import EMPTY, Outcome, leaf_hash, parse, verify_chain
from elevate.audit.notes import Note, VerifierKey
from elevate.audit.proof import check
from elevate.canonical import Json
from elevate.errors import AuditError, StoreError, StoreUnwritableError, TransitionError
from elevate.lifecycle import State
from elevate.ports import Record, Step, Store
from elevate.store import MemoryStore, SqliteStore
from elevate.store.heart import Heart
from elevate.testing import ManualClock, SeededEntropy
from tests.ledgers import EPOCH, draft, issue, redeem, request_id, row, step

ONE = request_id(1)
TWO = request_id(2)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = (
        MemoryStore(entropy=SeededEntropy())
        if request.param == "memory"
        else SqliteStore(tmp_path / "ledger", entropy=SeededEntropy())
    )
    yield made
    made.close()


def issued(store: Store, request: str = ONE) -> None:
    store.open_request(row(request), draft("requested", request))
    assert store.step(issue(request)).won


def test_a_request_is_opened_with_what_follows_on_it(store: Store) -> None:
    """Each has its entry, and the row is that of the last step."""
    stepped = store.open_request(row(ONE), draft("requested", ONE), issue(ONE), redeem(ONE, epoch=""))
    assert (stepped.won, stepped.position, stepped.record.position) == (True, 2, 1)
    assert stepped.record == store.record(ONE)
    assert [parse(data).event for data in store.entries_of(ONE)] == ["requested", "issued", "redeemed"]


@pytest.mark.parametrize(
    ("refused", "then"),
    [
        (row(ONE), []),
        (replace(row(TWO), state=State.ISSUED), []),
        (row(TWO), [issue(ONE)]),
        (row(TWO), [redeem(TWO)]),
        (row(TWO), [step(TWO, State.REQUESTED, State.DENIED, epoch="another")]),
    ],
)
def test_what_can_not_be_opened_writes_nothing(store: Store, refused: Record, then: list[Step]) -> None:
    """One that is there already, or does not begin where a request begins, or is not what its steps follow on."""
    store.open_request(row(ONE), draft("requested", ONE))
    with pytest.raises(StoreError):
        store.open_request(refused, draft("requested", refused.request), *then)
    assert store.head()[0] == 1


def test_a_new_ledger_is_empty(store: Store) -> None:
    """Nothing is in it but its name."""
    assert store.head() == (0, EMPTY)
    assert list(store.entries()) == []
    assert store.unfinished() == []
    assert len(store.generation) == 32


def test_a_request_is_one_row_and_one_entry(store: Store) -> None:
    """Positions count from 0, and the row is what was given."""
    assert store.open_request(row(ONE), draft("requested", ONE)).position == 0
    assert store.open_request(row(TWO), draft("requested", TWO)).position == 1
    assert store.record(ONE) == row(ONE)
    assert [parse(data).request for data in store.entries()] == [ONE, TWO]


def test_issue_stores_the_position_of_its_entry(store: Store) -> None:
    """The row of a token names its `issued` entry, and the token finds the row."""
    store.open_request(row(ONE), draft("requested", ONE))
    stepped = store.step(issue(ONE))
    assert (stepped.won, stepped.position, stepped.record.position) == (True, 1, 1)
    assert store.by_jti(ONE) == stepped.record == store.record(ONE)


def test_a_step_that_lost_writes_nothing(store: Store) -> None:
    """The second redemption changes neither row nor log, and shows the winner's row."""
    issued(store)
    won, lost = store.step(redeem(ONE, "first")), store.step(redeem(ONE, "second"))
    assert (won.won, lost.won, lost.position) == (True, False, -1)
    assert lost.record.redeem_id == "first"
    assert store.head()[0] == 3


def test_steps_that_follow_on_one_another_are_one(store: Store) -> None:
    """Each has its entry, in order; the row is that of the last, and names the issue."""
    store.open_request(row(ONE), draft("requested", ONE))
    stepped = store.step(issue(ONE), redeem(ONE, epoch=""))
    assert (stepped.won, stepped.position, stepped.record.position) == (True, 2, 1)
    assert stepped.record == store.record(ONE)
    assert [parse(data).event for data in store.entries_of(ONE)] == ["requested", "issued", "redeemed"]


def test_of_steps_whose_first_lost_none_is_written(store: Store) -> None:
    """The row is shown as it is."""
    issued(store)
    stepped = store.step(issue(ONE), redeem(ONE, epoch=""))
    assert (stepped.won, stepped.position, stepped.record.state) == (False, -1, State.ISSUED)
    assert store.head()[0] == 2


@pytest.mark.parametrize(
    "then",
    [
        redeem(TWO, epoch=""),
        redeem(ONE, epoch="another"),
        step(ONE, State.REDEEMED, State.RUNNING),
        step(ONE, State.REDEEMED, State.ISSUED),
    ],
)
def test_a_step_that_does_not_follow_on_the_one_before_raises(store: Store, then: Step) -> None:
    """Another request, another epoch, another state; and neither of the two is written."""
    for request in (ONE, TWO):
        store.open_request(row(request), draft("requested", request))
    with pytest.raises((StoreError, TransitionError)):
        store.step(issue(ONE), then)
    assert store.head()[0] == 2


def test_of_steps_whose_second_can_not_be_written_none_is(store: Store) -> None:
    """All of them, or none; the ledger goes on."""
    store.open_request(row(ONE), draft("requested", ONE))
    large = draft("redeemed", ONE, actor={"user": "x" * 70_000})
    then = Step(request=ONE, before=State.ISSUED, after=State.REDEEMED, entry=large)
    with pytest.raises(AuditError):
        store.step(issue(ONE), then)
    assert (store.head()[0], len(store.entries_of(ONE))) == (1, 1)
    assert store.step(issue(ONE), redeem(ONE, epoch="")).won
    assert verify_chain(list(store.entries())).outcome is not Outcome.TAMPERED


def test_a_row_of_another_epoch_does_not_step(store: Store) -> None:
    """A restart kills old tokens."""
    issued(store)
    assert not store.step(redeem(ONE, epoch="another")).won
    assert store.step(redeem(ONE, epoch=EPOCH)).won


def test_a_step_that_the_table_does_not_have_raises(store: Store) -> None:
    """And changes nothing."""
    issued(store)
    with pytest.raises(TransitionError):
        store.step(step(ONE, State.REDEEMED, State.ISSUED))
    assert store.head()[0] == 2


@pytest.mark.parametrize("fields", [{"state": "redeemed"}, {"request": "x"}, {"position": 4}, {"colour": "x"}, {"jti": 4}])
def test_a_field_that_may_not_change_raises(store: Store, fields: dict[str, Json]) -> None:
    """A step sets columns of its own type only."""
    issued(store)
    with pytest.raises(StoreError):
        store.step(step(ONE, State.ISSUED, State.REVOKED, fields=fields))
    assert store.head()[0] == 2


def test_a_result_that_is_not_canonical_json_raises(store: Store) -> None:
    """It would not read back as it was; the ledger goes on."""
    issued(store)
    bad: dict[str, Json] = {"result": {"took": 2**60}}
    with pytest.raises(StoreError, match="can't be kept"):
        store.step(step(ONE, State.ISSUED, State.REVOKED, fields=bad))
    assert store.step(redeem(ONE)).won


def test_an_unknown_request_raises(store: Store) -> None:
    """There is nothing to compare with."""
    with pytest.raises(StoreError, match="no request"):
        store.step(issue(ONE))
    assert store.record(ONE) is None
    assert store.entries_of(ONE) == []


def test_a_request_is_opened_once(store: Store) -> None:
    """A second row of the same name is refused, and so is one that begins anywhere else."""
    issued(store)
    with pytest.raises(StoreError, match="already"):
        store.open_request(row(ONE), draft("requested", ONE))
    with pytest.raises(StoreError, match="begins"):
        store.open_request(store.record(ONE) or row(ONE), draft("requested", TWO))
    assert store.head()[0] == 2


def test_entries_of_a_request_are_all_of_its_entries(store: Store) -> None:
    """Steps and appended entries, in order; those of others are left out."""
    issued(store)
    issued(store, TWO)
    store.append(draft("second-use", ONE))
    store.append(draft("second-use", "unknown"))
    assert [parse(data).event for data in store.entries_of(ONE)] == ["requested", "issued", "second-use"]
    assert [parse(data).event for data in store.entries_of("unknown")] == ["second-use"]


def test_unfinished_rows_come_oldest_first(store: Store) -> None:
    """A final state leaves the list."""
    for number in range(4):
        issued(store, request_id(number))
    store.step(step(request_id(1), State.ISSUED, State.REVOKED))
    assert [found.request for found in store.unfinished()] == [request_id(number) for number in (0, 2, 3)]


def test_a_result_comes_back_as_it_was(store: Store) -> None:
    """Canonical JSON values survive."""
    issued(store)
    result: dict[str, Json] = {"exit_status": 0, "receipt": {"wrote": ["/a", "é"], "none": None}}
    store.step(redeem(ONE))
    store.step(step(ONE, State.REDEEMED, State.DESTROYED, fields={"result": result}))
    assert (store.record(ONE) or row(ONE)).result == result


def test_entries_can_be_read_in_parts(store: Store) -> None:
    """From a position on, and no more than asked."""
    for number in range(1100):
        store.append(draft(f"e{number}")) if number > 1090 or number < 3 else store.append(draft("e"))
    assert [parse(data).seq for data in store.entries(3, 2)] == [3, 4]
    assert [parse(data).seq for data in store.entries(1098)] == [1098, 1099]
    assert sum(1 for _ in store.entries()) == 1100


def test_the_log_is_one_chain(store: Store) -> None:
    """Each entry holds the hash of the one before, and the head is the last one's."""
    issued(store)
    store.step(redeem(ONE))
    verdict = verify_chain(store.entries())
    assert (verdict.outcome, verdict.size, verdict.head) == (Outcome.INCOMPLETE, 3, store.head()[1])
    assert parse(list(store.entries())[2]).was == leaf_hash(list(store.entries())[1])


def test_an_entry_that_is_too_long_fails_alone(store: Store) -> None:
    """Nothing of it is written, and the row stays as it was."""
    issued(store)
    entry = draft("redeemed", ONE, text="x" * 70_000)
    bad = step(ONE, State.ISSUED, State.REDEEMED)
    with pytest.raises(AuditError, match="more than 6553"):
        store.step(type(bad)(request=ONE, before=bad.before, after=bad.after, entry=entry))
    assert store.head()[0] == 2
    assert (store.record(ONE) or row(TWO)).state is State.ISSUED


def test_14_of_64_threads_with_one_token_one_wins(store: Store) -> None:
    """One atomic compare-and-set: one winner, and all others see its redeem id."""
    issued(store)
    with ThreadPoolExecutor(64) as pool:
        stepped = list(pool.map(lambda number: store.step(redeem(ONE, f"r{number}")), range(64)))
    winners = [found for found in stepped if found.won]
    assert len(winners) == 1
    assert {found.record.redeem_id for found in stepped} == {winners[0].record.redeem_id}
    assert store.head()[0] == 3


def test_submit_answers_later_and_hands_errors_on(store: Store) -> None:
    """A future holds what `step` would return or raise."""
    issued(store)
    assert store.submit(redeem(ONE)).result(10).won
    with pytest.raises(StoreError):
        store.submit(redeem(TWO)).result(10)
    with pytest.raises(TransitionError):
        store.submit(step(ONE, State.REDEEMED, State.ISSUED)).result(10)


def test_a_closed_ledger_writes_nothing(store: Store) -> None:
    """Closing twice is the same as once."""
    issued(store)
    store.close()
    store.close()
    with pytest.raises(StoreUnwritableError):
        store.append(draft("late"))
    with pytest.raises(StoreUnwritableError):
        store.submit(redeem(ONE)).result(10)


def test_a_proof_holds_with_the_key_alone(store: MemoryStore | SqliteStore) -> None:
    """Every store signs what it keeps."""
    issued(store)
    key = VerifierKey.parse(store.verifier_key)
    for position in (0, 1):
        assert check(store.prove(position), key).entry.seq == position
    with pytest.raises(AuditError):
        store.prove(2)
    Note.parse(store.checkpoint()).verify(key)


def test_a_heart_beats_with_the_state_of_the_clocks(store: Store) -> None:
    """A clock that somebody set shows in the next beat, and every beat signs."""
    clock = ManualClock()
    with Heart(store, clock, seconds=3600) as heart:
        clock.advance(300)
        heart.beat()
        clock.step_wall(-90)
        heart.beat()
    beats = [parse(data) for data in store.entries()]
    assert [beat.event for beat in beats] == ["heartbeat", "heartbeat"]
    assert [beat.body["clock"] for beat in beats] == [
        {"status": "steady", "drift_us": 0, "sync": "unknown"},
        {"status": "stepped", "drift_us": -90_000_000, "sync": "unknown"},
    ]


def test_a_clock_that_nobody_sets_any_more_is_an_entry(store: Store) -> None:
    """Once for each change; the beats say it, too."""
    clock = ManualClock()
    clock.synchronise("synchronised", 1_500)
    with Heart(store, clock, seconds=3600) as heart:
        heart.look()
        clock.advance(30)
        clock.synchronise("unsynchronised", 16_000_000)
        heart.look()
        heart.look()
        clock.synchronise("synchronised", 900)
        heart.beat()
        heart.look()
    found = [parse(data) for data in store.entries()]
    steady: dict[str, Json] = {"status": "steady", "drift_us": 0}
    assert [(one.event, one.body["clock"]) for one in found] == [
        ("clock-changed", steady | {"sync": "unsynchronised", "error_us": 16_000_000}),
        ("heartbeat", steady | {"sync": "synchronised", "error_us": 900}),
    ]


def test_a_heart_beats_by_itself(store: Store) -> None:
    """Until it is closed."""
    with Heart(store, ManualClock(), seconds=0.001):
        until = time.monotonic() + 10
        while store.head()[0] < 3 and time.monotonic() < until:
            threading.Event().wait(0.001)
    beaten = store.head()[0]
    assert beaten >= 3
    assert store.head()[0] == beaten
