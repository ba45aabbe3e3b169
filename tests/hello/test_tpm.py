"""The TPM store against a real software TPM: rows 1, 8, 9, 17, 18, 19, 30, 32 and 36 of the table."""

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hello.swtpm import Swtpm

pytest.importorskip("tpm2_pytss", reason="the extra tpm is not installed")

from elevate.errors import GestureError, HelloDamagedError, HelloError, LockedOutError
from elevate.hello import FileSecrets, LockoutRules, SoftwareHello, keys
from elevate.hello.tpm import TpmStore, open_store
from elevate.hello.tpm_attest import check_certified
from elevate.host.processes import read_process
from elevate.tasks import Task
from elevate.testing import SeededEntropy
from tests.hello.parts import PIN, SETTINGS, TPM_ONLY, USER, WRONG, Machine, pin_proof

pytestmark = pytest.mark.service

SECRET = b"s" * 32
GOOD, BAD, CONTEXT = b"p" * 32, b"q" * 32, b"context"


@pytest.fixture
def chip(tmp_path: Path) -> Iterator[Swtpm]:
    with Swtpm(tmp_path / "tpm") as made:
        yield made


def store_of(chip: Swtpm, *, seed: int = 1, rules: LockoutRules = TPM_ONLY, owned: bool = True) -> TpmStore:
    made = TpmStore(chip.tcti, entropy=SeededEntropy(seed), rules=rules)
    if owned:
        made.own_lockout(SECRET)
    return made


@pytest.fixture
def store(chip: Swtpm) -> Iterator[TpmStore]:
    made = store_of(chip)
    yield made
    made.close()


def owner(machine: Machine, store: TpmStore) -> SoftwareHello:
    # The device's own lock-out is what is tested; ours beside it would be quicker.
    rules = replace(SETTINGS, lockout=LockoutRules(phrase_after=0, wrong_per_minute=0, max_failures=1_000))
    return SoftwareHello(
        machine.folder, clock=machine.clock, entropy=machine.entropy(), settings=rules, store=store, sensors=machine.sensors
    )


def sealed(store: TpmStore) -> bytes:
    return store.seal_pin(GOOD, bytearray(b"k" * 32), CONTEXT)


def test_1_the_tpm_evaluates_32_and_refuses_the_33rd(store: TpmStore) -> None:
    """With its own code, and the right PIN gets the same."""
    blob = sealed(store)
    for _ in range(32):
        assert store.unseal_pin(BAD, blob, CONTEXT) is None
    for auth in (BAD, GOOD):
        with pytest.raises(LockedOutError) as caught:
            store.unseal_pin(auth, blob, CONTEXT)
        assert "0x921" in caught.value.detail
    assert store.failed_tries == 32


def test_5_a_success_does_not_reset_the_tpms_count(store: TpmStore) -> None:
    """Five wrong, one right: five."""
    blob = sealed(store)
    for _ in range(5):
        store.unseal_pin(BAD, blob, CONTEXT)
    assert store.unseal_pin(GOOD, blob, CONTEXT) == bytearray(b"k" * 32)
    assert store.failed_tries == 5


def test_6_an_orderly_stop_keeps_the_count(tmp_path: Path) -> None:
    """And costs no try, as a cut would."""
    for expected in (0, 2):
        with Swtpm(tmp_path / "tpm") as chip:
            store = store_of(chip)
            assert store.failed_tries == expected
            blob = sealed(store)
            for _ in range(2):
                store.unseal_pin(BAD, blob, CONTEXT)
            store.close()


def test_8_a_wrong_lockout_secret_once_refuses_the_right_one(store: TpmStore) -> None:
    """For 24 hours."""
    store.reset_lockout(SECRET)
    with pytest.raises(HelloError, match="lock-out secret"):
        store.reset_lockout(b"x" * 32)
    with pytest.raises(HelloError) as caught:
        store.reset_lockout(SECRET)
    assert "0x921" in caught.value.detail


def test_9_a_tpm_whose_lockout_is_open_is_refused_unless_told(chip: Swtpm, machine: Machine) -> None:
    """Whoever reaches it could reset the count."""
    store = store_of(chip, owned=False)
    with pytest.raises(HelloError, match="empty"):
        owner(machine, store).enrol_pin(USER, bytearray(PIN))
    store.own_lockout(SECRET)
    owner(machine, store).enrol_pin(USER, bytearray(PIN))
    store.close()


def test_17_a_container_on_another_tpm_does_not_unlock(machine: Machine, store: TpmStore, tmp_path: Path) -> None:
    """With the folder copied whole, device secrets included."""
    owner(machine, store).enrol_pin(USER, bytearray(PIN))
    with Swtpm(tmp_path / "other") as chip:
        other = store_of(chip)
        with pytest.raises(GestureError, match="another device") as caught:
            owner(machine, other).sign(USER, "pin", machine.challenge(), secret=bytearray(PIN))
        assert "0x1df" in caught.value.detail
        other.close()


def test_18_no_pin_and_no_secret_crosses_the_bus(machine: Machine, chip: Swtpm) -> None:
    """What is sent to the TPM has neither the PIN nor what it became."""
    store = store_of(chip)
    chip.tcti.commands.clear()
    hello = owner(machine, store)
    hello.enrol_pin(USER, bytearray(PIN))
    sent: list[bytes] = []
    for auth, secret in ((GOOD, b"k" * 32),):
        store.seal_pin(auth, bytearray(secret), CONTEXT)
        sent += [auth, secret]
    hello.sign(USER, "pin", machine.challenge(), secret=bytearray(PIN))
    bus = b"".join(chip.tcti.commands)
    assert len(chip.tcti.commands) > 10
    assert not any(one in bus for one in (PIN, *sent))
    store.close()


