"""Windows' own names and numbers for settings and results. Pure.

Source: PassportForWork CSP; GroupPolicy "Configure enhanced anti-spoofing"; Windows.Security.Credentials.UI
(UserConsentVerificationResult); hello.md rows 14, 25, 33, 35.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum

from elevate.errors import (
    BusyError,
    CancelledError,
    DeclinedError,
    DeviceAbsentError,
    DeviceBusyError,
    ElevateError,
    GestureDisabledError,
    HelloError,
    LockedOutError,
    NotEnrolledError,
    PromptTimedOutError,
)
from elevate.hello.settings import AntiSpoofing, Characters, HelloSettings

_PIN_NAMES: Mapping[str, str] = {
    "MinimumPINLength": "minimum_length",
    "MaximumPINLength": "maximum_length",
    "Digits": "digits",
    "LowercaseLetters": "lowercase",
    "UppercaseLetters": "uppercase",
    "SpecialCharacters": "special",
    "Expiration": "expiration_days",
    "History": "history",
}
_CHARACTERS = frozenset({"digits", "lowercase", "uppercase", "special"})
_FLAGS: Mapping[str, str] = {"UseBiometrics": "use_biometrics", "RequireSecurityDevice": "require_security_device"}
_ANTI_SPOOFING = "FacialFeaturesUseEnhancedAntiSpoofing"


class UserConsentVerificationResult(IntEnum):
    """What came of asking a person."""

    VERIFIED = 0
    DEVICE_NOT_PRESENT = 1
    NOT_CONFIGURED_FOR_USER = 2
    DISABLED_BY_POLICY = 3
    DEVICE_BUSY = 4
    RETRIES_EXHAUSTED = 5
    CANCELED = 6


_RESULTS: tuple[tuple[type[ElevateError], UserConsentVerificationResult], ...] = (
    (DeviceAbsentError, UserConsentVerificationResult.DEVICE_NOT_PRESENT),
    (NotEnrolledError, UserConsentVerificationResult.NOT_CONFIGURED_FOR_USER),
    (GestureDisabledError, UserConsentVerificationResult.DISABLED_BY_POLICY),
    (DeviceBusyError, UserConsentVerificationResult.DEVICE_BUSY),
    (BusyError, UserConsentVerificationResult.DEVICE_BUSY),
    (LockedOutError, UserConsentVerificationResult.RETRIES_EXHAUSTED),
    (DeclinedError, UserConsentVerificationResult.CANCELED),
    (CancelledError, UserConsentVerificationResult.CANCELED),
    (PromptTimedOutError, UserConsentVerificationResult.CANCELED),
)


def result_of(error: ElevateError | None) -> UserConsentVerificationResult:
    """Give Windows' result for how a prompt ended; a gesture that failed for good has used its retries up."""
    if error is None:
        return UserConsentVerificationResult.VERIFIED
    found = (result for kind, result in _RESULTS if isinstance(error, kind))
    return next(found, UserConsentVerificationResult.RETRIES_EXHAUSTED)


def from_windows(values: Mapping[str, int], base: HelloSettings | None = None) -> HelloSettings:
    """Read settings by their Windows names; what is not named stays as in ``base``.

    Raises:
        HelloError: An unknown name, or a number that Windows has no room for.
    """
    base = base or HelloSettings()
    pin: dict[str, int] = {}
    rest: dict[str, bool | AntiSpoofing] = {}
    try:
        for name, value in values.items():
            if name in _PIN_NAMES:
                field = _PIN_NAMES[name]
                pin[field] = Characters(value) if field in _CHARACTERS else value
            elif name in _FLAGS:
                rest[_FLAGS[name]] = (False, True)[value]
            elif name == _ANTI_SPOOFING:
                rest["anti_spoofing"] = AntiSpoofing(value)
            else:
                raise HelloError(f"unknown setting {name[:60]!r}", hint=f"known are {', '.join(NAMES)}")
        return replace(base, pin=replace(base.pin, **pin), **rest)  # type: ignore[arg-type] # checked by their types
    except (ValueError, IndexError, TypeError) as exc:
        raise HelloError(f"a setting's number is not one of Windows': {exc}", hint="see docs/hello.md") from exc


def to_windows(settings: HelloSettings) -> dict[str, int]:
    """Give the settings by their Windows names."""
    pin = {name: int(getattr(settings.pin, field)) for name, field in _PIN_NAMES.items()}
    flags = {name: int(getattr(settings, field)) for name, field in _FLAGS.items()}
    return pin | flags | {_ANTI_SPOOFING: int(settings.anti_spoofing)}


NAMES = (*_PIN_NAMES, *_FLAGS, _ANTI_SPOOFING)
