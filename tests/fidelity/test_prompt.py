"""Rows 16 to 21: every elevation is authorised by a person, on a prompt that the caller can't touch, and how that can end."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.broker.grant import Grant
from elevate.broker.prompting import ScriptedPrompter
from elevate.errors import DeclinedError, ElevateError, PromptTimedOutError
from elevate.hello.windows import UserConsentVerificationResult, result_of
from elevate.host.processes import read_process
from elevate.lifecycle import State
from elevate.tasks import Task
from tests.hello.parts import CHEAPEST
from tests.hello.pty import Asking, Person

PIN = b"274913"
NOBODY = 65_534


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker.embedded(tmp_path_factory.mktemp("prompt") / "state", pin=PIN) as made:
        user = me(made)
        made.hello.vault._settings = replace(made.hello.settings, kdf=CHEAPEST)
        made.hello.reset(user)
        made.hello.enrol_pin(user, bytearray(PIN))
        yield made


def me(broker: Broker) -> str:
    return broker.requester(read_process(os.getpid())).user


def asking(broker: Broker, terminal: int, *words: str) -> Asking[Grant]:
    ask = Ask(task=Task.run(words or ("/bin/true",)), requester=broker.requester(read_process(os.getpid())), reason="")
    terms = Terms(prompter=lambda: broker.prompter(terminal), cancel=Cancellation())
    return Asking(lambda: broker.request(ask, terms))


def last_state(broker: Broker) -> State:
    import orjson

    entries = [orjson.loads(data) for data in broker.parts.store.entries()]
    return State([entry["event"] for entry in entries if entry["request"]][-1])


def test_16_three_tasks_take_three_gestures(broker: Broker) -> None:
    """No cache, no grace period."""
    prompter = ScriptedPrompter(broker.hello, PIN)
    requester = broker.requester(read_process(os.getpid()))
    challenges = set()
    for _ in range(3):
        ask = Ask(task=Task.run(["/bin/true"]), requester=requester, reason="")
        grant = broker.request(ask, Terms(prompter=lambda: prompter, cancel=Cancellation()))
        challenges.add(str(prompter.views[-1]["digest"]))
        grant.release()
    assert len(prompter.views) == len(challenges) == 3


def test_17_the_caller_holds_nothing_of_the_prompt(broker: Broker) -> None:
    """The program's memory belongs to root, and it is no descendant that the caller started."""
    with Person() as person:
        pending = asking(broker, person.terminal)
        person.sees("PIN: ")
        found = [path for path in Path("/proc").iterdir() if path.name.isdigit() and is_prompt(path)]
        assert found
        assert all((path / "mem").stat().st_uid == 0 for path in found)
        person.types(b"\x03")
        with pytest.raises(DeclinedError):
            pending.result()
    broker.parts.turns.answered(me(broker))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be nobody")
def test_17_the_caller_can_t_signal_a_root_broker_s_prompt(broker: Broker) -> None:
    """The kernel refuses. Where both are one user, a killed prompt grants nothing (attacks.md row 35)."""
    with Person() as person:
        pending = asking(broker, person.terminal)
        person.sees("PIN: ")
        for path in [path for path in Path("/proc").iterdir() if path.name.isdigit() and is_prompt(path)]:
            done = subprocess.run(["/bin/kill", "-9", path.name], user=NOBODY, group=NOBODY, capture_output=True, check=False)
            assert done.returncode != 0
        person.types(b"\x03")
        with pytest.raises(DeclinedError):
            pending.result()
    broker.parts.turns.answered(me(broker))


def is_prompt(path: Path) -> bool:
    try:
        return b"hello/program.py" in (path / "cmdline").read_bytes()
    except OSError:
        return False


def test_19_the_prompt_shows_what_the_broker_resolved(broker: Broker, tmp_path: Path) -> None:
    """A link is named by where it leads; a title that the caller would like is nowhere."""
    link = tmp_path / "Windows Update"
    link.symlink_to("/usr/bin/true")
    with Person() as person:
        pending = asking(broker, person.terminal, str(link))
        seen = person.sees("PIN: ")
        person.types(b"\x03")
        with pytest.raises(ElevateError):
            pending.result()
    broker.parts.turns.answered(me(broker))
    program = next(line for line in seen.splitlines() if line.strip().startswith("program"))
    assert program.split()[1] == os.path.realpath("/usr/bin/true")


def test_20_declined_is_1223_and_no_error_of_the_brokers(broker: Broker) -> None:
    """ERROR_CANCELLED, and Windows' result 6."""
    with Person() as person:
        pending = asking(broker, person.terminal)
        person.sees("PIN: ")
        person.types(b"\x03")
        with pytest.raises(DeclinedError) as caught:
            pending.result()
    broker.parts.turns.answered(me(broker))
    assert caught.value.windows_code == 1223
    assert result_of(caught.value) is UserConsentVerificationResult.CANCELED
    assert last_state(broker) is State.DECLINED


def test_21_nobody_answers(broker: Broker) -> None:
    """120 s by default; here the time is over at once. Like a decline, with an outcome of its own."""
    settings = broker.hello.settings
    assert settings.prompt_seconds == 120
    broker.hello.settings = replace(settings, prompt_seconds=0)
    try:
        with Person() as person, pytest.raises(PromptTimedOutError) as caught:
            asking(broker, person.terminal).result()
    finally:
        broker.hello.settings = settings
    broker.parts.turns.answered(me(broker))
    assert caught.value.windows_code == 1223
    assert last_state(broker) is State.TIMED_OUT
