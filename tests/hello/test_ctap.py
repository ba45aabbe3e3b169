"""The container as a CTAP2 device, and security keys: what python-fido2 carries, our own relying party checks."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fido2", reason="the extra security-key is not installed")

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.base import Ctap2
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
)
from fido2.webauthn import AuthenticatorData as LibraryData

from elevate.errors import GestureError, HelloError, NotEnrolledError
from elevate.hello import Proof, Sight, SoftwareHello, cbor, keys, webauthn
from elevate.hello.ctap import AAGUID, CtapSecurityKey, SoftwareAuthenticator, check_attestation
from elevate.hello.webauthn import unb64
from tests.hello.parts import PIN, SETTINGS, TPM_ONLY, USER, WRONG, Machine, pin_proof, sign

RP = SETTINGS.party
ERR = CtapError.ERR


class Typist:
    """A person at the device: types one PIN after the other; the last one repeats."""

    def __init__(self, *pins: bytes) -> None:
        self.pins = list(pins)

    def __call__(self) -> Proof:
        return pin_proof(self.pins.pop(0) if len(self.pins) > 1 else self.pins[0])


def device(machine: Machine, hello: SoftwareHello, *pins: bytes) -> Ctap2:
    del machine
    return Ctap2(SoftwareAuthenticator(hello, USER, Typist(*(pins or (PIN,)))))


def code(error: pytest.ExceptionInfo[CtapError]) -> int:
    return int(error.value.code)


def assertion(ctap: Ctap2, challenge: bytes, name: bytes) -> tuple[bytes, bytes, bytes]:
    client = webauthn.client_data(challenge, RP.origins[0])
    made = ctap.get_assertion(RP.rp_id, hashlib.sha256(client).digest(), [{"type": "public-key", "id": name}])
    return bytes(made.auth_data), client, made.signature


def test_1_the_device_answers_pin_invalid_31_times_and_then_pin_blocked(machine: Machine) -> None:
    """The codes of CTAP2; a right PIN while locked gets the same one."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    ctap = device(machine, hello, *[WRONG] * 32, PIN)
    name = unb64(hello.vault.load(USER).credential)
    answers = []
    for _ in range(33):
        with pytest.raises(CtapError) as caught:
            assertion(ctap, machine.challenge(), name)
        answers.append(code(caught))
    assert answers == [ERR.PIN_INVALID] * 31 + [ERR.PIN_BLOCKED] * 2


def test_an_assertion_of_the_device_verifies_here_and_in_the_library(machine: Machine) -> None:
    """Two relying parties, one signature."""
    hello = machine.enrolled()
    held = hello.vault.load(USER)
    data, client, signature = assertion(device(machine, hello), bytes(48), unb64(held.credential))
    server = Fido2Server(PublicKeyCredentialRpEntity(id=RP.rp_id, name="elevate"))
    credential = AttestedCredentialData(
        AAGUID + len(unb64(held.credential)).to_bytes(2, "big") + unb64(held.credential) + held.public_key
    )
    state = {"challenge": webauthn.b64(bytes(48)), "user_verification": "required"}
    response = AuthenticationResponse(
        raw_id=unb64(held.credential),
        response=AuthenticatorAssertionResponse(
            client_data=CollectedClientData(client), authenticator_data=LibraryData(data), signature=signature
        ),
    )
    assert server.authenticate_complete(state, [credential], response) == credential


