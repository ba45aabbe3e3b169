"""Rows 25 to 27, 35, 37, 38, 40, 45 and 49: terminals, prompts and gestures, mounted by a user against the root daemon."""

import ctypes
import fcntl
import os
import pty
import re
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from elevate.client import run as thin_client
from elevate.errors import ElevateError
from elevate.server.description import DESCRIPTION
from tests.attacks.real.arena import PHRASE, PIN, Arena, aside
from tests.attacks.real.people import SHOWN, prompted
from tests.attacks.real.sides import Elevate, Held, Naive, Side, elevate, naive
from tests.hello.pty import Asking, Person

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
ID = ["/usr/bin/id", "-u"]
TASK = {"kind": "process.run", "params": {"argv": ID, "cwd": "/"}}


def asks(connect: Connect, person: Person, **more: Any) -> Asking[Held]:  # noqa: ANN401 - whatever the attack adds
    """Ask on a person's terminal."""
    side = connect()
    if isinstance(side, Naive):
        side.pin = None
        return Asking(lambda: side.ask(ID, tty=os.ttyname(person.terminal), **more))
    return Asking(lambda: side.ask(ID, terminal=person.terminal, **more))


def imitates(connect: Connect) -> str:
    """Learn all that a client can, so as to draw a prompt that its person takes for the true one, and to have the PIN."""
    side = connect()
    if isinstance(side, Naive):
        return str(side.call("phrase")) + str(side.pin)
    assert isinstance(side, Elevate)
    with Person() as person:
        asking = asks(lambda: side, person)
        assert PHRASE in person.sees(SHOWN)
        person.types(PIN.encode() + b"\r")
        told = [asking.result()]
    answers = [side.call(method) for method in ("Status", "WhoAmI", "ListRules", "HelloList", "HelloTest")]
    return repr((told, answers, side.use(told[0])))


def test_25_false_prompt(arena: Arena) -> None:
    """Nothing that the client gets has the phrase or the PIN, and no file of the daemon's opens to the user."""
    told = arena.act(imitates, elevate, user="bob")
    assert "issued" in told or "request" in told
    assert PHRASE not in told
    assert PIN not in told
    assert arena.act(lambda: [str(path) for path in (arena.state,) if os.access(path, os.R_OK | os.X_OK)], user="bob") == []


def test_25_naive_false_prompt(arena: Arena) -> None:
    """There the client has both."""
    told = arena.act(imitates, naive)
    assert PHRASE in told
    assert PIN in told


PUSH = """
import fcntl
for fd in range(5):
    try:
        for key in b'id\\n':
            fcntl.ioctl(fd, 0x5412, bytes([key]))
    except OSError:
        pass
"""


def pushes(connect: Connect) -> int:
    """Let a task type into the terminal from which it was started; say how much a shell there would read."""
    with Person() as person:
        terminal = {"tty": os.ttyname(person.terminal)} if connect is naive else {"terminal": person.terminal}
        connect().run(["/usr/bin/python3", "-c", PUSH], **terminal)
        return int.from_bytes(fcntl.ioctl(person.terminal, termios.FIONREAD, bytes(4)), "little")


def test_26_typing_into_the_users_terminal(arena: Arena) -> None:
    """The task has no terminal."""
    assert arena.act(pushes, elevate) == 0


def test_26_naive_typing_into_the_users_terminal(arena: Arena) -> None:
    """There root types for the user."""
    assert arena.act(pushes, naive) >= 3


def drives(connect: Connect) -> str:
    """Type into the terminal from which an elevated program was started; give what that program read."""
    with Person() as person:
        person.types(b"typed by somebody else\n")
        terminal = {"tty": os.ttyname(person.terminal)} if connect is naive else {"terminal": person.terminal}
        return connect().run(["/usr/bin/head", "-n", "1"], **terminal).out


def test_27_driving_an_elevated_program(arena: Arena) -> None:
    """It reads nothing that was not declared."""
    assert arena.act(drives, elevate) == ""


def test_27_naive_driving_an_elevated_program(arena: Arena) -> None:
    """There it reads the terminal."""
    assert arena.act(drives, naive) == "typed by somebody else\n"


