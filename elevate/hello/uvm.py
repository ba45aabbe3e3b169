"""Which gesture was made, as it stands in what is signed and in the token. Pure.

Source: W3C WebAuthn Level 3 section 10.2 (extension ``uvm``); FIDO registry of predefined values (user verification methods,
key and matcher protection); RFC 8176 (``amr`` values).
"""

from collections.abc import Mapping

from elevate.errors import GestureError
from elevate.hello import cbor
from elevate.hello.container import CONSENT, FACE, FINGERPRINT, PIN, SECURITY_KEY

_METHODS: Mapping[str, int] = {CONSENT: 0x01, FINGERPRINT: 0x02, PIN: 0x04, FACE: 0x10}
_SOFTWARE, _HARDWARE = 1, 2
_AMR: Mapping[str, str] = {PIN: "pin", FACE: "face", FINGERPRINT: "fpt", SECURITY_KEY: "pop", CONSENT: "user"}
_STRENGTH: Mapping[str, str] = {
    CONSENT: "consent",
    PIN: "pin",
    FACE: "biometric",
    FINGERPRINT: "biometric",
    SECURITY_KEY: "hardware",
}


def encode(gesture: str, *, hardware: bool = False) -> bytes:
    """Give the extension data that says how the person was verified."""
    protection = _HARDWARE if hardware else _SOFTWARE
    return cbor.encode({"uvm": [[_METHODS[gesture], protection, _SOFTWARE]]})


def decode(extensions: bytes) -> str:
    """Give the gesture that was signed.

    Raises:
        GestureError: None, or one that we do not know.
    """
    try:
        match cbor.decode(extensions):
            case {"uvm": [[int(method), int(), int()]]}:
                return next(name for name, number in _METHODS.items() if number == method)
            case _:
                pass
    except (ValueError, StopIteration) as exc:
        raise GestureError("the gesture does not verify", detail=f"uvm: {exc!r}") from exc
    raise GestureError("the gesture does not verify", detail="uvm is missing")


def amr(gesture: str, *, simulated: bool, hardware: bool = False) -> tuple[str, ...]:
    """Give the authentication methods of a token; a container's gesture is two factors, the device and the person."""
    if gesture == CONSENT:
        return (_AMR[gesture],)
    return (_AMR[gesture], "hwk" if hardware else "swk", "mfa", *(("simulated",) if simulated else ()))


def acr(gesture: str, *, hardware: bool = False) -> str:
    """Give the strength as a context class: ``consent``, ``pin``, ``biometric`` or ``hardware``."""
    return "urn:elevate:acr:" + ("hardware" if hardware and gesture != CONSENT else _STRENGTH[gesture])
