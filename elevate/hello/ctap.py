"""CTAP2 through python-fido2: security keys that are plugged in, and the software container as such a device.

Loaded only when a security key is asked for (extra ``security-key``). Everything that comes back is checked by
`elevate.hello.party`; python-fido2 carries messages and decides nothing.

Source: CTAP 2.1 sections 6.1, 6.2, 6.4, 8.2; W3C WebAuthn Level 3 section 8.2 (packed attestation).
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.hid import CTAPHID

from elevate.errors import DeviceAbsentError, ElevateError, GestureError, LockedOutError, NotEnrolledError, PinExpiredError
from elevate.hello import cbor, keys, webauthn
from elevate.hello.cbor import Cbor
from elevate.hello.container import PIN, SecurityKeyCredential
from elevate.hello.proof import Proof, Stop
from elevate.hello.security_key import KeyAssertion
from elevate.hello.settings import PartyRules
from elevate.hello.software import SoftwareHello
from elevate.hello.webauthn import AT, UP, UV, Attested, AuthenticatorData, b64, unb64

AAGUID = bytes.fromhex("656c6576617465000000736f66740001")
_MAKE, _GET, _INFO = 0x01, 0x02, 0x04
_ERR = CtapError.ERR
_POLL_SECONDS = 0.05
_NOT_MADE = "the security key made no credential"
_NOT_SIGNED = "the security key did not sign"

Devices = Callable[[], Iterator[CtapDevice]]
Proofs = Callable[[], Proof]


def usb_keys() -> Iterator[CtapDevice]:
    """Give the security keys on USB."""
    from fido2.hid import CtapHidDevice

    yield from CtapHidDevice.list_devices()


class CtapSecurityKey:
    """Implements `elevate.hello.security_key.SecurityKey` over whatever devices are there.

    Args:
        devices: Gives those that are plugged in now.
    """

    def __init__(self, devices: Devices = usb_keys) -> None:
        self._devices = devices

    def make(
        self, rules: PartyRules, *, owner: str, known: tuple[SecurityKeyCredential, ...], challenge: bytes
    ) -> SecurityKeyCredential:
        """Make a credential, verify its attestation, and give what is kept."""
        client = webauthn.client_data(challenge, rules.origins[0], kind="webauthn.create")
        digest = hashlib.sha256(client).digest()
        with self._device(_NOT_MADE) as device:
            made = Ctap2(device).make_credential(
                digest,
                {"id": rules.rp_id, "name": "elevate"},
                {"id": owner.encode(), "name": owner, "displayName": "elevate"},
                [{"type": "public-key", "alg": number} for number in rules.algorithms],
                _descriptors(known),
                options={"uv": True},
            )
        return check_attestation(bytes(made.auth_data), made.fmt, made.att_stmt, digest, rules)

    def assertion(
        self, rules: PartyRules, *, known: tuple[SecurityKeyCredential, ...], client_data: bytes, stop: Stop
    ) -> KeyAssertion:
        """Let the key sign."""
        digest = hashlib.sha256(client_data).digest()
        with self._device(_NOT_SIGNED) as device, _watched(stop) as event:
            made = Ctap2(device).get_assertion(
                rules.rp_id, digest, _descriptors(known), options={"up": True, "uv": True}, event=event
            )
        used = made.credential["id"] if made.credential else unb64(known[0].credential)
        return KeyAssertion(credential=b64(used), authenticator_data=bytes(made.auth_data), signature=made.signature)

    @contextmanager
    def _device(self, failed: str) -> Iterator[CtapDevice]:
        device = next(self._devices(), None)
        if device is None:
            raise DeviceAbsentError("no security key is plugged in", hint="plug one in, and try again")
        try:
            with device:
                yield device
        except CtapError as exc:
            raise GestureError(failed, detail=f"ctap: {exc.code!s}") from exc
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise GestureError(failed, detail=f"ctap: {exc!r}") from exc


def check_attestation(
    data: bytes, fmt: str, statement: Mapping[str, object], client_data_hash: bytes, rules: PartyRules
) -> SecurityKeyCredential:
    """Check a new credential: relying party, presence, verification, and that the key has signed for itself.

    Which maker's certificate stands behind it is not asked: a statement with one is taken as none. So the model is a claim.

    Raises:
        GestureError: Anything is not as it must be.
    """
    made = Attested.decode(data)
    wanted = UP | UV | AT
    if made.data.rp_id_hash != webauthn.rp_id_hash(rules.rp_id) or made.data.flags & wanted != wanted:
        raise GestureError("the security key does not verify", detail="relying party, presence or verification")
    signature = statement.get("sig")
    if fmt == "packed" and "x5c" not in statement and isinstance(signature, bytes):
        keys.verify(made.public_key, signature, data + client_data_hash, algorithms=rules.algorithms)
    return SecurityKeyCredential(
        credential=b64(made.credential),
        public_key=made.public_key,
        model=made.aaguid.hex(),
        created_at=0,
        simulated=made.aaguid == AAGUID,
    )


class SoftwareAuthenticator(CtapDevice):
    """A person's software container as a CTAP2 device, with the person's verification built in.

    Args:
        hello: Holds the container.
        user: Whose.
        proofs: Gives the gesture that the person makes, for each command anew.
    """

    def __init__(self, hello: SoftwareHello, user: str, proofs: Proofs) -> None:
        self._hello, self._user, self._proofs = hello, user, proofs
        self._gesture = PIN

    @property
    def capabilities(self) -> int:
        """CTAP2 messages, and nothing of CTAP1."""
        return 0x04 | 0x08

    @classmethod
    def list_devices(cls) -> Iterator[CtapDevice]:
        """Give none: one is made with its container, never found."""
        return iter(())

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: threading.Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Answer one command with its status and its CBOR."""
        del on_keepalive
        try:
            number = data[0] if cmd == CTAPHID.CBOR and data else 0
            return b"\0" + cbor.encode(self._command(number, data[1:], event))
        except CtapError as exc:
            return bytes([exc.code])
        except ElevateError as exc:
            return bytes([self._status(exc)])

    def _command(self, number: int, data: bytes, event: threading.Event | None) -> Mapping[int, object]:
        if number == _INFO:
            return _information(self._hello.settings.party)
        commands = {_MAKE: self._make, _GET: self._get}
        if number not in commands:
            raise CtapError(_ERR.INVALID_COMMAND)
        return commands[number](_parameters(data), event)

    def _make(self, given: "dict[int | str, Cbor]", event: threading.Event | None) -> Mapping[int, object]:
        digest, party, algorithms = given.get(1), given.get(2), given.get(4)
        if not isinstance(digest, bytes) or not isinstance(party, dict) or not isinstance(algorithms, list):
            raise CtapError(_ERR.MISSING_PARAMETER)
        rp_id = self._own(party.get("id"))
        held = self._hello.vault.load(self._user)
        if {"type": "public-key", "alg": held.algorithm} not in algorithms:
            raise CtapError(_ERR.UNSUPPORTED_ALGORITHM)
        if unb64(held.credential) in _ids(given.get(5)):
            raise CtapError(_ERR.CREDENTIAL_EXCLUDED)
        name = unb64(held.credential)
        data = AuthenticatorData(
            rp_id_hash=webauthn.rp_id_hash(rp_id),
            flags=UP | UV | AT,
            sign_count=0,
            attested=AAGUID + len(name).to_bytes(2, "big") + name + held.public_key,
        ).encode()
        signature = self._hello.attest(self._user, self._proof(event), data + digest)
        # Self attestation: the credential's own key signs, which proves possession and no maker.
        return {1: "packed", 2: data, 3: {"alg": held.algorithm, "sig": signature}}

    def _get(self, given: "dict[int | str, Cbor]", event: threading.Event | None) -> Mapping[int, object]:
        digest = given.get(2)
        if not isinstance(digest, bytes):
            raise CtapError(_ERR.MISSING_PARAMETER)
        self._own(given.get(1))
        allowed = _ids(given.get(3))
        if allowed and unb64(self._hello.vault.load(self._user).credential) not in allowed:
            raise CtapError(_ERR.NO_CREDENTIALS)
        name, data, signature = self._hello.assert_hash(self._user, self._proof(event), digest)
        return {1: {"id": unb64(name), "type": "public-key"}, 2: data, 3: signature}

    def _own(self, rp_id: Cbor) -> str:
        """Refuse every other relying party: the container's key is for one."""
        own = self._hello.settings.party.rp_id
        if rp_id != own:
            raise CtapError(_ERR.NO_CREDENTIALS)
        return own

    def _proof(self, event: threading.Event | None) -> Proof:
        made = self._proofs()
        self._gesture = made.gesture
        stop = event.is_set if event else made.stop
        return Proof(gesture=made.gesture, secret=made.secret, stop=stop)

    def _status(self, error: ElevateError) -> int:
        match error:
            case LockedOutError() if "restart" in error.message:
                return _ERR.PIN_AUTH_BLOCKED
            case LockedOutError():
                return _ERR.PIN_BLOCKED
            case NotEnrolledError():
                return _ERR.NO_CREDENTIALS
            case PinExpiredError():
                return _ERR.PIN_POLICY_VIOLATION
            case GestureError():
                return _ERR.PIN_INVALID if self._gesture == PIN else _ERR.UV_INVALID
            case _:
                return _ERR.OPERATION_DENIED


