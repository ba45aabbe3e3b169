"""Rows 19, 34 and the relying party: what an assertion must be before it counts."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from elevate.errors import GestureError
from elevate.hello import PartyRules, cbor, keys, webauthn
from elevate.hello.party import Credential, check_assertion
from elevate.hello.webauthn import BE, BS, ED, UP, UV, AuthenticatorData, b64, unb64
from elevate.ports import Assertion
from tests.hello.parts import PIN, USER, Machine, pin_proof, sign
from tests.vectors import vectors

RP = PartyRules()
CHALLENGE = bytes(range(48))
KEY = keys.from_bytes(keys.ES256, bytes([7]) * 32)
CREDENTIAL = Credential(id="AAAA", public_key=keys.cose(KEY, keys.ES256))


def made(client: dict[str, object] | None = None, *, flags: int = UP | UV, count: int = 1, rp_id: str = RP.rp_id) -> Assertion:
    members = {"type": "webauthn.get", "challenge": b64(CHALLENGE), "origin": RP.origins[0], "crossOrigin": False}
    told = json.dumps({**members, **(client or {})}).encode()
    data = AuthenticatorData(rp_id_hash=webauthn.rp_id_hash(rp_id), flags=flags, sign_count=count).encode()
    signature = keys.sign(KEY, webauthn.signed_bytes(data, told))
    return Assertion(credential="AAAA", gesture="pin", authenticator_data=data, client_data=told, signature=signature)


def test_a_good_assertion_verifies() -> None:
    """The base that each of the next tests changes in one place."""
    assert check_assertion(made(), CREDENTIAL, CHALLENGE, RP).sign_count == 1


@pytest.mark.parametrize(
    ("assertion", "reason"),
    [
        (made({"type": "webauthn.create"}), "type"),
        (made({"challenge": b64(bytes(48))}), "another challenge"),
        (made({"challenge": b64(CHALLENGE) + "="}), "client data"),
        (made({"origin": "http://elevate.localhost"}), "origin"),
        (made({"origin": "https://elevate.localhost:8443"}), "origin"),
        (made({"origin": "https://a.elevate.localhost"}), "origin"),
        (made({"crossOrigin": True}), "cross-origin"),
        (made({"crossOrigin": "false"}), "cross-origin"),
        (made({"topOrigin": "https://elevate.localhost"}), "cross-origin"),
        (made(rp_id="localhost"), "relying party"),
        (made(flags=UV), "not present"),
        (made(flags=UP), "not verified"),
        (made(flags=UP | UV | BS), "backup"),
        (made(flags=UP | UV | BE), "copied"),
        (made(flags=UP | UV | ED), "authenticator data"),
        (made(count=0), None),
        (replace(made(), credential="BBBB"), "another credential"),
        (replace(made(), authenticator_data=made().authenticator_data[:36]), "length"),
        (replace(made(), authenticator_data=made().authenticator_data + b"\0"), "extensions"),
        (replace(made(), client_data=made().client_data[:-1] + b',"type":"webauthn.get"}'), "duplicate"),
        (replace(made(), signature=b""), "signature"),
    ],
)
def test_one_thing_that_is_not_as_it_must_be(assertion: Assertion, reason: str | None) -> None:
    """One text for the caller, the reason for the log; a counter of zero is allowed while none was seen."""
    if reason is None:
        check_assertion(assertion, CREDENTIAL, CHALLENGE, RP)
        return
    with pytest.raises(GestureError) as caught:
        check_assertion(assertion, CREDENTIAL, CHALLENGE, RP)
    assert caught.value.message == "the gesture does not verify"
    assert reason in caught.value.detail


@pytest.mark.parametrize("known", [replace(CREDENTIAL, revoked=True), replace(CREDENTIAL, sign_count=1)])
def test_a_revoked_credential_or_an_old_counter_is_refused(known: Credential) -> None:
    """The counter must rise: an equal one is a copy of the key."""
    with pytest.raises(GestureError):
        check_assertion(made(), known, CHALLENGE, RP)


def test_an_algorithm_that_is_not_on_the_list_is_refused() -> None:
    """However good its signature."""
    with pytest.raises(GestureError, match="does not verify"):
        check_assertion(made(), CREDENTIAL, CHALLENGE, replace(RP, algorithms=(keys.EDDSA,)))


@settings(max_examples=200)
@given(part=st.sampled_from(["authenticator_data", "client_data", "signature"]), at=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_never_verifies(part: str, at: int, bit: int) -> None:
    """Wherever it is."""
    good = made()
    data = bytearray(getattr(good, part))
    data[at % len(data)] ^= 1 << bit
    bad: Assertion = replace(good, **{part: bytes(data)})  # type: ignore[arg-type]
    with pytest.raises(GestureError):
        check_assertion(bad, CREDENTIAL, CHALLENGE, RP)


def test_34_a_challenge_verifies_once_and_not_for_another_request(machine: Machine) -> None:
    """One gesture serves one request."""
    hello = machine.enrolled()
    challenge, other = machine.challenge(), machine.challenge()
    assertion = hello.sign(USER, "pin", challenge, secret=bytearray(PIN))
    hello.expect(other)
    with pytest.raises(GestureError):
        hello.verify(USER, assertion, other)
    assert hello.verify(USER, assertion, challenge).auth_time == machine.clock.read().unix
    with pytest.raises(GestureError) as caught:
        hello.verify(USER, assertion, challenge)
    assert "used before" in caught.value.detail
    with pytest.raises(GestureError):
        hello.sign(USER, "pin", challenge, secret=bytearray(PIN))


def test_34_a_challenge_that_is_too_old_or_never_given_out_is_refused(machine: Machine) -> None:
    """179 s are not too old, 180 s are."""
    hello = machine.enrolled()
    for wait, good in ((179, True), (180, False)):
        challenge = machine.challenge()
        assertion = hello.sign(USER, "pin", challenge, secret=bytearray(PIN))
        machine.clock.advance(wait)
        if good:
            hello.verify(USER, assertion, challenge)
        else:
            with pytest.raises(GestureError):
                hello.verify(USER, assertion, challenge)
    with pytest.raises(GestureError):
        machine.hello().verify(USER, sign(machine, hello), machine.challenge())


def test_36_a_face_can_not_be_passed_off_as_a_pin(machine: Machine) -> None:
    """The gesture is part of what is signed."""
    machine.sensor("face")
    hello = machine.enrolled()
    hello.enrol(USER, "face", pin_proof())
    challenge = machine.challenge()
    made_by_face = hello.sign(USER, "face", challenge)
    with pytest.raises(GestureError):
        hello.verify(USER, replace(made_by_face, gesture="pin"), challenge)


def test_37_consent_is_no_proof_of_a_person(machine: Machine) -> None:
    """It verifies as consent only, and under nobody's key."""
    hello = machine.enrolled()
    challenge = machine.challenge()
    consent = hello.sign(USER, "consent", challenge)
    with pytest.raises(GestureError):
        hello.verify(USER, replace(consent, gesture="pin"), challenge)
    challenge = machine.challenge()
    assert hello.verify(USER, hello.sign(USER, "consent", challenge), challenge).acr == "urn:elevate:acr:consent"