def converses(write: int) -> None:
    """Run a program on a terminal of its own, as a person does; its number, and what it shows, go out."""
    me, shown = pty.fork()
    if me == 0:
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a program has it that was started by its user
        os._exit(thin_client(["cat"]))
    os.write(write, f"{me}\n".encode())
    while True:
        if select.select([shown], [], [], 0.05)[0]:
            os.write(write, os.read(shown, 4096))
        else:
            os.write(shown, b"echoed\n")  # what is typed before the prompt's end is thrown away


def takes_over() -> str:
    """Take the terminal of an elevated program out of the client that holds it, and type there; give what is shown."""
    libc = ctypes.CDLL(None, use_errno=True)
    with aside(converses) as read:
        told = b""
        while told.partition(b"done")[2].count(b"echoed") < 20:  # the first are of the person's own terminal
            told += os.read(read, 4096)
        client = os.pidfd_open(int(told.split()[0]))
        taken = [fd for fd in (libc.syscall(438, client, number, 0) for number in range(3, 64)) if fd >= 0 and os.isatty(fd)]
        for fd in taken:
            os.write(fd, b"typed by somebody else\n")
        while select.select([read], [], [], 3 if taken else 0)[0] and b"somebody" not in told:
            told += os.read(read, 4096)
        return told.decode()


def test_27_terminal_taken_out_of_the_client(arena: Arena) -> None:
    """Where a rule says interactive: the client is closed to other programs of its user."""
    assert "somebody" not in arena.act(takes_over)


def bombs(connect: Connect) -> int:
    """Ask again and again; say how often the person was disturbed."""
    with Person() as person:
        for _ in range(8):
            asking = asks(connect, person)
            prompted(person, asking)
            person.types(b"\x03")
            asking.result()
        return person.reads_on().count(SHOWN)


def test_35_prompt_bombing(arena: Arena) -> None:
    """After three it must wait."""
    assert arena.act(bombs, elevate, user="carol") == 3


def test_35_naive_prompt_bombing(arena: Arena) -> None:
    """There each is shown."""
    assert arena.act(bombs, naive, user="carol") == 8


HOSTILE = "\x1b[2J\x1b]0;owned\x07\nroot started everything\n"


def drives_the_terminal(connect: Connect) -> str:
    """Put control characters into the reason; give what the terminal got."""
    with Person() as person:
        asking = asks(connect, person, reason=HOSTILE)
        person.sees(SHOWN)
        person.types(b"\x03")
        asking.result()
        return person.reads_on()


def test_37_control_characters(arena: Arena) -> None:
    """Each is shown, none is done."""
    shown = arena.act(drives_the_terminal, elevate, user="bob")
    assert not re.search(r"\x1b\[2J|\x1b\]0|\x07|^root started", shown, re.MULTILINE)
    assert "\\u{1b}" in shown


def test_37_naive_control_characters(arena: Arena) -> None:
    """There the screen is wiped, and the log has a line of the attacker's."""
    assert "\x1b[2J" in arena.act(drives_the_terminal, naive)
    arena.act(lambda: naive().run(ID, reason=HOSTILE).out)
    assert "\nroot started everything\n" in (arena.naive / "log").read_text()


def half_types(connect: Connect) -> str:
    """Leave while the person types; give what a shell reads from the terminal then."""
    with Person() as person:
        side = connect()
        asking = asks(lambda: side, person, **({"patience": 0.3} if isinstance(side, Naive) else {}))
        person.sees(SHOWN)
        person.types(PIN[:4].encode())
        if isinstance(side, Elevate):
            side.wire.hang_up()
        with suppress(ElevateError):
            asking.result()
        return person.pending().decode()


def test_38_half_typed_pin(arena: Arena) -> None:
    """Nothing is left."""
    assert arena.act(half_types, elevate, user="bob") == ""


def test_38_naive_half_typed_pin(arena: Arena) -> None:
    """There the shell gets it."""
    assert arena.act(half_types, naive, user="bob") == PIN[:4]


