"""What a broker writes of itself: its start, what changed while none ran, what waits in the settings, and whom it shuts out."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from elevate.audit.entry import Entry
from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.canonical import Json
from elevate.errors import BusyError, DeclinedError, ElevateError, LockedOutError, PolicyError
from elevate.host.processes import read_process
from elevate.store.reader import LedgerReader
from elevate.tasks import Task
from elevate.testing import ManualClock
from tests.unit.broker.people import answering, raising


def log(broker: Broker) -> list[Entry]:
    with LedgerReader(broker.home.ledger) as reader:
        return list(reader.opened())


def said(broker: Broker, event: str) -> list[Mapping[str, Json]]:
    return [entry.body for entry in log(broker) if entry.event == event]


def write(folder: Path, old: str, new: str) -> None:
    path = folder / "settings.toml"
    path.write_text(path.read_text().replace(old, new))


def member(body: Mapping[str, Json], *path: str) -> Json:
    value: Json = dict(body)
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def test_a_start_says_what_it_goes_by(broker: Broker) -> None:
    """Which process, with which settings; what may name people stands there by a committed digest only."""
    (started,) = said(broker, "broker-started")
    assert member(started, "actor", "pid") == os.getpid()
    assert member(started, "settings", "plain", "windows.EnableLUA") == 1
    assert member(started, "settings", "plain", "remote") is False
    digests = member(started, "settings", "digests")
    assert isinstance(digests, dict)
    assert {"log_readers", "remote_listed", "tpm"} <= digests.keys()
    data = next(broker.parts.store.entries())
    assert b'"digests"' not in data
    assert member(started, "clock") == {"status": "steady", "drift_us": 0, "sync": "unknown"}


def test_what_changed_while_no_broker_ran_is_named(tmp_path: Path, clock: ManualClock) -> None:
    """Names, and the values of numbers; not those of texts. A start with nothing changed says nothing of it."""
    folder = tmp_path / "state"
    Broker.embedded(folder, clock=clock).close()
    Broker.open(folder, clock=clock).close()
    write(folder, "EnableLUA = 1", "EnableLUA = 0")
    write(folder, 'host = "emulated"', 'host = "emulated"\nremote_listed = ["alice-the-auditor"]')
    (folder / "policy" / "more.toml").write_text(
        '[[rule]]\nid = "x"\neffect = "deny"\ntask = { kind = "process.run" }\nwhy = "w"\n'
    )
    (folder / "policy" / "more.toml").chmod(0o600)
    with Broker.open(folder, clock=clock) as broker:
        (changed,) = said(broker, "settings-changed")
        (policy,) = said(broker, "policy-changed")
        assert member(changed, "settings") == {
            "changed": ["remote_listed", "windows.EnableLUA"],
            "before": {"windows.EnableLUA": 1},
            "after": {"windows.EnableLUA": 0},
        }
        assert member(policy, "setting", "digest") == broker.parts.policy.current.digest
        assert member(policy, "reason", "code") == "policy-changed"
    assert b"alice-the-auditor" not in (folder / "ledger.sqlite").read_bytes()


def test_a_policy_that_was_reloaded_has_not_changed_at_the_next_start(tmp_path: Path, clock: ManualClock) -> None:
    """The last that the log has counts, not the one of the start before."""
    folder = tmp_path / "state"
    with Broker.embedded(folder, clock=clock) as broker:
        (folder / "policy" / "more.toml").write_text(
            '[[rule]]\nid = "x"\neffect = "deny"\ntask = { kind = "process.run" }\nwhy = "w"\n'
        )
        (folder / "policy" / "more.toml").chmod(0o600)
        broker.reload_policy(broker.requester(read_process(os.getpid())))
        (changed,) = said(broker, "policy-changed")
        assert member(changed, "actor", "pid") == os.getpid()
    with Broker.open(folder, clock=clock) as broker:
        assert len(said(broker, "policy-changed")) == 1


@pytest.mark.parametrize(("move", "status"), [(-3600, "stepped"), (3600, "stepped"), (0, "steady")])
def test_a_start_says_how_the_clocks_stand(tmp_path: Path, clock: ManualClock, move: int, status: str) -> None:
    """Against the last entry: a wall clock that was set while nothing was written shows. The entries' boot is the kernel's."""
    folder = tmp_path / "state"
    with Broker.embedded(folder, clock=clock) as broker:
        boot = log(broker)[0].boot
    clock.reboot(boot)
    clock.advance(1_000)
    Broker.open(folder, clock=clock).close()
    clock.step_wall(move)
    with Broker.open(folder, clock=clock) as broker:
        assert member(said(broker, "broker-started")[-1], "clock") == {
            "status": status,
            "drift_us": move * 1_000_000,
            "sync": "unknown",
        }


def test_what_waits_in_the_settings_is_said_once(broker: Broker) -> None:
    """When the policy is read again; and that the file can't be read."""
    folder = broker.home.folder
    for _ in range(2):
        broker.reload_policy()
    assert said(broker, "settings-pending") == []
    write(folder, "EnableLUA = 1", "EnableLUA = 0")
    for _ in range(2):
        broker.reload_policy(broker.requester(read_process(os.getpid())))
    (pending,) = said(broker, "settings-pending")
    assert member(pending, "settings", "changed") == ["windows.EnableLUA"]
    assert member(pending, "actor", "pid") == os.getpid()
    write(folder, "EnableLUA = 0", "EnableLUA = nothing")
    broker.reload_policy()
    (refused,) = said(broker, "settings-refused")
    assert member(refused, "reason", "code") == PolicyError.code


def test_the_wrong_pin_that_locks_is_an_entry(broker: Broker, clock: ManualClock) -> None:
    """One, not one for each try after it; whose PIN it is can be erased."""
    user = broker.requester(read_process(os.getpid())).user
    locked_out = 0
    for number in range(40):
        clock.advance(20)
        with pytest.raises(ElevateError) as caught:
            broker.hello.sign(user, "pin", number.to_bytes(48, "big"), secret=bytearray(b"99999999"))
        locked_out += isinstance(caught.value, LockedOutError)
        broker.hello.type_phrase(user, broker.hello.settings.lockout.phrase)
    (locked,) = said(broker, "pin-locked")
    assert locked_out > 1
    assert member(locked, "lockout", "user") == user
    assert member(locked, "lockout", "layer") in {"failures", "restart"}
    position = next(entry.seq for entry in log(broker) if entry.event == "pin-locked")
    assert f'"{user}"'.encode() not in next(broker.parts.store.entries(position, 1))


def test_a_pause_of_prompts_is_an_entry(broker: Broker) -> None:
    """From the third that was declined on, each with how long the next has to wait."""
    cancel = Cancellation()
    own = broker.requester(read_process(os.getpid()))
    terms = Terms(prompter=answering(broker, raising(DeclinedError("no"))), cancel=cancel)
    for expected in (DeclinedError, DeclinedError, DeclinedError, BusyError):
        with pytest.raises(expected):
            broker.request(Ask(task=Task.run(["true"]), requester=own), terms)
    assert [member(one, "lockout") for one in said(broker, "prompts-paused")] == [
        {"layer": "prompts", "wait_seconds": 10, "user": own.user}
    ]
    cancel.close()
