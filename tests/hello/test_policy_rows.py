"""Rows 14, 25, 28, 33, 35, 39, 41 and 49: settings and results by Windows' names and numbers."""

import pytest

from elevate.broker.prompting import ScriptedPrompter, SensorPrompter
from elevate.errors import (
    BusyError,
    CancelledError,
    DeclinedError,
    ElevateError,
    GestureDisabledError,
    GestureError,
    HelloError,
    LockedOutError,
    NotEnrolledError,
    PromptTimedOutError,
)
from elevate.hello import HelloSettings, LockoutRules, Sight, SoftwareHello, prompt_view
from elevate.hello.settings import AntiSpoofing, MultiFactor
from elevate.hello.signals import ScriptedSignal, WhileNear
from elevate.hello.windows import NAMES, UserConsentVerificationResult, from_windows, result_of, to_windows
from tests.hello.parts import OFFER, PIN, TPM_ONLY, USER, WRONG, Machine, Switch, agreement, pin_proof, sign

VIEW = prompt_view(agreement(), OFFER, emulated=True)
RESULT = UserConsentVerificationResult


def test_14_windows_names_and_numbers_round_trip() -> None:
    """Every name is kept verbatim."""
    values = {
        "MinimumPINLength": 4,
        "MaximumPINLength": 127,
        "Digits": 1,
        "LowercaseLetters": 0,
        "UppercaseLetters": 2,
        "SpecialCharacters": 2,
        "Expiration": 730,
        "History": 50,
        "UseBiometrics": 0,
        "RequireSecurityDevice": 1,
        "FacialFeaturesUseEnhancedAntiSpoofing": 1,
    }
    assert set(values) == set(NAMES)
    assert to_windows(from_windows(values)) == values
    assert from_windows({}) == HelloSettings()


@pytest.mark.parametrize(
    "values",
    [{"MinimumPINLength": 3}, {"Digits": 3}, {"Expiration": 731}, {"History": 51}, {"UseBiometrics": 2}, {"PinLength": 6}],
)
def test_14_what_windows_has_no_room_for_is_refused(values: dict[str, int]) -> None:
    """A number out of its bounds, or another name."""
    with pytest.raises(HelloError, match=r"Windows|unknown"):
        from_windows(values)


