"""Consent counts only where the requester does not own screen and keyboard."""

from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest

from elevate.broker import Broker
from elevate.broker.deciding import _raised
from elevate.broker.elevation import _check_strength
from elevate.errors import GestureError, NotEnrolledError
from elevate.model import Allow, Obligations, Outcome, VerifiedGesture
from elevate.tasks import Task


@pytest.mark.parametrize(
    ("outcome", "consent", "asked"),
    [
        (Outcome.CONSENT, True, Outcome.CONSENT),
        (Outcome.CONSENT, False, Outcome.CREDENTIAL),
        (Outcome.CREDENTIAL, False, Outcome.CREDENTIAL),
        (Outcome.SERVICE, False, Outcome.SERVICE),
    ],
)
def test_37_consent_is_raised_to_credential_on_a_real_host(outcome: Outcome, *, consent: bool, asked: Outcome) -> None:
    """The prompt asks for a credential there, whatever the rule says; so it does here unless its setting says else."""
    assert _raised(Allow(outcome=outcome, rules=("r",)), consent=consent).outcome is asked


@pytest.mark.parametrize(
    ("acr", "needed", "enough"),
    [
        ("pin", "any", True),
        ("pin", "pin", True),
        ("pin", "biometric", False),
        ("biometric", "biometric", True),
        ("biometric", "hardware", False),
        ("hardware", "hardware", True),
        ("hardware", "biometric", True),
        ("consent", "pin", False),
    ],
)
def test_the_strength_that_was_verified_counts(broker: Broker, acr: str, needed: str, *, enough: bool) -> None:
    """A PIN that a TPM holds is hardware; the gesture's name alone says nothing."""
    gesture = VerifiedGesture(method="pin", amr=("pin",), acr=f"urn:elevate:acr:{acr}", credential="c", auth_time=0)
    decision = Allow(outcome=Outcome.CREDENTIAL, rules=("r",), obligations=Obligations(min_strength=needed))
    agreement = replace(broker.elevate(Task.run(["true"])).agreement, decision=decision)
    with nullcontext() if enough else pytest.raises(GestureError, match=needed):
        _check_strength(broker.parts, agreement, gesture)


@dataclass(frozen=True)
class _RealHost:
    emulated: bool = False
    name: str = "linux:1"


@pytest.mark.parametrize("simulated", [True, False])
def test_a_real_host_asks_nobody_who_is_shown_nothing(broker: Broker, *, simulated: bool) -> None:
    """Without a terminal a sensor would be a silent yes; only a machine for tests, whose gestures are scripts, goes on."""
    settings = replace(broker.parts.settings, allow_simulated_gestures=simulated)
    broker.parts = replace(broker.parts, host=_RealHost(), settings=settings)  # type: ignore[arg-type]
    with nullcontext() if simulated else pytest.raises(NotEnrolledError, match="no terminal to show"):
        broker.prompter(None)
