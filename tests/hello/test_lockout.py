"""Rows 1 to 7 and 10 to 12: how wrong PINs are counted."""

import os

import pytest

from elevate.errors import GestureError, HelloDamagedError, LockedOutError, PhraseNeededError
from elevate.hello import LockoutRules, SoftwareHello
from elevate.hello.container import owner_of
from tests.hello.parts import CHEAPEST, PIN, TPM_ONLY, USER, WRONG, Machine, pin_proof, sign


def fail(machine: Machine, hello: SoftwareHello, times: int) -> None:
    """Type a wrong PIN; each answer must be "wrong", not "locked"."""
    for _ in range(times):
        with pytest.raises(GestureError):
            sign(machine, hello, WRONG)


def lock(machine: Machine, hello: SoftwareHello) -> None:
    fail(machine, hello, 31)
    with pytest.raises(LockedOutError):
        sign(machine, hello, WRONG)


def failed(machine: Machine) -> int:
    """Read the count as it is kept."""
    with machine.hello().vault.counter(owner_of(USER))._file.open() as slot:
        count = slot.record["failed"]
    assert isinstance(count, int)
    return count


def test_1_the_32nd_wrong_pin_locks(machine: Machine) -> None:
    """Tries 1 to 31 answer wrong, try 32 answers locked."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    fail(machine, hello, 31)
    with pytest.raises(LockedOutError, match="10 min"):
        sign(machine, hello, WRONG)


def test_1_a_right_pin_as_the_32nd_try_is_right(machine: Machine) -> None:
    """The last try is a try."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    fail(machine, hello, 31)
    assert sign(machine, hello).gesture == "pin"


def test_2_while_locked_right_and_wrong_answer_the_same(machine: Machine) -> None:
    """And no key is derived: a cost that would never end does not run."""
    lock(machine, machine.enrolled(lockout=TPM_ONLY))
    costly = machine.hello(lockout=TPM_ONLY, kdf=type(CHEAPEST)(memory_kib=1, passes=0))
    answers = []
    for pin in (PIN, WRONG):
        with pytest.raises(LockedOutError) as caught:
            sign(machine, costly, pin)
        answers.append((caught.value.message, caught.value.hint))
    assert answers[0] == answers[1]


def test_3_one_try_is_forgotten_after_600_seconds(machine: Machine) -> None:
    """599 s after: locked; 601 s after: exactly one try."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    lock(machine, hello)
    machine.clock.advance(599)
    with pytest.raises(LockedOutError, match="in 1 s"):
        sign(machine, hello)
    machine.clock.advance(2)
    with pytest.raises(LockedOutError):
        sign(machine, hello, WRONG)
    with pytest.raises(LockedOutError):
        sign(machine, hello)


def test_4_after_320_minutes_all_tries_are_back(machine: Machine) -> None:
    """19,200 s forget 32 tries."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    lock(machine, hello)
    machine.clock.advance(19_200)
    assert hello.offer(USER).tries_left == 32


def test_5_a_right_pin_does_not_reset_the_count(machine: Machine) -> None:
    """Five wrong and one right leave five."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    fail(machine, hello, 5)
    sign(machine, hello)
    assert failed(machine) == 5


def test_5_a_right_pin_does_not_put_off_forgetting(machine: Machine) -> None:
    """Who signs every minute gets forgotten tries back as well."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    fail(machine, hello, 1)
    for _ in range(10):
        machine.clock.advance(60)
        sign(machine, hello)
    assert hello.offer(USER).tries_left == 32


def test_6_the_count_survives_a_restart_of_the_broker(machine: Machine) -> None:
    """What was counted is on disk."""
    fail(machine, machine.enrolled(lockout=TPM_ONLY), 3)
    assert machine.hello(lockout=TPM_ONLY).offer(USER).tries_left == 29


def test_6_a_clock_set_back_or_forward_forgets_nothing(machine: Machine) -> None:
    """Only the boot's own clock counts."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    lock(machine, hello)
    for seconds in (-86_400, 10 * 86_400):
        machine.clock.step_wall(seconds)
        with pytest.raises(LockedOutError):
            sign(machine, hello)


def test_6_a_try_is_synced_before_the_pin_is_looked_at(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order; a kill does not lose what a power cut would, so the call itself is watched."""
    hello = machine.enrolled()
    order: list[str] = []
    sync, stretch = os.fdatasync, hello.vault.stretch

    def watched_sync(file: int) -> None:
        order.append("sync")
        sync(file)

    def watched_stretch(pin: bytearray, salt: bytes) -> bytes:
        order.append("look")
        return stretch(pin, salt)

    # Watched, not replaced: both still do what they do.
    monkeypatch.setattr(os, "fdatasync", watched_sync)
    monkeypatch.setattr(hello.vault, "stretch", watched_stretch)
    sign(machine, hello)
    assert order == ["sync", "look", "sync"]