def test_19_the_device_speaks_strict_cbor_and_refuses_the_rest(machine: Machine) -> None:
    """Unknown command, CTAP1, broken CBOR, another relying party, another credential, another algorithm."""
    hello = machine.enrolled()
    plain = SoftwareAuthenticator(hello, USER, Typist(PIN))
    assert plain.call(0x03, b"\0\1\0\0") == bytes([ERR.INVALID_COMMAND])
    assert plain.call(0x10, b"") == bytes([ERR.INVALID_COMMAND])
    assert plain.call(0x10, b"\x07") == bytes([ERR.INVALID_COMMAND])
    assert plain.call(0x10, b"\x02\xff") == bytes([ERR.INVALID_CBOR])
    assert plain.call(0x10, b"\x02\x01") == bytes([ERR.CBOR_UNEXPECTED_TYPE])
    assert plain.call(0x10, b"\x02\xa0") == bytes([ERR.MISSING_PARAMETER])
    ctap = Ctap2(plain, strict_cbor=True)
    assert ctap.info.aaguid == AAGUID
    with pytest.raises(CtapError) as caught:
        ctap.get_assertion("example.org", bytes(32))
    assert code(caught) == ERR.NO_CREDENTIALS
    with pytest.raises(CtapError) as caught:
        ctap.get_assertion(RP.rp_id, bytes(32), [{"type": "public-key", "id": b"other"}])
    assert code(caught) == ERR.NO_CREDENTIALS
    with pytest.raises(CtapError) as caught:
        ctap.make_credential(bytes(32), {"id": RP.rp_id}, {"id": b"u"}, [{"type": "public-key", "alg": -257}])
    assert code(caught) == ERR.UNSUPPORTED_ALGORITHM


def test_32_software_attests_itself_and_says_so(machine: Machine) -> None:
    """A packed statement without a certificate, by the credential's own key; one changed bit is refused."""
    hello = machine.enrolled()
    ctap = device(machine, hello)
    digest = hashlib.sha256(b"client").digest()
    made = ctap.make_credential(digest, {"id": RP.rp_id}, {"id": b"u"}, [{"type": "public-key", "alg": -7}])
    data, statement = bytes(made.auth_data), dict(made.att_stmt)
    assert "x5c" not in statement
    found = check_attestation(data, made.fmt, statement, digest, RP)
    assert found.simulated
    assert found.public_key == hello.vault.load(USER).public_key
    for bad in (data[:-1] + bytes([data[-1] ^ 1]), data[:40], data + b"\0"):
        with pytest.raises(GestureError):
            check_attestation(bad, made.fmt, statement, digest, RP)
    with pytest.raises(GestureError):
        check_attestation(data, made.fmt, {**statement, "sig": b"x"}, digest, RP)
    with pytest.raises(GestureError):
        check_attestation(data, made.fmt, statement, hashlib.sha256(b"other").digest(), RP)


class Pocket:
    """A security key in a person's pocket: a second container on a folder of its own, plugged in or not."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self.inside = Machine(folder, drawn=seed)
        self.key = self.inside.enrolled()
        self.plugged = True
        self.pins = Typist(PIN)

    def devices(self) -> Iterator[CtapDevice]:
        if self.plugged:
            yield SoftwareAuthenticator(self.key, USER, self.pins)


@pytest.fixture
def pocket(tmp_path: Path) -> Pocket:
    return Pocket(tmp_path / "key")


def owner(machine: Machine, pocket: Pocket, **changes: object) -> SoftwareHello:
    settings = replace(machine.settings, **changes)  # type: ignore[arg-type]
    return SoftwareHello(
        machine.folder,
        clock=machine.clock,
        entropy=machine.entropy(),
        settings=settings,
        security_key=CtapSecurityKey(pocket.devices),
    )


def test_36_a_security_key_is_enrolled_and_signs_through_the_same_path(machine: Machine, pocket: Pocket) -> None:
    """On the proof of the PIN; the assertion is verified as any other. This key is a program, and says so."""
    machine.enrolled()
    hello = owner(machine, pocket)
    told = hello.enrol(USER, "security-key", pin_proof(), label="blue key")
    assert (told["gesture"], told["label"], told["simulated"]) == ("security-key", "blue key", True)
    challenge = machine.challenge()
    made = hello.sign(USER, "security-key", challenge)
    verified = hello.verify(USER, made, challenge)
    assert (verified.method, verified.amr) == ("security-key", ("pop", "swk", "mfa", "simulated"))
    assert hello.offer(USER).gestures[0] == "security-key"
    assert sign(machine, hello).gesture == "pin"


def test_a_security_key_is_enrolled_once(machine: Machine, pocket: Pocket) -> None:
    """The key itself refuses a second time."""
    machine.enrolled()
    hello = owner(machine, pocket)
    hello.enrol(USER, "security-key", pin_proof())
    with pytest.raises(GestureError, match="made no credential"):
        hello.enrol(USER, "security-key", pin_proof())


def test_a_key_that_is_not_there_or_not_verified_signs_nothing(machine: Machine, pocket: Pocket) -> None:
    """Not plugged in; a wrong PIN on the key; another person's key."""
    machine.enrolled()
    hello = owner(machine, pocket)
    hello.enrol(USER, "security-key", pin_proof())
    pocket.plugged = False
    with pytest.raises(GestureError, match="plugged in"):
        sign(machine, hello, gesture="security-key")
    pocket.plugged, pocket.pins = True, Typist(WRONG)
    with pytest.raises(GestureError, match="did not sign") as caught:
        sign(machine, hello, gesture="security-key")
    assert "PIN_INVALID" in caught.value.detail
    other = Pocket(machine.folder.parent / "other", seed=1_000)
    with pytest.raises(GestureError, match="did not sign"):
        sign(machine, owner(machine, other), gesture="security-key")