def _information(rules: PartyRules) -> Mapping[int, object]:
    return {
        1: ["FIDO_2_0"],
        2: ["uvm"],
        3: AAGUID,
        4: {"plat": True, "rk": False, "up": True, "uv": True},
        5: 4096,
        9: ["internal"],
        10: [{"type": "public-key", "alg": number} for number in rules.algorithms],
    }


def _parameters(data: bytes) -> "dict[int | str, Cbor]":
    try:
        given = cbor.decode(data)
    except ValueError as exc:
        raise CtapError(_ERR.INVALID_CBOR) from exc
    if not isinstance(given, dict):
        raise CtapError(_ERR.CBOR_UNEXPECTED_TYPE)
    return given


def _ids(descriptors: Cbor) -> list[bytes]:
    found = descriptors if isinstance(descriptors, list) else []
    return [name for one in found if isinstance(one, dict) and isinstance(name := one.get("id"), bytes)]


def _descriptors(known: tuple[SecurityKeyCredential, ...]) -> list[Mapping[str, object]]:
    return [{"type": "public-key", "id": unb64(one.credential)} for one in known]


@contextmanager
def _watched(stop: Stop) -> Iterator[threading.Event]:
    """Give an event that is set soon after ``stop`` says so."""
    event, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            if stop():
                event.set()
                return

    threading.Thread(target=watch, name="security-key", daemon=True).start()
    try:
        yield event
    finally:
        over.set()
