"""The prompt on a terminal: a real program on a real pseudo-terminal, started by the real launcher."""

import os
import signal as signals
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.broker.prompting import TerminalPrompter
from elevate.errors import CancelledError, DeclinedError, GestureError, LockedOutError, NotEnrolledError
from elevate.hello import Sight, SoftwareHello, prompt_view
from elevate.hello.signals import ScriptedSignal
from elevate.host.launcher import Launched, Launcher, Order
from elevate.model import Fact, Outcome
from elevate.ports import Assertion
from tests.hello.parts import OFFER, PIN, USER, WRONG, Machine, Switch, agreement, pin_proof
from tests.hello.pty import Asking, Person

VIEW = prompt_view(agreement(), OFFER, emulated=True)
CONSENT = prompt_view(agreement(outcome=Outcome.CONSENT), OFFER, emulated=True)
ENTER = b"\r"


class Watched:
    """The real launcher, and what it has started."""

    def __init__(self) -> None:
        self._launcher = Launcher(warm=1)
        self.started: list[tuple[Order, Launched]] = []

    def launch(self, order: Order) -> Launched:
        launched = self._launcher.launch(order)
        self.started.append((order, launched))
        return launched

    def close(self) -> None:
        self._launcher.close()


@pytest.fixture
def launcher() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.close()


@pytest.fixture
def person() -> Iterator[Person]:
    with Person() as made:
        yield made


@pytest.fixture
def cancel() -> Switch:
    return Switch()


class Desk:
    """One person, one broker, one prompt after the other."""

    def __init__(self, machine: Machine, launcher: Watched, person: Person, cancel: Switch) -> None:
        self.machine, self.launcher, self.person, self.cancel = machine, launcher, person, cancel
        self.hello: SoftwareHello = machine.hello()

    def asks(self, view: dict[str, object] = VIEW) -> Asking[Assertion]:  # type: ignore[assignment]
        prompter = TerminalPrompter(self.hello, self.launcher, self.person.terminal)
        challenge = self.machine.challenge()
        return Asking(lambda: prompter.ask(view, USER, challenge, cancel=self.cancel))  # type: ignore[arg-type]


@pytest.fixture
def desk(machine: Machine, launcher: Watched, person: Person, cancel: Switch) -> Desk:
    made = Desk(machine, launcher, person, cancel)
    made.hello.enrol_pin(USER, bytearray(PIN), phrase="green heron")
    return made


def test_the_right_pin_agrees(desk: Desk) -> None:
    """What is shown is the view and one's own phrase; the PIN is not echoed; the terminal is as before."""
    asking = desk.asks()
    seen = desk.person.sees("PIN: ")
    for part in ("/usr/bin/id -u", "ab" * 32, "/srv", "alice (uid 1000)", "sshd (12)", "INC-4711", "developers-run-id"):
        assert part in seen
    assert "green heron" in seen
    assert "emulated: no security boundary" in seen
    assert seen.endswith("\r\ntype your PIN, or press Ctrl-C to decline\r\nPIN: ")
    desk.person.types(PIN + ENTER)
    assert asking.result().gesture == "pin"
    assert PIN.decode() not in desk.person.reads_on()
    assert termios.tcgetattr(desk.person.terminal) == desk.person.before


def test_a_wrong_pin_says_how_many_tries_are_left_and_asks_again(desk: Desk) -> None:
    """And a right one then agrees."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(WRONG + ENTER)
    desk.person.sees("wrong PIN; 3 tries left")
    desk.person.sees("PIN: ")
    desk.person.types(PIN + ENTER)
    assert asking.result().gesture == "pin"


def test_10_the_phrase_is_asked_for_after_three_wrong_pins(desk: Desk) -> None:
    """Then one PIN more; a wrong one ends the prompt and the PIN."""
    asking = desk.asks()
    for _ in range(3):
        desk.person.sees("PIN: ")
        desk.person.types(WRONG + ENTER)
    desk.person.sees("type A1B2C3")
    desk.person.types(b"A1B2C4" + ENTER)
    desk.person.sees("that is not the phrase")
    desk.person.sees("type A1B2C3")
    desk.person.types(b"a1b2c3" + ENTER)
    desk.person.sees("PIN: ")
    desk.person.types(WRONG + ENTER)
    desk.person.sees("until the machine restarts")
    with pytest.raises(LockedOutError):
        asking.result()


@pytest.mark.parametrize(("keys", "error"), [(b"\x03", DeclinedError), (b"\x04", DeclinedError), (b"12\x03", DeclinedError)])
def test_ctrl_c_declines(desk: Desk, keys: bytes, error: type[Exception]) -> None:
    """At any time; Ctrl-D on an empty line too. No try is lost."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(keys)
    with pytest.raises(error):
        asking.result()
    assert desk.hello.offer(USER).tries_left == 4
    assert termios.tcgetattr(desk.person.terminal) == desk.person.before