@pytest.mark.parametrize("algorithm", [keys.ES256, keys.EDDSA])
def test_19_both_algorithms_and_no_way_to_the_key(machine: Machine, algorithm: int) -> None:
    """What is kept and what is given back holds a public key only."""
    hello = machine.enrolled(algorithm=algorithm)
    challenge = machine.challenge()
    held = hello.vault.load(USER)
    with hello.vault.unlocked(held, pin_proof()) as opened:
        key = bytes(opened.key)
    assertion = hello.sign(USER, "pin", challenge, secret=bytearray(PIN))
    verified = hello.verify(USER, assertion, challenge)
    shown = repr((hello.list(USER), held, verified, assertion)).encode() + held.encode()
    for form in (key, key.hex().encode(), b64(key).encode()):
        assert form not in shown
    assert bytes(opened.key) == bytes(32)


def w3c() -> list[dict[str, dict[str, str]]]:
    path = vectors("w3c-webauthn-l3-vectors.json")
    found: list[dict[str, dict[str, str]]] = json.loads(path.read_text())["vectors"]
    return found


def credential_of(registration: dict[str, str]) -> tuple[str, bytes]:
    """Take id and COSE_Key out of an attestation object."""
    told = cbor.decode(bytes.fromhex(registration["attestationObject"]))
    assert isinstance(told, dict)
    data = told["authData"]
    assert isinstance(data, bytes)
    size = int.from_bytes(data[53:55], "big")
    _, rest = cbor.decode_first(data[55 + size :])
    end = len(data) - len(rest)
    return b64(data[55 : 55 + size]), data[55 + size : end]