def knocks(connect: Connect) -> list[str]:
    """Call every method that there is, and some that there might be, with a task and no gesture; give what came of it."""
    side = connect()
    if isinstance(side, Naive):
        side.pin = None
        return [side.call("debug_run", argv=ID, cwd="/")["out"]]
    methods = [*re.findall(r"^method (\w+)", DESCRIPTION, re.MULTILINE), "Start", "Mint", "Grant", "DebugRun", "Inject"]
    bodies: tuple[dict[str, Any], ...] = (
        {"task": TASK},
        {"task": TASK, "request": "00" * 16, "redeem_id": "a" * 32},
        {"jti": "x" * 22},
        {},
    )
    told = [one for method in methods for body in bodies for one in replies(method, body)]
    return [str(one) for one in told if one.keys() & {"outcome", "grant", "enrolled", "token", "token_fd", "data"}]


def replies(method: str, parameters: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Call a method; give what comes until it ends, or is silent."""
    with closing(elevate().wire) as wire:
        wire.socket.settimeout(0.3)
        more = True
        with suppress(ElevateError):
            wire.send(method, parameters, flag="more")
            while more:
                told, more = wire.receive()
                yield told


def test_40_no_gesture(arena: Arena) -> None:
    """No method starts, grants or enrols anything for somebody who has no gesture."""
    assert arena.act(knocks, elevate, user="mallory") == []


def test_40_naive_no_gesture(arena: Arena) -> None:
    """There one was forgotten."""
    assert arena.act(knocks, naive, user="mallory") == ["0\n"]


def enrols(connect: Connect) -> list[str]:
    """Enrol a PIN of the attacker's own for this user, take the old ones away, add a gesture; then use it."""
    side = connect()
    if isinstance(side, Naive):
        before, side.pin = side.pin, "111111"
        side.call("enrol", pin=side.pin)
        told = [side.run(ID).out]
        side.call("enrol", pin=before)
        return told
    assert isinstance(side, Elevate)
    with Person() as person:
        calls: list[tuple[str, dict[str, Any]]] = [
            ("HelloEnrol", {"gesture": "pin", "terminal_fd": 0}),
            ("HelloReset", {}),
            ("HelloEnrol", {"gesture": "pin"}),
            ("HelloEnrol", {"gesture": "pin", "user": "root", "terminal_fd": 0}),
            ("HelloReset", {"user": "root"}),
            ("HelloEnrol", {"gesture": "face"}),
            ("HelloRemove", {"gesture": "pin"}),
        ]
        return [outcome(side, method, parameters, person) for method, parameters in calls]


def outcome(side: Elevate, method: str, parameters: dict[str, Any], person: Person) -> str:
    try:
        side.call(method, (person.terminal,) if "terminal_fd" in parameters else (), **parameters)
    except ElevateError:
        return "refused"
    return "done"


@pytest.mark.parametrize("user", ["bob", "mallory"])
def test_45_enrolment_by_malware(arena: Arena, user: str) -> None:
    """Neither the first one, nor another, nor a reset."""
    assert arena.act(enrols, elevate, user=user) == ["refused"] * 7


def test_45_naive_enrolment_by_malware(arena: Arena) -> None:
    """There any process of the user's sets the PIN."""
    assert arena.act(enrols, naive, user="bob") == ["0\n"]


def fails(connect: Connect) -> None:
    """Type wrong PINs as somebody else, and take what places there are; all of it stays as it is."""
    if connect is naive:
        for _ in range(4):
            Naive(pin="000000").ask(ID)
        return
    held = [elevate() for _ in range(20)]
    for side in held:
        side.ask(["/usr/bin/nproc"])
    with Person() as person:
        asking = asks(lambda: held[0], person)
        for _ in range(3):
            person.sees(SHOWN)
            person.types(b"000000\r")
        person.sees(":")
        person.types(b"\x03")
        with suppress(ElevateError):
            asking.result()


def test_49_one_user_locks_out_another(arena: Arena) -> None:
    """Counters and queues are each user's own."""
    arena.act(fails, elevate, user="dave")
    assert arena.act(lambda: elevate().run(ID).status) == 0


def test_49_naive_one_user_locks_out_another(arena: Arena) -> None:
    """There one counter is everybody's."""
    arena.act(fails, naive, user="dave")
    try:
        assert arena.act(lambda: naive().run(ID).refused) == "PermissionError: locked out"
    finally:
        arena.act(lambda: naive().call("restart"))
