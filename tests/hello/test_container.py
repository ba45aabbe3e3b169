"""Rows 13, 14, 17 to 23, 25, 26, 27, 36, 40: PINs, containers, sensors."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.errors import GestureError, HelloDamagedError, HelloError, NotEnrolledError, PinRefusedError
from elevate.hello import MemorySecrets, PinRules, Sight, SoftwareHello, scripted_sensors
from elevate.hello.container import owner_of
from elevate.hello.pins import check_new_pin, is_simple
from elevate.hello.settings import Characters
from tests.hello.parts import PIN, SETTINGS, USER, Machine, pin_proof, sign


@pytest.mark.parametrize("length", range(4, 9))
def test_13_exactly_a_hundred_simple_pins_of_each_length(length: int) -> None:
    """A constant difference modulo 10, counted over all PINs where that is quick and over random ones elsewhere."""
    simple = {bytes(48 + (first + step * at) % 10 for at in range(length)) for first in range(10) for step in range(10)}
    assert len(simple) == 100
    assert all(is_simple(pin) for pin in simple)
    if length <= 5:
        every = (bytes(digits) for digits in itertools.product(b"0123456789", repeat=length))
        assert {pin for pin in every if is_simple(pin)} == simple


def test_13_a_simple_pin_is_refused_at_enrolment(machine: Machine) -> None:
    """The message names the rule and not the PIN."""
    with pytest.raises(PinRefusedError, match="simple") as caught:
        machine.hello().enrol_pin(USER, bytearray(b"975319"))
    assert "975319" not in str(caught.value)


KINDS = st.sampled_from(list(Characters))
LENGTHS = st.integers(4, 127)


@given(
    pin=st.binary(min_size=1, max_size=130).map(bytearray), low=LENGTHS, high=LENGTHS, digits=KINDS, upper=KINDS, special=KINDS
)
def test_14_a_pin_passes_only_if_it_keeps_every_rule(
    pin: bytearray, low: int, high: int, digits: Characters, upper: Characters, special: Characters
) -> None:
    """Against the rules written out a second time."""
    low, high = min(low, high), max(low, high)
    rules = PinRules(
        minimum_length=low, maximum_length=high, digits=digits, uppercase=upper, lowercase=Characters.ALLOWED, special=special
    )
    text = pin.decode("latin-1")
    classes = ((digits, str.isdigit), (upper, str.isupper), (special, lambda char: not char.isalnum()))
    good = low <= len(pin) <= high and all(" " <= char <= "~" for char in text) and not is_simple(pin)
    for rule, belongs in classes:
        present = any(belongs(char) for char in text)
        good = good and (rule is Characters.ALLOWED or present is (rule is Characters.REQUIRED))
    try:
        check_new_pin(pin, rules)
    except PinRefusedError:
        assert not good
    else:
        assert good


@pytest.mark.parametrize("changes", [{"minimum_length": 3}, {"maximum_length": 128}, {"expiration_days": 731}, {"history": 51}])
def test_14_settings_outside_of_windows_bounds_are_refused(changes: dict[str, int]) -> None:
    """4 to 127 characters, 0 to 730 days, 0 to 50 old PINs."""
    with pytest.raises(ValueError, match=r"4 to 127|0 to 730"):
        PinRules(**changes)  # type: ignore[arg-type]


def test_17_a_container_copied_to_another_device_does_not_unlock(machine: Machine) -> None:
    """All files but the device secret; the right PIN is wrong there."""
    machine.enrolled()
    elsewhere = SoftwareHello(
        machine.folder, clock=machine.clock, entropy=machine.entropy(), settings=SETTINGS, secrets=MemorySecrets()
    )
    with pytest.raises(GestureError, match="wrong PIN"):
        sign(machine, elsewhere)


def test_18_the_pin_is_in_no_file_and_wiped_after_use(machine: Machine) -> None:
    """Neither the caller's buffer nor the folder has it."""
    hello = machine.hello()
    first, second = bytearray(PIN), bytearray(PIN)
    hello.enrol_pin(USER, first)
    hello.sign(USER, "pin", machine.challenge(), secret=second)
    assert first == second == bytes(len(PIN))
    kept = [path for path in machine.folder.rglob("*") if path.is_file()]
    assert len(kept) >= 4
    assert not any(PIN in path.read_bytes() for path in kept)