def test_6_a_missing_counter_checks_nothing(machine: Machine) -> None:
    """Who deletes the counter gains no try."""
    hello = machine.enrolled()
    (machine.folder / "users" / owner_of(USER) / "tries").unlink()
    with pytest.raises(HelloDamagedError):
        sign(machine, hello)


def test_6_a_torn_write_leaves_the_record_before_it(machine: Machine) -> None:
    """Half a slot is no record; both halves torn check nothing."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    fail(machine, hello, 2)
    path = machine.folder / "users" / owner_of(USER) / "tries"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert failed(machine) == 1
    data[1064] ^= 1
    path.write_bytes(data)
    with pytest.raises(HelloDamagedError):
        sign(machine, hello)


@pytest.mark.parametrize(("forget", "left"), [(False, 30), (True, 32)])
def test_7_time_while_off_counts_only_where_told(machine: Machine, forget: bool, left: int) -> None:  # noqa: FBT001
    """The default forgets nothing while the machine is off."""
    rules = LockoutRules(phrase_after=0, forget_while_off=forget)
    fail(machine, machine.enrolled(lockout=rules), 2)
    machine.clock.advance(3_600)
    machine.clock.reboot("another")
    assert machine.hello(lockout=rules).offer(USER).tries_left == left


def test_10_after_three_wrong_pins_the_phrase_is_typed(machine: Machine) -> None:
    """The fourth PIN is not looked at before it, and the phrase is no try."""
    hello = machine.enrolled()
    fail(machine, hello, 3)
    with pytest.raises(PhraseNeededError, match="A1B2C3"):
        sign(machine, hello)
    assert not hello.type_phrase(USER, "A1B2C4")
    assert hello.offer(USER).pin_phrase == "A1B2C3"
    assert hello.type_phrase(USER, "a1b2c3")
    assert failed(machine) == 3
    assert sign(machine, hello).gesture == "pin"
    assert hello.offer(USER).pin_phrase == ""


def test_11_the_next_wrong_pin_switches_the_pin_off_until_restart(machine: Machine) -> None:
    """Not for any time, but a restart; the face is still offered."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    fail(machine, hello, 3)
    hello.type_phrase(USER, "A1B2C3")
    with pytest.raises(LockedOutError, match="restart"):
        sign(machine, hello, WRONG)
    machine.clock.advance(1_000_000)
    with pytest.raises(LockedOutError, match="restart"):
        sign(machine, hello)
    assert hello.offer(USER).gestures == ("face",)
    assert sign(machine, hello, gesture="face").gesture == "face"


def test_11_with_nothing_else_the_offer_is_refused(machine: Machine) -> None:
    """A broker can refuse before it opens a prompt."""
    hello = machine.enrolled()
    fail(machine, hello, 3)
    hello.type_phrase(USER, "A1B2C3")
    with pytest.raises(LockedOutError):
        sign(machine, hello, WRONG)
    with pytest.raises(LockedOutError):
        hello.offer(USER)


def test_12_each_restart_brings_a_longer_wait(machine: Machine) -> None:
    """1, 2, 10 and again 10 minutes; a right PIN begins anew."""
    hello = machine.enrolled()
    fail(machine, hello, 3)
    waits = []
    for boot in ("b1", "b2", "b3", "b4"):
        hello.type_phrase(USER, "A1B2C3")
        with pytest.raises(LockedOutError, match="restart"):
            sign(machine, hello, WRONG)
        machine.clock.reboot(boot)
        with pytest.raises(LockedOutError) as caught:
            sign(machine, hello)
        waits.append(caught.value.message.rsplit(" in ")[-1])
        machine.clock.advance(601)
    assert waits == ["1 min", "2 min", "10 min", "10 min"]
    hello.type_phrase(USER, "A1B2C3")
    sign(machine, hello)
    fail(machine, hello, 3)


def test_6_a_machine_that_runs_for_years_still_counts(machine: Machine) -> None:
    """Uptimes over 104 days do not fit into nanoseconds of a canonical integer."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    machine.clock.advance(20 * 365 * 86_400)
    fail(machine, hello, 1)
    assert failed(machine) == 1
