"""What a gesture costs apart from the person, and what it costs to check one."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from elevate.broker.system import SystemClock, SystemEntropy
from elevate.hello import HelloSettings, LockoutRules, Proof, ScriptedSensor, SoftwareHello
from elevate.ports import Assertion
from tests.bench.figure import Figure, median

USER = "bench"
PIN = b"271828"
FACE_RUNS = 50
PIN_RUNS = 5


def machine(folder: Path) -> SoftwareHello:
    """Make a person with a PIN and a face, on real clocks and with real stretching."""
    clock, entropy = SystemClock(), SystemEntropy()
    sensors = {"face": ScriptedSensor("face", clock=clock, entropy=entropy)}
    settings = HelloSettings(allow_simulated_gestures=True, lockout=LockoutRules(phrase_after=0))
    made = SoftwareHello(folder, clock=clock, entropy=entropy, sensors=sensors, settings=settings)
    made.enrol_pin(USER, bytearray(PIN))
    made.enrol(USER, "face", Proof(secret=bytearray(PIN)))
    return made


def milliseconds(call: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1e3


def sign(hello: SoftwareHello, gesture: str, challenge: bytes) -> Assertion:
    """Make a gesture."""
    return hello.sign(USER, gesture, challenge, secret=bytearray(PIN) if gesture == "pin" else None)


def assertion_face() -> Figure:
    """A whole assertion by a sensor that answers at once, counter synced; beside a bare deterministic ECDSA signature."""
    with tempfile.TemporaryDirectory() as folder:
        hello, entropy = machine(Path(folder) / "hello"), SystemEntropy()
        value = median(lambda: milliseconds(lambda: sign(hello, "face", entropy.token_bytes(48))), runs=FACE_RUNS)
    key = ec.generate_private_key(ec.SECP256R1())
    how = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    peer = median(lambda: milliseconds(lambda: key.sign(b"x" * 69, how)), runs=FACE_RUNS)
    return Figure(name="assertion_face", value=value, unit="ms", peer="bare ECDSA P-256", peer_value=peer)


def assertion_pin() -> Figure:
    """A whole assertion by PIN: Argon2id, counter charged and given back."""
    with tempfile.TemporaryDirectory() as folder:
        hello, entropy = machine(Path(folder) / "hello"), SystemEntropy()
        value = median(lambda: milliseconds(lambda: sign(hello, "pin", entropy.token_bytes(48))), runs=PIN_RUNS)
        peer = median(lambda: milliseconds(lambda: hello.vault.stretch(bytearray(PIN), bytes(32))), runs=PIN_RUNS)
    return Figure(name="assertion_pin", value=value, unit="ms", peer="Argon2id alone", peer_value=peer)


def verify_assertion() -> Figure:
    """Everything that the relying party checks; beside a bare ECDSA verification."""
    with tempfile.TemporaryDirectory() as folder:
        hello, entropy = machine(Path(folder) / "hello"), SystemEntropy()

        def once() -> float:
            challenge = entropy.token_bytes(48)
            made = sign(hello, "face", challenge)
            return milliseconds(lambda: hello.verify(USER, made, challenge))

        once()
        value = median(once, runs=FACE_RUNS)
    key = ec.generate_private_key(ec.SECP256R1())
    signature = key.sign(b"x" * 69, ec.ECDSA(hashes.SHA256()))
    public = key.public_key()
    peer = median(lambda: milliseconds(lambda: public.verify(signature, b"x" * 69, ec.ECDSA(hashes.SHA256()))), runs=FACE_RUNS)
    return Figure(name="verify_assertion", value=value, unit="ms", peer="bare ECDSA P-256", peer_value=peer)


def assertion_tpm() -> Figure:
    """A whole assertion by PIN on a software TPM; beside the TPM's signature alone."""
    from elevate.hello.tpm import TpmStore
    from tests.hello.swtpm import Swtpm

    with tempfile.TemporaryDirectory() as folder, Swtpm(Path(folder) / "tpm") as chip:
        clock, entropy = SystemClock(), SystemEntropy()
        store = TpmStore(chip.tcti, entropy=entropy, rules=LockoutRules())
        store.own_lockout(entropy.token_bytes(32))
        hello = SoftwareHello(Path(folder) / "hello", clock=clock, entropy=entropy, store=store)
        hello.enrol_pin(USER, bytearray(PIN))
        value = median(lambda: milliseconds(lambda: sign(hello, "pin", entropy.token_bytes(48))), runs=FACE_RUNS)
        made = store.make(hello.settings.algorithm)
        peer = median(lambda: milliseconds(lambda: store.sign(-7, made.blob, made.secret, b"x")), runs=FACE_RUNS)
        store.close()
    return Figure(name="assertion_tpm", value=value, unit="ms", peer="one TPM signature", peer_value=peer)


FIGURES = {
    "assertion_face": assertion_face,
    "assertion_pin": assertion_pin,
    "assertion_tpm": assertion_tpm,
    "verify_assertion": verify_assertion,
}