def test_18_every_file_is_its_owners_alone(machine: Machine) -> None:
    """0600 in folders of 0700; a file that others may read is refused, not mended."""
    hello = machine.enrolled()
    for path in [machine.folder, *machine.folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    (machine.folder / "users" / owner_of(USER) / "container.json").chmod(0o644)
    with pytest.raises(HelloDamagedError, match="not private"):
        hello.offer(USER)


def test_18_a_link_in_place_of_a_file_is_refused(machine: Machine, tmp_path: Path) -> None:
    """Symbolic or hard."""
    hello = machine.enrolled()
    path = machine.folder / "users" / owner_of(USER) / "container.json"
    path.rename(tmp_path / "real")
    for link in (os.symlink, os.link):
        link(tmp_path / "real", path)
        with pytest.raises(HelloDamagedError):
            hello.offer(USER)
        path.unlink()


def test_20_each_gesture_wraps_the_same_key(machine: Machine) -> None:
    """Two wraps, two device secrets, one public key."""
    machine.sensor("face")
    hello = machine.enrolled()
    before = hello.vault.load(USER).public_key
    hello.enrol(USER, "face", pin_proof())
    held = hello.vault.load(USER)
    assert held.public_key == before
    assert len({one.sealed for one in held.protectors}) == len({one.secret for one in held.protectors}) == 2
    for gesture in ("pin", "face"):
        challenge = machine.challenge()
        made = hello.sign(USER, gesture, challenge, secret=bytearray(PIN) if gesture == "pin" else None)
        assert hello.verify(USER, made, challenge).method == gesture


def test_20_a_wrap_moved_to_another_person_unlocks_nothing(machine: Machine) -> None:
    """It is bound to its owner and credential."""
    hello = machine.enrolled()
    hello.enrol_pin("mallory", bytearray(b"161803"))
    mallory, alice = hello.vault.load("mallory"), hello.vault.load(USER)
    moved = mallory.protector("pin")
    assert moved is not None
    hello.vault.save(alice.with_protector(moved))
    with pytest.raises(GestureError):
        sign(machine, hello, b"161803")


def test_21_a_pin_comes_first(machine: Machine) -> None:
    """No face without a PIN."""
    machine.sensor("face")
    with pytest.raises(NotEnrolledError):
        machine.hello().enrol(USER, "face", pin_proof())


def test_22_templates_swapped_between_people_match_nobody(machine: Machine) -> None:
    """Bob's template in Alice's container, and the containers' own records swapped."""
    sensor = machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol_pin("bob", bytearray(PIN))
    for user in (USER, "bob"):
        hello.enrol(user, "face", pin_proof())
    templates = list(sensor._templates)
    swapped = [sensor._templates[name] for name in reversed(templates)]
    sensor._templates = dict(zip(templates, swapped, strict=True))
    with pytest.raises(GestureError, match="did not recognise"):
        sign(machine, hello, gesture="face")


@pytest.mark.parametrize("sight", [sight for sight in Sight if sight is not Sight.MATCH])
def test_25_only_a_match_opens(machine: Machine, sight: Sight) -> None:
    """A spoof, a time-out, an error: each refused, and no try of the PIN is lost."""
    machine.sensor("face", Sight.MATCH)
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    machine.sensors["face"].script = type(machine.sensors["face"].script)(sights=(sight,))
    left = hello.offer(USER).tries_left
    with pytest.raises(GestureError):
        sign(machine, hello, gesture="face")
    assert hello.offer(USER).tries_left == left


def test_26_a_sensor_that_sees_nobody_gives_up_after_two_seconds(machine: Machine) -> None:
    """On the clock that it was given; the PIN is offered all the time."""
    sensor = machine.sensor("face", Sight.TIME_OUT)

    def let_pass(milliseconds: int, _stop: Callable[[], bool]) -> None:
        machine.clock.advance(milliseconds / 1000)

    sensor._wait = let_pass
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    before = machine.clock.read().mono_ns
    with pytest.raises(GestureError, match="in time"):
        sign(machine, hello, gesture="face")
    assert machine.clock.read().mono_ns - before == 2_000_000_000
    assert "pin" in hello.offer(USER).gestures


def test_27_the_gesture_used_last_is_offered_first(machine: Machine) -> None:
    """Then the others; the PIN is always among them."""
    machine.sensor("face")
    machine.sensor("fingerprint")
    hello = machine.enrolled()
    for gesture in ("fingerprint", "face"):
        hello.enrol(USER, gesture, pin_proof())
    assert hello.offer(USER).gestures == ("pin", "face", "fingerprint")
    challenge = machine.challenge()
    hello.verify(USER, hello.sign(USER, "fingerprint", challenge), challenge)
    assert machine.hello().offer(USER).gestures == ("fingerprint", "face", "pin")


def test_36_the_methods_say_what_was_used(machine: Machine) -> None:
    """Software says swk, a scripted sensor says simulated, consent says user only."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    found = {}
    for gesture in ("pin", "face", "consent"):
        challenge = machine.challenge()
        made = hello.sign(USER, gesture, challenge, secret=bytearray(PIN) if gesture == "pin" else None)
        verified = hello.verify(USER, made, challenge)
        found[gesture] = (verified.amr, verified.acr.removeprefix("urn:elevate:acr:"), verified.simulated)
    assert found == {
        "pin": (("pin", "swk", "mfa"), "pin", False),
        "face": (("face", "swk", "mfa", "simulated"), "biometric", True),
        "consent": (("user",), "consent", False),
    }


def test_40_the_eleventh_person_is_refused(machine: Machine) -> None:
    """Ten people at most."""
    hello = machine.hello()
    for number in range(10):
        hello.enrol_pin(f"user{number}", bytearray(PIN))
    with pytest.raises(HelloError, match="10 people"):
        hello.enrol_pin("user10", bytearray(PIN))


def test_40_the_eleventh_finger_is_refused(machine: Machine) -> None:
    """Ten fingers, each of which opens; they are removed together."""
    sensor = machine.sensor("fingerprint")
    hello = machine.enrolled()
    for number in range(10):
        told = hello.enrol(USER, "fingerprint", pin_proof(), label=f"finger {number}")
        assert told["label"] == f"finger {number}"
    with pytest.raises(HelloError, match="ten times"):
        hello.enrol(USER, "fingerprint", pin_proof())
    templates = sensor._templates
    sensor._templates = dict(list(templates.items())[4:5])
    assert sign(machine, hello, gesture="fingerprint").gesture == "fingerprint"
    sensor._templates = {}
    with pytest.raises(GestureError):
        sign(machine, hello, gesture="fingerprint")
    assert [one["gesture"] for one in hello.remove(USER, "fingerprint", pin_proof())] == ["pin"]


def test_a_sensor_script_is_read_from_its_file(machine: Machine) -> None:
    """Templates outlive a restart; a script that can't be is one clear error."""
    machine.hello()
    script = machine.folder / "sensor.toml"
    script.touch(mode=0o600)
    script.write_text('[face]\nsights = ["match"]\ndelay_ms = 3\n')

    def read() -> dict[str, object]:
        return dict(scripted_sensors(machine.folder, clock=machine.clock, entropy=machine.entropy()))

    machine.sensors = read()  # type: ignore[assignment]
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    machine.sensors = read()  # type: ignore[assignment]
    assert sign(machine, machine.hello(), gesture="face").gesture == "face"
    script.write_text('[face]\nsights = ["wink"]\n')
    with pytest.raises(HelloDamagedError, match="wink"):
        read()
