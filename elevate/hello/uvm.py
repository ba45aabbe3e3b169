"""Which gesture was made, as it stands in what is signed and in the token. Pure.

Source: W3C WebAuthn Level 3 section 10.2 (extension ``uvm``); FIDO registry of predefined values (user verification methods,
key and matcher protection); RFC 8176 (``amr`` values).
"""

from collections.abc import Mapping
from functools import cache, lru_cache

from elevate.errors import GestureError
from elevate.hello import cbor
from elevate.hello.container import CONSENT, FACE, FINGERPRINT, PIN, SECURITY_KEY
from elevate.hello.settings import TRUSTED_SIGNAL

_METHODS: Mapping[str, int] = {CONSENT: 0x01, FINGERPRINT: 0x02, PIN: 0x04, FACE: 0x10, TRUSTED_SIGNAL: 0x20}
_NAMES = {number: name for name, number in _METHODS.items()}
_SOFTWARE, _HARDWARE = 1, 2
_AMR: Mapping[str, str] = {
    PIN: "pin",
    FACE: "face",
    FINGERPRINT: "fpt",
    SECURITY_KEY: "pop",
    CONSENT: "user",
    TRUSTED_SIGNAL: "geo",
}
_STRENGTH: Mapping[str, str] = {
    CONSENT: "consent",
    PIN: "pin",
    FACE: "biometric",
    FINGERPRINT: "biometric",
    SECURITY_KEY: "hardware",
}


@cache
def encode(gestures: tuple[str, ...], *, hardware: bool = False) -> bytes:
    """Give the extension data that says how the person was verified, each way once."""
    protection = _HARDWARE if hardware else _SOFTWARE
    return cbor.encode({"uvm": [[_METHODS[gesture], protection, _SOFTWARE] for gesture in gestures]})


@lru_cache(maxsize=64)
def decode(extensions: bytes) -> tuple[str, ...]:
    """Give the gestures that were signed, the first one first.

    Raises:
        GestureError: None, or one that we do not know.
    """
    try:
        match cbor.decode(extensions):
            case {"uvm": list(entries)} if entries:
                return tuple(_NAMES[_method(entry)] for entry in entries)
            case _:
                pass
    except (ValueError, KeyError) as exc:
        raise GestureError("the gesture does not verify", detail=f"uvm: {exc!r}") from exc
    raise GestureError("the gesture does not verify", detail="uvm is missing")


def amr(gestures: tuple[str, ...], *, simulated: bool, hardware: bool = False) -> tuple[str, ...]:
    """Give the authentication methods of a token; a container's gesture is two factors, the device and the person."""
    made = tuple(_AMR[gesture] for gesture in gestures)
    if gestures == (CONSENT,):
        return made
    return (*made, "hwk" if hardware else "swk", "mfa", *(("simulated",) if simulated else ()))


def acr(gesture: str, *, hardware: bool = False) -> str:
    """Give the strength as a context class: ``consent``, ``pin``, ``biometric`` or ``hardware``."""
    return "urn:elevate:acr:" + ("hardware" if hardware and gesture != CONSENT else _STRENGTH[gesture])


def strongest(gestures: tuple[str, ...]) -> str:
    """Give the one of several gestures that counts most for a rule."""
    return max(gestures, key=lambda gesture: _ORDER.index(_STRENGTH.get(gesture, "consent")))


_ORDER = ("consent", "pin", "biometric", "hardware")


def _method(entry: cbor.Cbor) -> int:
    match entry:
        case [int(method), int(), int()]:
            return method
        case _:
            raise ValueError("an entry that is no triple")