def test_a_closed_terminal_is_a_cancel_and_no_try(desk: Desk) -> None:
    """Half a PIN was typed."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(b"271")
    desk.person.leave()
    with pytest.raises(CancelledError):
        asking.result()
    assert desk.hello.offer(USER).tries_left == 4


def test_a_client_that_leaves_ends_the_prompt(desk: Desk) -> None:
    """And it says that nothing was done."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.cancel.fire()
    with pytest.raises(CancelledError):
        asking.result()
    desk.person.sees("nothing was done")


def test_an_empty_line_is_no_try(desk: Desk) -> None:
    """It asks again."""
    asking = desk.asks()
    for _ in range(5):
        desk.person.sees("PIN: ")
        desk.person.types(ENTER)
    desk.person.sees("PIN: ")
    desk.person.types(b"99\x15" + b"\x1b[A" + b"2718280\x7f" + ENTER)
    assert asking.result().gesture == "pin"
    assert desk.hello.offer(USER).tries_left == 4


def test_attack_38_what_was_typed_before_or_left_over_reaches_nobody(desk: Desk) -> None:
    """Typed ahead: not taken for a PIN. Half typed at the end: not left for the shell."""
    desk.person.types(PIN + ENTER)
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(b"half a secr")
    desk.cancel.fire()
    with pytest.raises(CancelledError):
        asking.result()
    assert desk.person.pending() == b""


def test_attack_38_a_pin_typed_before_the_prompt_is_not_taken(desk: Desk) -> None:
    """The wrong one that comes after it is what counts."""
    desk.person.types(PIN + ENTER)
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(WRONG + ENTER)
    desk.person.sees("wrong PIN; 3 tries left")
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()


def test_a_prompt_that_is_killed_leaves_the_terminal_as_it_was(desk: Desk) -> None:
    """SIGKILL can't be caught; the broker has the settings put back."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    assert termios.tcgetattr(desk.person.terminal) != desk.person.before
    os.kill(desk.launcher.started[0][1].pid, signals.SIGKILL)
    with pytest.raises(CancelledError):
        asking.result()
    assert termios.tcgetattr(desk.person.terminal) == desk.person.before


def test_a_face_may_come_before_the_pin(desk: Desk) -> None:
    """Sensors look beside the PIN; the first counts."""
    desk.machine.sensor("face")
    desk.hello = desk.machine.hello()
    desk.hello.enrol(USER, "face", pin_proof())
    asking = desk.asks()
    assert asking.result().gesture == "face"
    desk.person.sees("face: done")


def test_27_a_sensor_that_waits_does_not_block_the_pin(desk: Desk) -> None:
    """The face sensor never answers; the PIN agrees all the same."""
    sensor = desk.machine.sensor("face")
    desk.hello = desk.machine.hello()
    desk.hello.enrol(USER, "face", pin_proof())
    looking, gone = threading.Event(), threading.Event()

    def wait(_milliseconds: int, _stop: object) -> None:
        looking.set()
        gone.wait(20)

    sensor._wait = wait
    asking = desk.asks()
    desk.person.sees("PIN: ")
    assert looking.wait(20)
    desk.person.types(PIN + ENTER)
    assert asking.result().gesture == "pin"
    gone.set()


def test_26_after_a_face_that_is_not_known_the_pin_is_there(desk: Desk) -> None:
    """A failed look ends nothing."""
    sensor = desk.machine.sensor("face")
    desk.hello = desk.machine.hello()
    desk.hello.enrol(USER, "face", pin_proof())
    sensor.script = type(sensor.script)(sights=(Sight.NO_MATCH,))
    asking = desk.asks()
    desk.person.sees("PIN: ")
    desk.person.types(PIN + ENTER)
    assert asking.result().gesture == "pin"


@pytest.mark.parametrize(("keys", "gesture"), [(b"y\r", "consent"), (b"\r", ""), (b"no\r", ""), (b"\x03", "")])
def test_37_consent_takes_a_yes_and_nothing_else(desk: Desk, keys: bytes, gesture: str) -> None:
    """Enter alone is a no."""
    asking = desk.asks(CONSENT)  # type: ignore[arg-type]
    desk.person.sees("allow this? [y/N] ")
    desk.person.types(keys)
    if gesture:
        assert asking.result().gesture == gesture
    else:
        with pytest.raises(DeclinedError):
            asking.result()


def test_a_rule_that_wants_more_than_a_pin_does_not_ask_for_one(desk: Desk) -> None:
    """What would be refused afterwards is refused before."""
    with pytest.raises(NotEnrolledError, match="no enrolled gesture"):
        desk.asks({**VIEW, "min_strength": "biometric"}).result()


def test_without_a_terminal_there_is_one_clear_error(desk: Desk) -> None:
    """A pipe is no terminal."""
    read, write = os.pipe()
    prompter = TerminalPrompter(desk.hello, desk.launcher, read)
    with pytest.raises(GestureError, match="no terminal"):
        prompter.ask(VIEW, USER, desk.machine.challenge(), cancel=desk.cancel)
    os.close(read)
    os.close(write)


def test_attack_37_control_characters_do_not_reach_the_terminal(desk: Desk) -> None:
    """Neither from the view nor, should the view be wrong, through the program."""
    hostile = "\x1b[2J\x1b]0;x\x07\u202e\r\nPIN: "
    view = prompt_view(agreement(("/bin/echo", hostile), reason=hostile), OFFER, emulated=True)
    asking = desk.asks({**view, "cwd": hostile})
    seen = desk.person.sees("\r\nPIN: ")
    shown = seen.replace("\x1b[30;47m", "").replace("\x1b[0m", "")
    assert not any(char in shown for char in "\x1b\x07\u202e")
    assert "\\u{1b}[2J" in shown
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()


GOLDEN = {
    "grey": ("Contoso", "\x1b[30;47m elevate: allow this task to act as administrator? \x1b[0m"),
    "yellow": (Fact.ABSENT, "\x1b[30;43m elevate: allow this task of an unknown publisher to act as administrator? \x1b[0m"),
}


@pytest.mark.parametrize("colour", list(GOLDEN))
def test_fidelity_18_the_colour_covers_head_and_description(desk: Desk, colour: str) -> None:
    """Two lines carry it; nothing below does."""
    signer, head = GOLDEN[colour]
    view = prompt_view(agreement(facts=(("signer", signer),)), OFFER, emulated=True)
    asking = desk.asks(view)  # type: ignore[arg-type]
    lines = desk.person.sees("PIN: ").split("\r\n")
    assert lines[0] == head
    assert lines[1].startswith(head[:8])
    assert not any("\x1b" in line for line in lines[2:])
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()


@pytest.mark.root
def test_fidelity_17_attack_25_the_client_gets_nothing_of_it(desk: Desk) -> None:
    """The program has the terminal, a channel and an empty environment, and reads modules of the installation only."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    order, launched = desk.launcher.started[0]
    folder = Path(f"/proc/{launched.pid}")
    assert order.argv[1:3] == ("-I", "-S")
    assert order.env == {}
    assert (folder / "environ").read_bytes() == b""
    held = {str(link.readlink()).split(":")[0] for link in (folder / "fd").iterdir()}
    assert held == {os.ttyname(desk.person.terminal), "socket"}
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()