def test_46_a_key_that_is_a_program_opens_nothing_where_that_is_not_allowed(machine: Machine, pocket: Pocket) -> None:
    """It is neither offered nor used nor verified."""
    machine.enrolled()
    hello = owner(machine, pocket)
    hello.enrol(USER, "security-key", pin_proof())
    challenge = machine.challenge()
    made = hello.sign(USER, "security-key", challenge)
    real = owner(machine, pocket, allow_simulated_gestures=False)
    assert real.offer(USER).gestures == ("pin",)
    with pytest.raises(NotEnrolledError):
        sign(machine, real, gesture="security-key")
    real.expect(challenge)
    with pytest.raises(GestureError):
        real.verify(USER, made, challenge)


def test_a_broker_without_security_keys_says_so(machine: Machine) -> None:
    """At enrolment."""
    with pytest.raises(HelloError, match="security-key"):
        machine.enrolled().enrol(USER, "security-key", pin_proof())


def test_a_face_that_is_not_known_is_uv_invalid(machine: Machine) -> None:
    """The device's own word for it."""
    sensor = machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    sensor.script = type(sensor.script)(sights=(Sight.NO_MATCH,))
    ctap = Ctap2(SoftwareAuthenticator(hello, USER, lambda: Proof(gesture="face")))
    with pytest.raises(CtapError) as caught:
        assertion(ctap, bytes(48), unb64(hello.vault.load(USER).credential))
    assert code(caught) == ERR.UV_INVALID


def test_neither_fido2_nor_keyring_is_loaded_before_it_is_needed() -> None:
    """Opening the rooms of a broker loads neither."""
    script = (
        "import sys, json, elevate.broker, elevate.broker.enrolling, elevate.server.main, elevate.hello; "
        "print(json.dumps([m for m in ('fido2', 'keyring', 'tpm2_pytss') if m in sys.modules]))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.service
@pytest.mark.parametrize(("algorithm", "kind"), [(-7, "es256"), (-8, "eddsa")])
def test_libfido2_verifies_our_assertions(machine: Machine, tmp_path: Path, algorithm: int, kind: str) -> None:
    """Yubico's own tool; and refuses one with a changed bit."""
    tool = shutil.which("fido2-assert")
    if tool is None:
        pytest.skip("fido2-tools is not installed")
    hello = machine.enrolled(algorithm=algorithm)
    held = hello.vault.load(USER)
    data, client, signature = assertion(device(machine, hello), bytes(48), unb64(held.credential))
    with hello.vault.unlocked(held, pin_proof()) as opened:
        public = keys.from_bytes(algorithm, opened.key).public_key()
    (tmp_path / "key").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for good in (True, False):
        lines = [
            base64.b64encode(hashlib.sha256(client).digest()).decode(),
            RP.rp_id,
            base64.b64encode(cbor.encode(data)).decode(),
            base64.b64encode(signature if good else signature[:-1] + bytes([signature[-1] ^ 1])).decode(),
        ]
        done = subprocess.run(
            [tool, "-V", "-p", "-v", str(tmp_path / "key"), kind],
            input="\n".join(lines),
            text=True,
            check=False,
            capture_output=True,
        )
        assert (done.returncode == 0) is good, done.stderr
