"""Prompters: who asks, and that none of them says yes by itself."""

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from elevate.broker.prompting import ScriptedPrompter, SensorPrompter
from elevate.canonical import Json
from elevate.errors import CancelledError, DeclinedError, GestureError, NotEnrolledError
from elevate.hello import Sight, SoftwareHello, prompt_view
from elevate.model import Outcome
from tests.hello.parts import OFFER, PIN, USER, WRONG, Machine, Switch, agreement, pin_proof

VIEW = prompt_view(agreement(), OFFER, emulated=True)
CONSENT = prompt_view(agreement(outcome=Outcome.CONSENT), OFFER, emulated=True)


def offered(hello: SoftwareHello, outcome: Outcome = Outcome.CREDENTIAL) -> Mapping[str, Json]:
    """Give a view with what the person can do now."""
    return prompt_view(agreement(outcome=outcome), hello.offer(USER), emulated=True)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "hello")


def test_a_scripted_person_types_the_pin(machine: Machine) -> None:
    """And sees the view."""
    hello = machine.enrolled()
    prompter = ScriptedPrompter(hello, PIN)
    challenge = machine.challenge()
    made = prompter.ask(VIEW, USER, challenge, cancel=Switch())
    assert hello.verify(USER, made, challenge).method == "pin"
    assert prompter.views == [VIEW]


def test_a_scripted_person_can_be_wrong_decline_consent_or_leave(machine: Machine) -> None:
    """Each way out is an error of its own; consent is asked for by the view alone."""
    hello = machine.enrolled()
    cases = [
        (ScriptedPrompter(hello, WRONG), Switch(), GestureError),
        (ScriptedPrompter(hello, PIN, decline=True), Switch(), DeclinedError),
        (ScriptedPrompter(hello, PIN), Switch(fired=True), CancelledError),
    ]
    for prompter, cancel, error in cases:
        with pytest.raises(error):
            prompter.ask(VIEW, USER, machine.challenge(), cancel=cancel)
    made = ScriptedPrompter(hello).ask(CONSENT, USER, machine.challenge(), cancel=Switch())
    assert made.gesture == "consent"


def test_without_a_terminal_sensors_answer(machine: Machine) -> None:
    """The first that knows the person; the PIN can't be typed anywhere."""
    machine.sensor("face", Sight.NO_MATCH)
    machine.sensor("fingerprint")
    hello = machine.enrolled()
    prompter = SensorPrompter(hello)
    with pytest.raises(NotEnrolledError, match="no terminal"):
        prompter.ask(offered(hello), USER, machine.challenge(), cancel=Switch())
    for gesture in ("face", "fingerprint"):
        hello.enrol(USER, gesture, pin_proof())
    made = prompter.ask(offered(hello), USER, machine.challenge(), cancel=Switch())
    assert made.gesture == "fingerprint"


def test_without_a_terminal_nobody_known_is_refused(machine: Machine) -> None:
    """Never a silent yes, in mode consent either."""
    machine.sensor("face", Sight.MATCH)
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    machine.sensors["face"].script = type(machine.sensors["face"].script)(sights=(Sight.NO_MATCH,))
    for outcome in (Outcome.CREDENTIAL, Outcome.CONSENT):
        view = offered(hello, outcome)
        with pytest.raises(GestureError, match="recognise"):
            SensorPrompter(hello).ask(view, USER, machine.challenge(), cancel=Switch())
    with pytest.raises(CancelledError):
        SensorPrompter(hello).ask(offered(hello), USER, machine.challenge(), cancel=Switch(fired=True))


def test_a_simulated_gesture_counts_nowhere_unless_allowed(machine: Machine) -> None:
    """Attack 46: neither offered, nor signed, nor verified when it was signed before."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    challenge = machine.challenge()
    made = hello.sign(USER, "face", challenge)
    real = machine.hello(allow_simulated_gestures=False)
    assert real.offer(USER).gestures == ("pin",)
    with pytest.raises(NotEnrolledError):
        real.sign(USER, "face", machine.challenge())
    real.expect(challenge)
    with pytest.raises(GestureError):
        real.verify(USER, made, challenge)


def test_argon2id_runs_one_at_a_time_for_many_callers(machine: Machine) -> None:
    """Eight threads, eight right PINs, all counted and given back."""
    hello = machine.enrolled()
    left = hello.offer(USER).tries_left
    results: list[str] = []

    def work(challenge: bytes) -> None:
        results.append(hello.sign(USER, "pin", challenge, secret=bytearray(PIN)).gesture)

    threads = [threading.Thread(target=work, args=(machine.challenge(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["pin"] * 2
    assert hello.offer(USER).tries_left == left
