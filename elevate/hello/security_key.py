"""Security keys as the rooms see them: a device of the person's that holds its own keys and speaks CTAP2.

The one that talks to real devices is `elevate.hello.ctap.CtapSecurityKey`; it needs the extra ``security-key``.
"""

from dataclasses import dataclass
from typing import Protocol

from elevate.errors import GestureError
from elevate.hello.container import SecurityKeyCredential
from elevate.hello.proof import Stop
from elevate.hello.settings import PartyRules


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAssertion:
    """What a security key answers.

    Attributes:
        credential: Id of the credential it used, base64url.
    """

    credential: str
    authenticator_data: bytes
    signature: bytes


class UsbSecurityKeys:
    """Security keys on USB; python-fido2 is loaded when the first one is asked for."""

    def make(
        self, rules: PartyRules, *, owner: str, known: tuple[SecurityKeyCredential, ...], challenge: bytes
    ) -> SecurityKeyCredential:
        """Make a credential; see `SecurityKey`."""
        return _usb().make(rules, owner=owner, known=known, challenge=challenge)

    def assertion(
        self, rules: PartyRules, *, known: tuple[SecurityKeyCredential, ...], client_data: bytes, stop: Stop
    ) -> KeyAssertion:
        """Let the key sign; see `SecurityKey`."""
        return _usb().assertion(rules, known=known, client_data=client_data, stop=stop)


def _usb() -> "SecurityKey":
    try:
        from elevate.hello.ctap import CtapSecurityKey
    except ModuleNotFoundError as exc:
        hint = "install it: pip install 'elevate-broker[security-key]'"
        raise GestureError("security keys need python-fido2", hint=hint, detail=str(exc)) from exc
    return CtapSecurityKey()


class SecurityKey(Protocol):
    """Talks to whatever key is plugged in."""

    def make(
        self, rules: PartyRules, *, owner: str, known: tuple[SecurityKeyCredential, ...], challenge: bytes
    ) -> SecurityKeyCredential:
        """Make a credential on a key that has none of ``known``, its attestation checked.

        Raises:
            GestureError: No key, no touch, no verification, or what came does not verify.
        """

    def assertion(
        self, rules: PartyRules, *, known: tuple[SecurityKeyCredential, ...], client_data: bytes, stop: Stop
    ) -> KeyAssertion:
        """Let the key sign with one of ``known``, the person verified by the key itself.

        Raises:
            GestureError: No key, no touch, or no verification.
        """
