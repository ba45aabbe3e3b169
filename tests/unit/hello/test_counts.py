"""Signature counts: written each time, synced once for many, and never given twice, whatever a power cut takes."""

import os
from pathlib import Path

import pytest

from elevate.errors import GestureError
from elevate.hello.container import owner_of
from elevate.hello.lockout import RESERVED, Tries
from elevate.hello.party import Challenges
from tests.hello.parts import PIN, USER, Machine, pin_proof, sign


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "hello")


def test_a_power_cut_gives_no_count_twice(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not synced is gone; the next signature still counts higher than any that the relying party saw."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    path = machine.folder / "users" / owner_of(USER) / "tries"
    kept, sync, synced = [path.read_bytes()], os.fdatasync, list[int]()

    def watched(file: int) -> None:
        sync(file)
        synced.append(file)
        kept.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", watched)
    for _ in range(RESERVED):
        _prove(machine, "face")
    assert len(synced) <= 2, "a gesture that is no try is synced once for many"
    path.write_bytes(kept[-1])
    machine.clock.reboot("another")
    _prove(machine, "face")


def test_every_count_is_reserved_before_it_is_given(machine: Machine) -> None:
    """Over several rounds of reserving."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    seen = [int.from_bytes(sign(machine, hello, gesture="face").authenticator_data[33:37], "big") for _ in range(3 * RESERVED)]
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_a_try_is_synced_as_ever(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PIN's, when it is counted and when it is given back."""
    hello = machine.enrolled()
    sign(machine, hello, PIN)
    sync, synced = os.fdatasync, list[None]()
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(sync(file)))
    sign(machine, hello, PIN)
    assert len(synced) == 2


def test_a_record_from_before_has_nothing_reserved() -> None:
    """It lacks the member; any other that is missing is no record of ours."""
    members = Tries(sign_count=7).to_json()
    del members["reserved"]
    assert Tries.from_json(members) == Tries(sign_count=7)


def test_a_challenge_that_is_too_old_is_refused_behind_a_younger_one(machine: Machine) -> None:
    """The oldest are forgotten from the front; age is looked at all the same."""
    challenges = Challenges(seconds=10)
    late = machine.clock.read()
    machine.clock.advance(5)
    challenges.expect(b"young", machine.clock.read())
    challenges.expect(b"old", late)
    machine.clock.advance(6)
    with pytest.raises(GestureError):
        challenges.spend(b"old", machine.clock.read())
    challenges.spend(b"young", machine.clock.read())


def _prove(machine: Machine, gesture: str) -> None:
    hello, challenge = machine.hello(), machine.challenge()
    assert hello.verify(USER, hello.sign(USER, gesture, challenge), challenge).method == gesture