@pytest.mark.parametrize(
    ("policy", "able", "usable"),
    [
        (AntiSpoofing.NOT_CONFIGURED, False, True),
        (AntiSpoofing.NOT_REQUIRED, False, True),
        (AntiSpoofing.REQUIRED, False, False),
        (AntiSpoofing.REQUIRED, True, True),
    ],
)
def test_25_the_three_states_of_enhanced_anti_spoofing(
    machine: Machine,
    policy: AntiSpoofing,
    able: bool,  # noqa: FBT001 - a parameter of the test
    usable: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Where it is required, a camera without it neither enrols nor opens."""
    machine.sensor("face", anti_spoofing=able)
    machine.enrolled().enrol(USER, "face", pin_proof())
    hello = machine.hello(anti_spoofing=policy)
    assert ("face" in hello.offer(USER).gestures) is usable
    if not usable:
        with pytest.raises(GestureDisabledError):
            sign(machine, hello, gesture="face")
        hello.remove(USER, "face", pin_proof())
        with pytest.raises(GestureDisabledError):
            hello.enrol(USER, "face", pin_proof())


@pytest.mark.parametrize(
    ("first", "second"),
    [(("face",), ("fingerprint",)), (("pin",), ("pin",)), (("trusted-signal",), ("pin",)), (("pin",), ())],
)
def test_28_lists_that_can_not_be_meant_are_refused(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    """No PIN, one gesture in both, a signal first, nothing second."""
    with pytest.raises(ValueError, match=r"PIN|lists|signal"):
        MultiFactor(first=first, second=second)


def two_factors(machine: Machine, second: tuple[str, ...], signal: ScriptedSignal | None = None) -> SoftwareHello:
    from dataclasses import replace

    rules = MultiFactor(first=("pin",), second=second)
    return SoftwareHello(
        machine.folder,
        clock=machine.clock,
        entropy=machine.entropy(),
        sensors=machine.sensors,
        settings=replace(machine.settings, multi_factor=rules),
        signal=signal,
    )


def test_28_two_gestures_are_made_and_both_are_signed(machine: Machine) -> None:
    """The PIN and the face; the token says both."""
    machine.sensor("face")
    machine.enrolled().enrol(USER, "face", pin_proof())
    hello = two_factors(machine, ("face",))
    challenge = machine.challenge()
    verified = hello.verify(USER, hello.sign(USER, "pin", challenge, secret=bytearray(PIN)), challenge)
    assert (verified.method, verified.amr) == ("face", ("pin", "face", "swk", "mfa", "simulated"))


def test_28_one_gesture_is_not_enough(machine: Machine) -> None:
    """The face fails: nothing is signed. An assertion of one gesture does not verify either."""
    sensor = machine.sensor("face")
    alone = machine.enrolled()
    alone.enrol(USER, "face", pin_proof())
    sensor.script = type(sensor.script)(sights=(Sight.NO_MATCH,))
    hello = two_factors(machine, ("face",))
    with pytest.raises(GestureError):
        sign(machine, hello)
    challenge = machine.challenge()
    one = alone.sign(USER, "pin", challenge, secret=bytearray(PIN))
    hello.expect(challenge)
    with pytest.raises(GestureError) as caught:
        hello.verify(USER, one, challenge)
    assert "too few" in caught.value.detail


def test_28_a_trusted_signal_is_a_second_factor_only_while_it_is_near(machine: Machine) -> None:
    """And it says what it is."""
    machine.enrolled()
    signal = ScriptedSignal()
    hello = two_factors(machine, ("trusted-signal",), signal)
    challenge = machine.challenge()
    verified = hello.verify(USER, hello.sign(USER, "pin", challenge, secret=bytearray(PIN)), challenge)
    assert (verified.method, verified.amr) == ("pin", ("pin", "geo", "swk", "mfa"))
    signal.lose()
    with pytest.raises(GestureError, match="two gestures"):
        sign(machine, hello)


def test_33_where_hardware_is_required_software_enrols_nobody(machine: Machine) -> None:
    """NotConfiguredForUser."""
    with pytest.raises(NotEnrolledError) as caught:
        machine.hello(require_security_device=True).enrol_pin(USER, bytearray(PIN))
    assert result_of(caught.value) is RESULT.NOT_CONFIGURED_FOR_USER


def outcome(machine: Machine, hello: SoftwareHello, gesture: str = "face", pin: bytes = PIN) -> int:
    """Ask, and give Windows' number for what came of it."""
    challenge = machine.challenge()
    prompter = ScriptedPrompter(hello, pin, gesture=gesture)
    try:
        hello.verify(USER, prompter.ask(VIEW, USER, challenge, cancel=Switch()), challenge)
    except ElevateError as error:
        return result_of(error).value
    return result_of(None).value


def test_35_each_result_is_reached_by_a_script(machine: Machine) -> None:
    """0 to 6, by what the sensor sees, what is enrolled, what is allowed, and what the person does."""
    sensor = machine.sensor("face", Sight.MATCH, Sight.ABSENT, Sight.BUSY)
    hello = machine.enrolled(lockout=TPM_ONLY)
    hello.enrol(USER, "face", pin_proof())
    assert [outcome(machine, hello) for _ in range(3)] == [0, 1, 4]
    sensor.script = type(sensor.script)()
    assert outcome(machine, hello, "fingerprint") == 2
    assert outcome(machine, machine.hello(use_biometrics=False)) == 3
    for _ in range(31):
        with pytest.raises(GestureError):
            sign(machine, hello, WRONG)
    assert outcome(machine, hello, "pin", WRONG) == 5
    for ended in (DeclinedError("x"), CancelledError("x"), PromptTimedOutError("x")):
        assert result_of(ended) is RESULT.CANCELED


def test_39_a_remote_session_gets_no_gesture_of_this_machine(machine: Machine) -> None:
    """Who stands before the camera is not who asks; unless the owner allows it."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    requester = VIEW["requester"]
    assert isinstance(requester, dict)
    remote = {**VIEW, "requester": {**requester, "remote": True}}
    with pytest.raises(NotEnrolledError):
        SensorPrompter(hello).ask(remote, USER, machine.challenge(), cancel=Switch())
    allowed = machine.hello(allow_remote_gestures=True)
    assert SensorPrompter(allowed).ask(remote, USER, machine.challenge(), cancel=Switch()).gesture == "face"


def test_41_a_lost_signal_fires_the_cancel() -> None:
    """The descriptor turns readable too; without a signal only the caller counts."""
    import select

    signal, switch = ScriptedSignal(), Switch()
    with WhileNear(switch, signal) as both, WhileNear(switch, None) as alone:
        assert not both.cancelled()
        assert not select.select([both.fileno()], [], [], 0)[0]
        signal.lose()
        assert both.cancelled()
        assert select.select([both.fileno()], [], [], 0)[0]
        assert not alone.cancelled()
        switch.fire()
        assert alone.cancelled()


def test_49_wrong_pins_that_come_too_quickly_do_not_count(machine: Machine) -> None:
    """Ten in a minute; the eleventh is turned away and no try is lost, not even for a right PIN; then time passes."""
    hello = machine.enrolled(lockout=LockoutRules(phrase_after=0))
    for _ in range(10):
        with pytest.raises(GestureError):
            sign(machine, hello, WRONG)
    for pin in (WRONG, PIN):
        with pytest.raises(BusyError, match="60 s"):
            sign(machine, hello, pin)
    assert hello.offer(USER).tries_left == 22
    machine.clock.advance(60)
    assert sign(machine, hello).gesture == "pin"


def test_49_a_right_pin_is_never_too_quick(machine: Machine) -> None:
    """Only wrong ones are counted for the pace."""
    hello = machine.enrolled()
    assert {sign(machine, hello).gesture for _ in range(30)} == {"pin"}


def test_locked_out_is_an_error_of_its_own() -> None:
    """Windows' number for it is 5."""
    assert result_of(LockedOutError("x")) == 5