def test_38_the_prompt_is_a_process_of_the_brokers_own(desk: Desk) -> None:
    """In a session of its own, with a parent that is no client's, and not dumpable: its memory files are root's."""
    asking = desk.asks()
    desk.person.sees("PIN: ")
    pid = desk.launcher.started[0][1].pid
    folder = Path(f"/proc/{pid}")
    session = int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[3])
    assert session != os.getsid(0)
    assert (folder / "mem").stat().st_uid == 0
    assert "NoNewPrivs:\t1" in (folder / "status").read_text()
    desk.person.types(b"\x03")
    with pytest.raises(DeclinedError):
        asking.result()


def test_41_a_signal_that_is_lost_ends_an_open_prompt(desk: Desk) -> None:
    """The person has gone: nobody answers in that person's place."""
    signal = ScriptedSignal()
    desk.hello.signal = signal
    asking = desk.asks()
    desk.person.sees("PIN: ")
    signal.lose()
    with pytest.raises(CancelledError):
        asking.result()
    desk.person.sees("nothing was done")


def test_a_broker_with_thousands_of_descriptors_still_asks(desk: Desk) -> None:
    """More than select knows."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows no 4096 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        asking = desk.asks()
        desk.person.sees("PIN: ")
        desk.person.types(PIN + ENTER)
        assert asking.result().gesture == "pin"
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_11_where_only_a_face_is_left_its_failure_ends_the_prompt(desk: Desk) -> None:
    """Nobody waits two minutes for a PIN that is off."""
    sensor = desk.machine.sensor("face")
    desk.hello = desk.machine.hello()
    desk.hello.enrol(USER, "face", pin_proof())
    for _ in range(3):
        with pytest.raises(GestureError):
            desk.hello.sign(USER, "pin", desk.machine.challenge(), secret=bytearray(WRONG))
    desk.hello.type_phrase(USER, "A1B2C3")
    with pytest.raises(LockedOutError):
        desk.hello.sign(USER, "pin", desk.machine.challenge(), secret=bytearray(WRONG))
    assert desk.asks().result().gesture == "face"
    sensor.script = type(sensor.script)(sights=(Sight.NO_MATCH,))
    with pytest.raises(GestureError):
        desk.asks().result()
