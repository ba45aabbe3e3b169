"""Rows 15, 16, 20, 21, 29, 30, 31: changes to what is enrolled."""

import shutil

import pytest

from elevate.errors import GestureError, HelloError, LockedOutError, NotEnrolledError, PinExpiredError, PinRefusedError
from elevate.hello import PinRules, Proof
from elevate.hello.container import owner_of
from tests.hello.parts import PIN, TPM_ONLY, USER, WRONG, Machine, pin_proof, sign

NEW = b"141421"


def test_15_the_history_includes_the_current_pin(machine: Machine) -> None:
    """With a history of two, the current and the one before can't come; the one before that can."""
    hello = machine.enrolled(pin=PinRules(history=2))
    with pytest.raises(PinRefusedError, match="used before"):
        hello.change_pin(USER, pin_proof(), bytearray(PIN))
    hello.change_pin(USER, pin_proof(), bytearray(NEW))
    with pytest.raises(PinRefusedError):
        hello.change_pin(USER, pin_proof(NEW), bytearray(PIN))
    hello.change_pin(USER, pin_proof(NEW), bytearray(b"173205"))
    hello.change_pin(USER, pin_proof(b"173205"), bytearray(PIN))
    assert sign(machine, hello).gesture == "pin"


def test_15_without_a_history_the_same_pin_may_come_again(machine: Machine) -> None:
    """That is the default of Windows."""
    hello = machine.enrolled()
    hello.change_pin(USER, pin_proof(), bytearray(PIN))
    assert sign(machine, hello).gesture == "pin"


def test_16_an_expired_pin_signs_nothing(machine: Machine) -> None:
    """One second before day 730 it does, on day 730 it must be changed first."""
    hello = machine.enrolled(pin=PinRules(expiration_days=730))
    machine.clock.advance(730 * 86_400 - 1)
    sign(machine, hello)
    machine.clock.advance(1)
    with pytest.raises(PinExpiredError, match="730"):
        sign(machine, hello)
    hello.change_pin(USER, pin_proof(), bytearray(NEW))
    assert sign(machine, hello, NEW).gesture == "pin"


def test_20_a_removed_face_leaves_the_pin_usable(machine: Machine) -> None:
    """And its device secret and template are gone."""
    sensor = machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    secrets = len(list((machine.folder / "device").iterdir()))
    left = hello.remove(USER, "face", pin_proof())
    assert [one["gesture"] for one in left] == ["pin"]
    assert len(list((machine.folder / "device").iterdir())) == secrets - 1
    assert not sensor._templates
    assert sign(machine, hello).gesture == "pin"
    with pytest.raises(NotEnrolledError):
        hello.remove(USER, "face", pin_proof())


def test_21_with_the_pin_all_goes(machine: Machine) -> None:
    """There is no face without a PIN."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    assert hello.remove(USER, "pin", Proof(gesture="face")) == []
    with pytest.raises(NotEnrolledError):
        hello.offer(USER)


def test_29_a_destructive_reset_leaves_nothing(machine: Machine) -> None:
    """New keys; what was signed before verifies no more."""
    hello = machine.enrolled()
    before, challenge = hello.vault.load(USER).public_key, machine.challenge()
    old = hello.sign(USER, "pin", challenge, secret=bytearray(PIN))
    hello.reset(USER)
    assert list((machine.folder / "device").iterdir()) == []
    assert hello.list(USER) == []
    hello.enrol_pin(USER, bytearray(PIN))
    assert hello.vault.load(USER).public_key != before
    with pytest.raises(GestureError):
        hello.verify(USER, old, challenge)


def test_29_a_reset_works_on_a_damaged_and_locked_container(machine: Machine) -> None:
    """Nobody is locked out for good."""
    hello = machine.enrolled()
    (machine.folder / "users" / owner_of(USER) / "tries").write_bytes(b"?")
    (machine.folder / "users" / owner_of(USER) / "container.json").write_bytes(b"?")
    hello.reset(USER)
    hello.enrol_pin(USER, bytearray(PIN))
    assert sign(machine, hello).gesture == "pin"


def test_29_forgetting_tries_keeps_the_gestures(machine: Machine) -> None:
    """The signature counter does not go back, or the next assertion would look like a copy's."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    challenge = machine.challenge()
    hello.verify(USER, hello.sign(USER, "pin", challenge, secret=bytearray(PIN)), challenge)
    for _ in range(32):
        with pytest.raises((GestureError, LockedOutError)):
            sign(machine, hello, WRONG)
    with pytest.raises(LockedOutError):
        sign(machine, hello)
    hello.unlock_tries(USER)
    challenge = machine.challenge()
    assert hello.verify(USER, hello.sign(USER, "pin", challenge, secret=bytearray(PIN)), challenge).method == "pin"


def test_30_a_reset_by_another_gesture_keeps_the_key(machine: Machine) -> None:
    """Same public key; the old PIN is refused, and so is the old container put back."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    before = hello.vault.load(USER).public_key
    folder = machine.folder / "users" / owner_of(USER)
    shutil.copy2(folder / "container.json", folder / "kept")
    hello.change_pin(USER, Proof(gesture="face"), bytearray(NEW))
    assert hello.vault.load(USER).public_key == before
    assert sign(machine, hello, NEW).gesture == "pin"
    assert sign(machine, hello, gesture="face").gesture == "face"
    with pytest.raises(GestureError):
        sign(machine, hello, PIN)
    (folder / "kept").replace(folder / "container.json")
    for pin in (PIN, NEW):
        with pytest.raises(GestureError):
            sign(machine, machine.hello(), pin)


def test_30_without_a_proof_nothing_is_reset(machine: Machine) -> None:
    """A wrong PIN is a try, and the PIN stays."""
    hello = machine.enrolled()
    with pytest.raises(GestureError, match="3 tries"):
        hello.change_pin(USER, pin_proof(WRONG), bytearray(NEW))
    assert sign(machine, hello).gesture == "pin"


def test_attack_45_31_on_a_root_broker_enrolment_and_reset_need_root(machine: Machine) -> None:
    """A further gesture needs an existing one, root or not."""
    machine.sensor("face")
    hello = machine.hello(root_broker=True)
    with pytest.raises(HelloError, match="needs root"):
        hello.enrol_pin(USER, bytearray(PIN))
    hello.enrol_pin(USER, bytearray(PIN), root=True)
    for attempt in (hello.reset, hello.unlock_tries):
        with pytest.raises(HelloError, match="needs root"):
            attempt(USER)
    with pytest.raises(GestureError):
        hello.enrol(USER, "face", pin_proof(WRONG))
    hello.enrol(USER, "face", pin_proof())
    with pytest.raises(HelloError, match="already"):
        hello.enrol_pin(USER, bytearray(NEW), root=True)
    hello.reset(USER, root=True)
    assert hello.list(USER) == []


def test_a_gesture_can_be_named(machine: Machine) -> None:
    """With what can be shown, and no more."""
    hello = machine.enrolled()
    assert hello.rename(USER, "pin", "on the laptop")["label"] == "on the laptop"
    for label in ("a\x1b[2J", "x" * 65):
        with pytest.raises(HelloError, match="printable"):
            hello.rename(USER, "pin", label)
    with pytest.raises(NotEnrolledError):
        hello.rename(USER, "face", "me")
