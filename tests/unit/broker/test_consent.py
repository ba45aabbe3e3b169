"""Consent counts only where the requester does not own screen and keyboard."""

import pytest

from elevate.broker.elevation import _raised
from elevate.model import Allow, Outcome


@pytest.mark.parametrize(
    ("outcome", "emulated", "asked"),
    [
        (Outcome.CONSENT, True, Outcome.CONSENT),
        (Outcome.CONSENT, False, Outcome.CREDENTIAL),
        (Outcome.CREDENTIAL, False, Outcome.CREDENTIAL),
        (Outcome.SERVICE, False, Outcome.SERVICE),
    ],
)
def test_37_consent_is_raised_to_credential_on_a_real_host(outcome: Outcome, *, emulated: bool, asked: Outcome) -> None:
    """The prompt asks for a credential there, whatever the rule says; the emulated machine takes the rule's word."""
    assert _raised(Allow(outcome=outcome, rules=("r",)), emulated=emulated).outcome is asked