def test_36_a_tpm_key_says_hwk(machine: Machine, store: TpmStore) -> None:
    """PIN and face unlock the same key in the TPM; the assertion verifies as any other."""
    machine.sensor("face")
    hello = owner(machine, store)
    hello.enrol_pin(USER, bytearray(PIN))
    hello.enrol(USER, "face", pin_proof())
    found = {}
    for gesture in ("pin", "face"):
        challenge = machine.challenge()
        made = hello.sign(USER, gesture, challenge, secret=bytearray(PIN) if gesture == "pin" else None)
        verified = hello.verify(USER, made, challenge)
        found[gesture] = (verified.amr, verified.acr)
    assert found == {
        "pin": (("pin", "hwk", "mfa"), "urn:elevate:acr:hardware"),
        "face": (("face", "hwk", "mfa", "simulated"), "urn:elevate:acr:hardware"),
    }
    assert hello.list(USER)[0]["key_store"] == "tpm"


def test_30_after_a_change_the_old_pin_and_the_old_container_open_nothing(machine: Machine, store: TpmStore) -> None:
    """The key stays; the old device secret is gone."""
    hello = owner(machine, store)
    hello.enrol_pin(USER, bytearray(PIN))
    old = hello.vault.load(USER)
    hello.change_pin(USER, pin_proof(), bytearray(b"141421"))
    assert hello.vault.load(USER).public_key == old.public_key
    hello.sign(USER, "pin", machine.challenge(), secret=bytearray(b"141421"))
    hello.vault.save(old)
    with pytest.raises(GestureError):
        hello.sign(USER, "pin", machine.challenge(), secret=bytearray(PIN))


def test_2_a_wrong_pin_counts_in_the_tpm(machine: Machine, store: TpmStore) -> None:
    """Per device: a second person's wrong PINs count there too."""
    hello = owner(machine, store)
    for user in (USER, "bob"):
        hello.enrol_pin(user, bytearray(PIN))
        with pytest.raises(GestureError):
            hello.sign(user, "pin", machine.challenge(), secret=bytearray(WRONG))
    assert store.failed_tries == 2


def test_32_the_tpm_certifies_its_key(store: TpmStore) -> None:
    """Magic, name and challenge are checked; one changed bit of anything is refused."""
    made = store.make(keys.ES256)
    challenge = hashlib.sha256(b"nonce").digest()
    told = store.certify(made.blob, made.secret, challenge)
    assert told.attest[:4] == b"\xff\x54\x43\x47"
    good = {"public": told.public, "challenge": challenge}
    check_certified(told.attest, told.signature, told.attestation_key, **good)
    other = store.make(keys.ES256)
    with pytest.raises(GestureError):
        check_certified(
            told.attest,
            told.signature,
            told.attestation_key,
            public=store.certify(other.blob, other.secret, challenge).public,
            challenge=challenge,
        )
    with pytest.raises(GestureError):
        check_certified(told.attest, told.signature, told.attestation_key, public=told.public, challenge=bytes(32))
    for at in (0, 5, 20, 60):
        bad = bytearray(told.attest)
        bad[at] ^= 1
        with pytest.raises(GestureError):
            check_certified(bytes(bad), told.signature, told.attestation_key, **good)


def test_19_the_key_signs_inside_and_only_with_its_secret(store: TpmStore) -> None:
    """The blob alone signs nothing."""
    made = store.make(keys.ES256)
    signature = store.sign(keys.ES256, made.blob, made.secret, b"data")
    keys.verify(made.public_key, signature, b"data", algorithms=(keys.ES256,))
    with pytest.raises(GestureError):
        store.sign(keys.ES256, made.blob, bytearray(32), b"data")


def test_36_a_broker_keeps_keys_in_the_tpm_that_its_settings_name(tmp_path: Path) -> None:
    """From enrolment to the token; after a restart the same TPM signs, and without it nothing does."""
    from elevate.broker import Broker
    from elevate.broker.home import create

    (tmp_path / "tpm").mkdir()
    bridge = f"cmd:{sys.executable} {Path(__file__).with_name('tpm_bridge.py')} {tmp_path / 'tpm'}"
    home = create(tmp_path / "state", simulated=True)
    plain = home.settings.read_text()
    home.settings.write_text(f'tpm = "{bridge}"\n{plain}')
    with Broker.open(home.folder) as broker:
        broker.enrol_owner(PIN)
        user = broker.requester(read_process(os.getpid())).user
        assert {one["key_store"] for one in broker.hello.list(user)} == {"tpm"}
    with Broker.open(home.folder) as broker:
        grant = broker.elevate(Task.run(["/bin/true"]))
        assert grant.claims.amr == ("face", "hwk", "mfa", "simulated")
        grant.release()
    home.settings.write_text(plain)
    with Broker.open(home.folder) as broker, pytest.raises(HelloDamagedError, match="tpm"):
        broker.elevate(Task.run(["/bin/true"]))


def test_a_tpm_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    """With a hint."""
    secrets = FileSecrets(tmp_path / "secrets")
    with pytest.raises(HelloError, match="can't be opened") as caught:
        open_store(f"device:{tmp_path / 'none'}", secrets=secrets, entropy=SeededEntropy(1), rules=TPM_ONLY)
    assert "settings.toml" in caught.value.hint
