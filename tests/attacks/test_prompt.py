"""Rows 18 of hello, and 25, 28, 35, 37, 38, 45, 46, 49 of the attacks: the prompt and the gestures, on a real broker."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.broker.enrolling import call, visit
from elevate.broker.grant import Grant
from elevate.broker.prompting import ScriptedPrompter
from elevate.errors import BusyError, DeclinedError, DeniedError, ElevateError, LockedOutError
from elevate.hello import program
from elevate.host.processes import read_process
from elevate.model import Requester
from elevate.tasks import Task
from tests.hello.parts import CHEAPEST
from tests.hello.pty import Asking, Person

PIN = b"274913"
PHRASE = "green heron"
NOBODY = 65_534
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker.embedded(tmp_path_factory.mktemp("prompt") / "state", pin=PIN) as made:
        made.hello.vault._settings = replace(made.hello.settings, kdf=CHEAPEST)
        yield made


@pytest.fixture
def broker(one_broker: Broker) -> Broker:
    """A machine whose only gesture is a PIN; nobody is locked, nobody has declined."""
    for user in (me(one_broker).user, "bob"):
        one_broker.hello.reset(user)
        one_broker.parts.turns.answered(user)
    one_broker.hello.enrol_pin(me(one_broker).user, bytearray(PIN), phrase=PHRASE)
    return one_broker


def me(broker: Broker) -> Requester:
    return broker.requester(read_process(os.getpid()))


def elevates(broker: Broker, terminal: int, cancel: Cancellation | None = None, *words: str) -> Asking[Grant]:
    ask = Ask(task=Task.run(words or ("/bin/echo", "hi"), cwd="/"), requester=me(broker), reason="")
    terms = Terms(prompter=lambda: broker.prompter(terminal), cancel=cancel or Cancellation())
    return Asking(lambda: broker.request(ask, terms))


def test_25_a_false_prompt_does_not_know_the_phrase(broker: Broker) -> None:
    """The true one shows it; what a client gets to see of a request has it nowhere."""
    with Person() as person:
        asking = elevates(broker, person.terminal)
        assert PHRASE in person.sees("PIN: ")
        person.types(PIN + b"\r")
        grant = asking.result()
    shown = repr((grant.claims, broker.status(), call(visit(broker, me(broker), terminal=None), "HelloList", {})))
    assert PHRASE not in shown
    grant.release()
    assert not any(PHRASE.encode() in entry for entry in broker.parts.store.entries())


def test_25_the_pin_is_in_no_file_no_entry_and_no_answer(broker: Broker) -> None:
    """After it was typed, rightly and wrongly."""
    wrong = b"918273"
    with Person() as person:
        asking = elevates(broker, person.terminal)
        for typed in (wrong, PIN):
            person.sees("PIN: ")
            person.types(typed + b"\r")
        grant = asking.result()
    told = repr((grant.claims, grant.request, broker.status())).encode()
    grant.release()
    files = [path for path in broker.home.folder.rglob("*") if path.is_file()]
    assert len(files) > 8
    for secret in (PIN, wrong):
        assert secret not in told
        assert not any(secret in path.read_bytes() for path in files)


def reads_memory(target: int) -> bool:
    """Say whether nobody can open the memory of one of nobody's processes."""
    script = f"open('/proc/{target}/mem', 'rb')"
    done = subprocess.run([SYSTEM_PYTHON, "-I", "-c", script], user=NOBODY, group=NOBODY, capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(os.getuid() != 0 or not Path(SYSTEM_PYTHON).exists(), reason="needs root, to be nobody")
def test_28_38_the_prompts_memory_is_closed_to_the_same_user() -> None:
    """Nobody reads nobody's sleeping shell, but not nobody's prompt."""
    folder = Path(tempfile.mkdtemp(prefix="elevate-prompt-"))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        folder.chmod(0o755)
        copy = Path(shutil.copy(program.__file__, folder / "program.py"))
        copy.chmod(0o644)
        with Person() as person, theirs:
            prompt = subprocess.Popen(
                [SYSTEM_PYTHON, "-I", "-S", str(copy)],
                stdin=person.terminal,
                stdout=person.terminal,
                stderr=person.terminal,
                pass_fds=(program.CHANNEL,),
                preexec_fn=lambda: os.dup2(theirs.fileno(), program.CHANNEL) and None,  # noqa: PLW1509 - no lock is taken in it
                user=NOBODY,
                group=NOBODY,
            )
            other = subprocess.Popen(["/bin/sleep", "60"], user=NOBODY, group=NOBODY)
            try:
                ours.settimeout(20)
                assert ours.recv(4096)[:1] == program.READY
                assert reads_memory(other.pid)
                assert not reads_memory(prompt.pid)
            finally:
                for process in (prompt, other):
                    process.kill()
                    process.wait()
    finally:
        ours.close()
        shutil.rmtree(folder)


def test_35_a_bomb_of_prompts_is_slowed_and_then_refused(broker: Broker) -> None:
    """Three may be declined; the fourth is not shown at all."""
    with Person() as person:
        for _ in range(3):
            asking = elevates(broker, person.terminal)
            person.sees("PIN: ")
            person.types(b"\x03")
            with pytest.raises(DeclinedError):
                asking.result()
        seen = person.reads_on()
        with pytest.raises(BusyError, match="the next may come in"):
            elevates(broker, person.terminal).result()
        assert person.reads_on() == seen


def test_37_arguments_and_reasons_do_not_drive_the_terminal(broker: Broker) -> None:
    """An escape sequence, a new line, a reversed reading direction: each is shown, none is done."""
    hostile = "\x1b[2J\x1b]0;owned\x07\r\nPIN: \u202egnp.exe"
    with Person() as person:
        ask = Ask(task=Task.run(["/bin/echo", hostile], cwd="/"), requester=me(broker), reason=hostile)
        terms = Terms(prompter=lambda: broker.prompter(person.terminal), cancel=Cancellation())
        asking = Asking(lambda: broker.request(ask, terms))
        seen = person.sees("\r\nPIN: ")
        person.types(b"\x03")
        with pytest.raises(DeclinedError):
            asking.result()
    shown = seen.replace("\x1b[30;43m", "").replace("\x1b[30;47m", "").replace("\x1b[0m", "")
    assert not any(char in shown for char in "\x1b\x07\u202e")
    assert shown.count("\\u{1b}") >= 4


def test_38_what_is_half_typed_at_the_end_is_not_left_for_the_shell(broker: Broker) -> None:
    """The prompt is cancelled while the PIN is being typed; nor does a result serve another person."""
    cancel = Cancellation()
    with Person() as person:
        asking = elevates(broker, person.terminal, cancel)
        person.sees("PIN: ")
        person.types(PIN[:4])
        cancel.cancel()
        with pytest.raises(ElevateError):
            asking.result()
        assert person.pending() == b""
    broker.hello.enrol_pin("bob", bytearray(PIN))
    challenge = bytes(48)
    made = broker.hello.sign(me(broker).user, "pin", challenge, secret=bytearray(PIN))
    with pytest.raises(ElevateError):
        broker.hello.verify("bob", made, challenge)


def test_45_malware_of_the_same_user_enrols_nothing(broker: Broker) -> None:
    """It has no PIN, so it adds no face and takes nothing away; and it is nobody else."""
    with Person() as person:
        desk = visit(broker, me(broker), terminal=person.terminal)
        asking = Asking(lambda: call(desk, "HelloEnrol", {"gesture": "face"}))
        person.sees("PIN: ")
        person.types(b"000001\r")
        person.sees("wrong PIN")
        person.types(b"\x03")
        with pytest.raises(DeclinedError):
            asking.result()
    assert [one["gesture"] for one in broker.hello.list(me(broker).user)] == ["pin"]
    stranger = visit(broker, stranger_of(broker), terminal=None)
    with pytest.raises(DeniedError):
        call(stranger, "HelloReset", {"user": me(broker).user})


def stranger_of(broker: Broker) -> Requester:
    who = me(broker)
    return replace(who, user="mallory", process=replace(who.process, uid=who.process.uid + 4711))


def test_46_a_scripted_face_enrols_but_opens_nothing_where_it_is_not_allowed(tmp_path: Path) -> None:
    """The setting is off in a machine's folder; the gesture is listed as not usable, and never offered."""
    with Broker.embedded(tmp_path / "state", pin=PIN) as broker:
        user = me(broker).user
        assert "face" in broker.hello.offer(user).gestures
    settings = tmp_path / "state" / "settings.toml"
    settings.write_text(settings.read_text().replace("allow_simulated_gestures = true", "allow_simulated_gestures = false"))
    with Broker.open(tmp_path / "state") as broker:
        assert broker.hello.offer(user).gestures == ("pin",)
        shown = {one["gesture"]: one["usable"] for one in broker.hello.list(user)}
        assert shown == {"pin": True, "face": False}
        assert broker.status()["allow_simulated_gestures"] is False


def test_49_one_user_locks_out_nobody_else(broker: Broker) -> None:
    """Bob's wrong PINs lock Bob."""
    broker.hello.enrol_pin("bob", bytearray(PIN))
    bobs = ScriptedPrompter(broker.hello, b"000001")
    for _ in range(3):
        with pytest.raises(ElevateError):
            bobs.ask({}, "bob", broker.parts.entropy.token_bytes(48), cancel=Cancellation())
    broker.hello.type_phrase("bob", "A1B2C3")
    with pytest.raises(LockedOutError):
        bobs.ask({}, "bob", broker.parts.entropy.token_bytes(48), cancel=Cancellation())
    with Person() as person:
        asking = elevates(broker, person.terminal)
        person.sees("PIN: ")
        person.types(PIN + b"\r")
        asking.result().release()


def test_35_a_prompt_that_is_killed_grants_nothing(broker: Broker) -> None:
    """Whoever kills it; the terminal is put back."""
    with Person() as person:
        asking = elevates(broker, person.terminal)
        person.sees("PIN: ")
        prompts = [pid for pid in children(os.getpid()) if "hello/program.py" in command_of(pid)]
        assert prompts
        for pid in prompts:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ElevateError):
            asking.result()
        assert termios.tcgetattr(person.terminal) == person.before


def children(pid: int) -> Iterator[int]:
    """Give all descendants."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from children(int(child))


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
