"""Rows 35, 36, 41, 47 and 49 on the story: what one user may bring about is bounded, and the bound is that user's own."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from elevate import canonical
from elevate.audit import parse
from elevate.broker import Ask, Broker, Cancellation, Terms, enrolling, patience
from elevate.broker.receipts import MAX_BYTES, receipt_of
from elevate.errors import (
    BusyError,
    CancelledError,
    CommandNotFoundError,
    DeniedError,
    PolicyError,
    TaskInvalidError,
    TokenSpentError,
)
from elevate.host.processes import read_process
from elevate.model import Ended, Requester, Written
from elevate.tasks import Task
from elevate.testing import ManualClock

TRUE = Task.run(["true"])
DENIED = Task.run(["/bin/sh"])
NAME = "ab" * 16


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state", clock=clock) as one:
        yield one


def events(broker: Broker) -> list[str]:
    return [parse(entry).event for entry in broker.parts.store.entries()]


def me(broker: Broker, uid: int | None = None) -> Requester:
    own = broker.requester(read_process(os.getpid()))
    return own if uid is None else replace(own, process=replace(own.process, uid=uid))


def asking(
    broker: Broker, task: Task, requester: Requester, prompt: Callable[[], object] | None = None
) -> Callable[[], object]:
    terms = Terms(prompter=prompt or (lambda: broker.prompter(None)), cancel=Cancellation())  # type: ignore[arg-type]
    return lambda: broker.request(Ask(task=task, requester=requester), terms)


def test_49_refusals_of_one_user_do_not_fill_the_disk_of_all(
    broker: Broker, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a burst only one more each half second, without an entry for the others; nobody else waits."""
    monkeypatch.setattr(patience, "BURST", 8)  # the real one takes too many requests
    ask = asking(broker, DENIED, me(broker, 12_345))
    for _ in range(8):
        with pytest.raises(DeniedError):
            ask()
    size = broker.parts.store.head()[0]
    for _ in range(20):
        with pytest.raises(BusyError):
            ask()
    assert (broker.parts.store.head()[0], events(broker)[-1]) == (size, "requests-limited")
    with pytest.raises(DeniedError):
        asking(broker, DENIED, me(broker, 12_346))()
    clock.advance(1)
    with pytest.raises(DeniedError):
        ask()


def test_49_long_refusals_fill_it_no_faster(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of thirty thousand characters counts as fifteen."""
    monkeypatch.setattr(patience, "BURST", 20)  # as above
    ask = asking(broker, Task.run(["no-such-command", "x" * 30_000]), me(broker, 12_345))
    for expected in (CommandNotFoundError, CommandNotFoundError, BusyError):
        with pytest.raises(expected):
            ask()


def test_41_misuse_of_one_token_fills_no_disk(broker: Broker) -> None:
    """An alarm is an alarm sixteen times, and then it is known."""
    grant = broker.elevate(TRUE)
    grant.run(capture=True)
    for number in range(40):
        with pytest.raises(TokenSpentError):
            grant.start(f"{number:032}", grant.agreement.requester.process)
    assert events(broker).count("second-use") == 16


@pytest.mark.parametrize("redeem_id", ["", "short", "a" * 65, "\ud800" * 20, "0" * 31 + "\n"])
def test_47_an_odd_redeem_id_is_refused_before_anything_is_written(broker: Broker, redeem_id: str) -> None:
    """It can't hide the alarm of a second use either; the token is as it was."""
    grant = broker.elevate(TRUE)
    size = broker.parts.store.head()
    with pytest.raises(TaskInvalidError, match="redeem id"):
        grant.start(redeem_id, grant.agreement.requester.process)
    assert broker.parts.store.head() == size
    assert grant.run(capture=True).exit_status == 0


@pytest.mark.parametrize("task", [Task.run(["echo", "x" * 60_000]), Task.run(["echo", "\x1b" * 6_000])])
def test_41_a_command_that_no_entry_holds_is_refused_before_anybody_is_asked(broker: Broker, task: Task) -> None:
    """With an error of its own; the log has that, and that nothing came of it."""
    prompted: list[int] = []
    with pytest.raises(TaskInvalidError, match="too long to be recorded"):
        asking(broker, task, me(broker), lambda: prompted.append(1))()
    assert events(broker)[-2:] == ["requested", "failed"]
    assert prompted == []


@dataclass
class _Leaving:
    def ask(self, *_: object, **__: object) -> object:
        raise CancelledError("the client left")


def test_35_prompts_that_are_opened_and_left_are_slowed_too(broker: Broker) -> None:
    """Whoever disturbs a person need not wait for the answer."""
    for _ in range(16):
        with pytest.raises(CancelledError):
            asking(broker, TRUE, me(broker), _Leaving)()
    with pytest.raises(BusyError):
        asking(broker, TRUE, me(broker), _Leaving)()


def test_49_explaining_is_bounded_as_asking_is(broker: Broker) -> None:
    """It opens and copies files just the same."""
    uid = os.getuid()
    broker._opened._asking[uid] = 16
    with pytest.raises(BusyError):
        broker.explain(TRUE)
    broker._opened._asking[uid] = 0
    assert broker.explain(TRUE).text()


def test_36_a_receipt_is_bounded_as_it_is_written(broker: Broker) -> None:
    """In bytes: a control character takes six of them."""
    grant = broker.elevate(TRUE)
    written = tuple(Written(path="\x01" * 200 + str(number), change="created") for number in range(3000))
    ended = Ended(exit_status=0, written=written)
    receipt = receipt_of(grant.journal.record, grant.agreement, grant.identity, ended)
    assert receipt["written_count"] == 3000
    assert MAX_BYTES // 2 < len(canonical.encode(receipt)) < MAX_BYTES + 4096


def test_49_the_desk_fills_no_disk_either(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset that is refused is in the log, but not as often as somebody likes."""
    monkeypatch.setattr(patience, "BURST", 4)  # the real one takes too many
    stranger = me(broker, 12_345)
    for _ in range(4):
        enrolling.call(enrolling.visit(broker, stranger, terminal=None), "HelloReset", {})
    size = broker.parts.store.head()
    with pytest.raises(BusyError):
        enrolling.visit(broker, stranger, terminal=None)
    assert broker.parts.store.head() == size


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_33_settings_that_others_can_write_are_refused(tmp_path: Path, mode: int) -> None:
    """They say whether a simulated gesture counts."""
    Broker.embedded(tmp_path / "state").close()
    (tmp_path / "state" / "settings.toml").chmod(mode)
    with pytest.raises(PolicyError, match="can be written by others"):
        Broker.open(tmp_path / "state")


@pytest.mark.root
def test_33_settings_of_another_user_are_refused(tmp_path: Path) -> None:
    """Neither their file nor a link to it."""
    Broker.embedded(tmp_path / "state").close()
    os.chown(tmp_path / "state" / "settings.toml", 65_534, 65_534)
    with pytest.raises(PolicyError, match="belongs to uid 65534"):
        Broker.open(tmp_path / "state")