def test_the_published_vectors_verify() -> None:
    """15 of 15 signatures; the ones made across origins are refused by policy."""
    rules = PartyRules(
        rp_id="example.org",
        origins=("https://example.org",),
        algorithms=(keys.ES256, keys.ES384, keys.ES512, keys.RS256, keys.EDDSA, keys.ED448),
        backup_allowed=True,
    )
    verified, refused = 0, []
    for vector in w3c():
        name, public = credential_of(vector["registration"])
        told = {key: bytes.fromhex(value) for key, value in vector["authentication"].items() if key != "note"}
        data, client = told["authenticatorData"], told["clientDataJSON"]
        keys.verify(public, told["signature"], webauthn.signed_bytes(data, client), algorithms=rules.algorithms)
        verified += 1
        assertion = Assertion(
            credential=name, gesture="", authenticator_data=data, client_data=client, signature=told["signature"]
        )
        try:
            known = Credential(id=name, public_key=public)
            check_assertion(assertion, known, told["challenge"], rules, verification=bool(data[32] & UV))
        except GestureError as exc:
            refused.append((vector["id"], exc.detail))
    assert verified == 15
    assert [reason for _, reason in refused] == ["client data: cross-origin"] * len(refused)
    assert sorted(str(name) for name, _ in refused) == ["none-es256-crossOrigin", "none-es256-topOrigin"]


def test_our_signatures_are_the_published_ones_byte_for_byte() -> None:
    """ES256, deterministic."""
    same = 0
    for vector in w3c():
        private = vector["registration"].get("credential_private_key", "")
        _, public = credential_of(vector["registration"])
        members = cbor.decode(public)
        if not isinstance(members, dict) or members.get(3) != keys.ES256:
            continue
        key = keys.from_bytes(keys.ES256, bytes.fromhex(private))
        told = vector["authentication"]
        theirs = bytes.fromhex(told["authenticatorData"])
        ours = AuthenticatorData(
            rp_id_hash=webauthn.rp_id_hash("example.org"), flags=theirs[32], sign_count=0, extensions=theirs[37:]
        ).encode()
        assert ours == theirs
        signed = webauthn.signed_bytes(ours, bytes.fromhex(told["clientDataJSON"]))
        assert keys.cose(key, keys.ES256) == public
        assert keys.sign(key, signed).hex() == told["signature"]
        same += 1
    assert same >= 8


def test_base64url_is_read_in_one_form_only() -> None:
    """No padding, no other alphabet, no loose bits."""
    assert unb64("-_8") == b"\xfb\xff"
    for text in ("-_8=", "+/8", "-_9", "a"):
        with pytest.raises(ValueError, match=r".+"):
            unb64(text)


def wycheproof(name: str) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Give pairs of public key and test."""
    told = json.loads(vectors(f"wycheproof/{name}").read_text())
    return [(group["publicKey"], test) for group in told["testGroups"] for test in group["tests"]]


def accepts(public: bytes, signature: bytes, data: bytes, algorithm: int) -> bool:
    try:
        keys.verify(public, signature, data, algorithms=(algorithm,))
    except GestureError:
        return False
    return True


def test_wycheproof_ed25519() -> None:
    """Every valid signature is accepted, every other one refused."""
    wrong = []
    for key, test in wycheproof("ed25519_test.json"):
        public = cbor.encode({1: 1, 3: keys.EDDSA, -1: 6, -2: bytes.fromhex(key["pk"])})
        found = accepts(public, bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]), keys.EDDSA)
        wrong += [test["tcId"]] if found != (test["result"] == "valid") else []
    assert wrong == []


def test_wycheproof_ecdsa_p256() -> None:
    """The vectors hold r and s side by side; WebAuthn wraps them in DER, so only pairs of the right size can be asked."""
    wrong, asked = [], 0
    for key, test in wycheproof("ecdsa_secp256r1_sha256_p1363_test.json"):
        pair = bytes.fromhex(test["sig"])
        if len(pair) != 64:
            continue
        asked += 1
        r, s = (int.from_bytes(part, "big") for part in (pair[:32], pair[32:]))
        x, y = (bytes.fromhex(key["uncompressed"][at : at + 64]) for at in (2, 66))
        public = cbor.encode({1: 2, 3: keys.ES256, -1: 1, -2: x, -3: y})
        found = accepts(public, encode_dss_signature(r, s), bytes.fromhex(test["msg"]), keys.ES256)
        wrong += [test["tcId"]] if found != (test["result"] == "valid") else []
    assert wrong == []
    assert asked > 200
