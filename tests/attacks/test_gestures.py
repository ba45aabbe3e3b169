"""Attacks on what a gesture proves: rows 35, 39, 45 and 46, and the counter of row 6 of hello."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.broker.enrolling import Visit, call
from elevate.broker.prompting import TerminalPrompter
from elevate.broker.turns import Turns
from elevate.errors import DeniedError, ElevateError, GestureDisabledError, GestureError, NotEnrolledError, PromptTimedOutError
from elevate.hello import Proof, SoftwareHello, prompt_view
from elevate.hello.container import owner_of
from elevate.hello.private import SlotFile
from elevate.hello.settings import AntiSpoofing
from elevate.host.launcher import Launcher
from elevate.model import Requester
from elevate.testing import ManualClock, SeededEntropy
from tests.hello.parts import OFFER, TPM_ONLY, USER, WRONG, Machine, Switch, agreement, pin_proof, sign
from tests.hello.pty import Asking, Person

NEW = b"141421"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with nobody enrolled."""
    return Machine(tmp_path / "hello")


def strict(machine: Machine, **changes: object) -> SoftwareHello:
    """A machine on which a scripted face was enrolled, and which then was put to real use."""
    machine.sensor("face")
    machine.enrolled().enrol(USER, "face", pin_proof())
    machine.sensors["fingerprint"] = machine.sensor("fingerprint")
    return machine.hello(**{"allow_simulated_gestures": False, **changes})


def face() -> Proof:
    return Proof(gesture="face")


def test_46_simulated_face_puts_no_new_pin_in_place(machine: Machine) -> None:
    """Else whoever drives the script has a real PIN a moment later, and a real gesture for every rule."""
    hello = strict(machine)

    with pytest.raises(NotEnrolledError):
        hello.change_pin(USER, face(), bytearray(NEW))

    assert sign(machine, hello).gesture == "pin"
    with pytest.raises(GestureError):
        sign(machine, hello, NEW)


def test_46_simulated_face_enrols_and_removes_nothing(machine: Machine) -> None:
    """What is no proof for an elevation is none at the desk either."""
    hello = strict(machine)

    with pytest.raises(NotEnrolledError):
        hello.enrol(USER, "fingerprint", face())
    with pytest.raises(NotEnrolledError):
        hello.remove(USER, "pin", face())

    assert [one["gesture"] for one in hello.list(USER)] == ["pin", "face"]


def test_46_sensor_that_is_ruled_out_proves_nothing(machine: Machine) -> None:
    """A face sensor that can't tell a picture from a person changes no PIN where that is required."""
    machine.sensor("face", anti_spoofing=False)
    machine.enrolled().enrol(USER, "face", pin_proof())
    hello = machine.hello(anti_spoofing=AntiSpoofing.REQUIRED)

    with pytest.raises(GestureDisabledError):
        hello.change_pin(USER, face(), bytearray(NEW))


def visitor(hello: SoftwareHello, requester: Requester, terminal: int, launcher: Launcher, notes: list[str]) -> Visit:
    return Visit(
        hello=hello,
        launcher=launcher,
        entropy=SeededEntropy(1),
        requester=requester,
        owner_uid=0,
        turns=Turns(ManualClock()),
        terminal=terminal,
        cancel=Switch(),
        note=lambda event, _members: notes.append(event),
    )


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    made = Launcher(warm=1)
    yield made
    made.close()


def test_39_remote_session_changes_no_pin_by_who_sits_at_the_machine(machine: Machine, launcher: Launcher) -> None:
    """The camera sees the owner at the desk, while the one who asks is somewhere else."""
    machine.sensor("face")
    machine.enrolled().enrol(USER, "face", pin_proof())
    hello, notes = machine.hello(), list[str]()
    remote = replace(agreement().requester, remote=True)

    with Person() as person:
        who = visitor(hello, remote, person.terminal, launcher, notes)
        asking = Asking(lambda: call(who, "HelloChangePin", {"gesture": "face"}))
        with pytest.raises(DeniedError, match="network"):
            asking.result()

    assert notes == []
    assert sign(machine, hello).gesture == "pin"


class Flood(threading.Thread):
    """Keys that never stop."""

    def __init__(self, person: Person, keys: bytes) -> None:
        super().__init__(daemon=True)
        self._person, self._keys, self.stop = person, keys, threading.Event()
        self.start()

    def run(self) -> None:
        os.set_blocking(self._person._master, False)
        while not self.stop.is_set():
            with contextlib.suppress(BlockingIOError):
                self._person.types(self._keys)
            self._person.reads_on()


@pytest.mark.parametrize("keys", [b"\x01" * 4096, b"\r" * 4096, b"1" * 4096], ids=["ignored", "enter", "digits"])
def test_35_terminal_that_never_stops_typing_keeps_no_prompt_open(machine: Machine, launcher: Launcher, keys: bytes) -> None:
    """The time is up when it is up, whatever is being typed."""
    hello = machine.enrolled(prompt_seconds=1)
    view = prompt_view(agreement(), OFFER, emulated=True)

    with Person() as person:
        prompter = TerminalPrompter(hello, launcher, person.terminal)
        flood = Flood(person, keys)
        asking = Asking(lambda: prompter.ask(view, USER, machine.challenge(), cancel=Switch()))
        try:
            with pytest.raises(PromptTimedOutError):
                asking.result()
        finally:
            flood.stop.set()
            flood.join()


def test_6_try_that_waited_for_a_reset_is_counted_in_the_new_record(machine: Machine) -> None:
    """A counter that was replaced while a try waited for its lock counts nothing: the try must find the new one."""
    hello = machine.enrolled(lockout=TPM_ONLY)
    path = machine.folder / "users" / owner_of(USER) / "tries"
    waiting = threading.Event()

    def guess() -> None:
        waiting.set()
        with pytest.raises(ElevateError):
            sign(machine, hello, WRONG)

    with SlotFile(path).open() as slot:
        guesser = threading.Thread(target=guess)
        guesser.start()
        waiting.wait()
        while not _waits_for_lock(path):
            os.sched_yield()
        SlotFile(path).create(slot.record)
    guesser.join()

    with SlotFile(path).open() as slot:
        assert slot.record["failed"] == 1


def _waits_for_lock(path: Path) -> bool:
    inode = f":{path.stat().st_ino} "
    return any("->" in line and inode in line for line in Path("/proc/locks").read_text(encoding="ascii").splitlines())
