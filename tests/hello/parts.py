"""What the tests of gestures are put together from: a machine in a folder, a clock moved by hand, cheap stretching."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from elevate.hello import HelloSettings, KdfRules, LockoutRules, Proof, Script, ScriptedSensor, Sight, SoftwareHello
from elevate.model import (
    Agreement,
    Allow,
    Blob,
    FactValue,
    FileFact,
    InspectedTask,
    Obligations,
    Outcome,
    ProcessIdentity,
    Requester,
)
from elevate.ports import Assertion, Offer
from elevate.tasks import Task
from elevate.testing import ManualClock, SeededEntropy

USER = "alice"
PIN = b"271828"
WRONG = b"314159"
CHEAPEST = KdfRules(memory_kib=64, passes=1)
TPM_ONLY = LockoutRules(phrase_after=0, wrong_per_minute=0)
SETTINGS = HelloSettings(kdf=CHEAPEST, allow_simulated_gestures=True)


class Switch:
    """A `Cancel` that a test fires."""

    def __init__(self, *, fired: bool = False) -> None:
        self._bell = os.eventfd(int(fired))
        self._fired = fired

    def __del__(self) -> None:
        os.close(self._bell)

    def fire(self) -> None:
        self._fired = True
        os.eventfd_write(self._bell, 1)

    def cancelled(self) -> bool:
        return self._fired

    def fileno(self) -> int:
        return self._bell


@dataclass(slots=True)
class Machine:
    """One folder, one clock; `hello` gives a new object as after a restart of the broker."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    settings: HelloSettings = SETTINGS
    sensors: dict[str, ScriptedSensor] = field(default_factory=dict)
    drawn: int = 0

    def sensor(self, gesture: str = "face", *sights: Sight, **script: object) -> ScriptedSensor:
        drawn = Script(sights=sights or (Sight.MATCH,), **script)  # type: ignore[arg-type]
        self.sensors[gesture] = ScriptedSensor(gesture, drawn, clock=self.clock, entropy=self.entropy())
        return self.sensors[gesture]

    def entropy(self) -> SeededEntropy:
        self.drawn += 1
        return SeededEntropy(self.drawn)

    def hello(self, **changes: object) -> SoftwareHello:
        settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        return SoftwareHello(self.folder, clock=self.clock, entropy=self.entropy(), sensors=self.sensors, settings=settings)

    def enrolled(self, user: str = USER, **changes: object) -> SoftwareHello:
        made = self.hello(**changes)
        made.enrol_pin(user, bytearray(PIN), root=True)
        return made

    def challenge(self) -> bytes:
        return self.entropy().token_bytes(48)


def pin_proof(pin: bytes = PIN) -> Proof:
    return Proof(gesture="pin", secret=bytearray(pin))


def sign(machine: Machine, hello: SoftwareHello, pin: bytes = PIN, gesture: str = "pin") -> Assertion:
    return hello.sign(USER, gesture, machine.challenge(), secret=bytearray(pin) if gesture == "pin" else None)


def agreement(
    argv: tuple[str, ...] = ("/usr/bin/id", "-u"),
    *,
    reason: str = "INC-4711",
    chain: tuple[str, ...] = ("bash (4711)", "sshd (12)"),
    outcome: Outcome = Outcome.CREDENTIAL,
    facts: tuple[tuple[str, FactValue], ...] = (("signer", "Contoso"),),
) -> Agreement:
    """An agreement as the broker makes it."""
    process = ProcessIdentity(uid=1000, pid=4711, start_time=99, boot_id="b")
    requester = Requester(
        user=USER, sid="S-1-5-21-1-2-3-1001", groups=(), machine="m", process=process, executable="/bin/bash", chain=chain
    )
    found = InspectedTask(
        task=Task.run(argv, cwd="/srv"),
        argv=argv,
        cwd="/srv",
        file=FileFact(path=argv[0], sha256="ab" * 32, size=12),
        payload=Blob(sha256="cd" * 32, size=3),
        facts=facts,
    )
    decision = Allow(outcome=outcome, rules=("developers-run-id",), obligations=Obligations(time_limit_seconds=60))
    return Agreement(
        task=found,
        requester=requester,
        session="0x3e7",
        reason=reason,
        host="emulated:1",
        decision=decision,
        policy_digest="0" * 64,
        nonce=bytes(16),
    )


OFFER = Offer(gestures=("face", "pin"), phrase="green heron", tries_left=4)
