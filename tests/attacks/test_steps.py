"""Attacks on several steps under one token: no step slips in, changes, moves or comes back."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import parse
from elevate.broker import Ask, Broker, Cancellation, Grant, Terms, spill
from elevate.broker.prompting import ScriptedPrompter
from elevate.broker.stepping import StepsRunning
from elevate.errors import (
    DeniedError,
    HostError,
    NotStartedError,
    StartUnknownError,
    StoreUnwritableError,
    TaskInvalidError,
    TokenError,
    TokenSpentError,
)
from elevate.hello.render import lines
from elevate.host.processes import read_process
from elevate.model import Ended
from elevate.outcome import Progress
from elevate.ports import Draft, Inspection, Mandate, Prompter
from elevate.tasks import MAX_STEPS, Task
from tests.unit.broker.conftest import events
from tests.unit.broker.people import answering

PIN = b"274913"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state", pin=PIN) as one:
        yield one


def sh(text: str) -> Task:
    return Task.run(["/bin/sh", "-c", text])


def ask(broker: Broker, prompter: Callable[[], Prompter], *steps: Task) -> Grant:
    requester = broker.requester(read_process(os.getpid()))
    return broker.request(Ask(task=Task.in_order(steps), requester=requester), Terms(prompter=prompter, cancel=Cancellation()))


def owned_program(broker: Broker, name: str, text: str) -> Path:
    """Put a program where the rules of the machine let it run."""
    path = broker.home.folder / "machine" / "drive_c" / "Program Files" / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_48_a_later_steps_file_swapped_while_the_prompt_is_open(broker: Broker) -> None:
    """What was opened and hashed before the prompt is what runs, however late its turn comes."""
    program = owned_program(broker, "second", "#!/bin/sh\necho agreed\n")

    def swap() -> None:
        program.unlink()
        owned_program(broker, "second", "#!/bin/sh\necho swapped\n")

    grant = ask(broker, answering(broker, swap), sh("echo first"), Task.run([str(program)]))
    assert grant.run(capture=True).stdout == b"first\nagreed\n"


def test_48_a_later_steps_file_swapped_by_the_step_before(broker: Broker) -> None:
    """Nor does a step change what the next one is: written to in place, where only admin can, the file runs no more.

    What the requester can write was copied before the prompt, and the copy runs.
    """
    program = owned_program(broker, "second", "#!/bin/sh\necho agreed\n")
    swap = sh(f"printf '#!/bin/sh\\necho swapped\\n' > '{program}'")
    outcome = ask(broker, lambda: broker.prompter(None), swap, Task.run([str(program)])).run(capture=True)
    receipt: Any = outcome.receipt
    assert "swapped" in program.read_text()
    if os.getuid() == 0:
        assert (outcome.stdout, outcome.exit_status) == (b"", 125)
        assert receipt["steps"][1]["problem"] == "the file was changed after it was agreed to"
    else:
        assert (outcome.stdout, outcome.exit_status) == (b"agreed\n", 0)


def test_48_a_later_steps_file_replaced_by_the_step_before(broker: Broker) -> None:
    """Another file in its place changes nothing: the one that was opened runs."""
    program = owned_program(broker, "second", "#!/bin/sh\necho agreed\n")
    swap = sh(
        f"printf '#!/bin/sh\\necho swapped\\n' > '{program}.new'; chmod 755 '{program}.new'; mv '{program}.new' '{program}'"
    )
    outcome = ask(broker, lambda: broker.prompter(None), swap, Task.run([str(program)])).run(capture=True)
    assert outcome.stdout == b"agreed\n"
    assert "swapped" in program.read_text()


def test_37_every_step_is_on_the_prompt_whole(broker: Broker) -> None:
    """Control characters, long words and a text that looks like another step hide none, and start no line of their own."""
    person = ScriptedPrompter(broker.hello, PIN)
    fake = "true" + " " * 70 + "  3. Run a program: id" + " " * 70 + "  where a step fails, all of these:"
    steps = [
        sh("true\n  2. Run a program: id"),
        sh("echo \x1b[2J\u202e"),
        sh("echo " + "漢" * 60 + " " * 700 + "; rm -rf /"),
        sh(fake),
        sh("exit 0"),
    ]
    ask(broker, lambda: person, *steps)
    shown = lines(person.views[0], phrase="")
    end = next(number for number, line in enumerate(shown) if line.startswith("  asked by"))
    numbered = [line for line in shown if line.strip()[:2].rstrip(".").isdigit()]
    assert [line.split(".")[0].strip() for line in numbered] == ["1", "2", "3", "4", "5"]
    assert all(line.isprintable() for line in shown)
    assert all(sum(1 if char.isascii() else 2 for char in line) < 80 for line in shown[1:end])
    assert "where a step fails" not in "".join(line[:24] for line in shown)
    whole = "".join(line.removeprefix(" " * 12 + "| ") for line in shown)
    assert "; rm -rf /'" in whole
    assert whole.count("漢" * 60) >= 1
    assert "more characters" not in whole


def test_37_what_cannot_be_shown_whole_is_not_asked(broker: Broker) -> None:
    """One step too many, or one that a prompt would have to cut."""
    with pytest.raises(TaskInvalidError, match=str(MAX_STEPS)):
        ask(broker, lambda: broker.prompter(None), *[sh("exit 0")] * (MAX_STEPS + 1))
    with pytest.raises(TaskInvalidError, match="step 1 is too long"):
        ask(broker, lambda: broker.prompter(None), sh("true " + " " * 2000 + "; id"), sh("exit 0"))


def test_48_steps_reordered_after_the_prompt_do_not_run(broker: Broker) -> None:
    """The order is in the digest that the token carries."""
    grant = ask(broker, lambda: broker.prompter(None), sh("echo one"), sh("echo two"))
    found = grant.agreement.task
    turned = replace(found, task=replace(found.task, steps=found.task.steps[::-1]), steps=found.steps[::-1])
    grant.agreement = replace(grant.agreement, task=turned)
    with pytest.raises(TokenError):
        grant.run(capture=True)
    assert "running" not in events(broker, grant.request)


def test_40_a_denied_step_among_allowed_ones_denies_all(broker: Broker) -> None:
    """In whatever place, the ones that undo included; and the settings of the machine count for each."""
    denied = Task.run(["/usr/bin/su"])
    rows = (Task.in_order([denied, sh("exit 0")]), Task.in_order([sh("exit 0"), denied]))
    for row in (*rows, Task.in_order([sh("exit 0")], undo=[denied])):
        with pytest.raises(DeniedError, match=r"step \d \(/usr/bin/su\)"):
            broker.elevate(row)


def test_nothing_is_nested_and_nothing_hides_beside_the_steps() -> None:
    """A step has no steps; several have no parameters, input or undo of their own that nobody is shown."""
    step = sh("exit 0")
    with pytest.raises(TaskInvalidError, match="no steps itself"):
        Task.in_order([Task.in_order([step])])
    for bad in ({"params": (("x", "y"),)}, {"payload": b"x"}, {"undo": 1}, {"undo": -1}, {"undo": True}, {"steps": ()}):
        members = {"kind": "steps", "params": (), "steps": (step,)} | bad
        with pytest.raises(TaskInvalidError):
            Task(**members)
    with pytest.raises(TaskInvalidError):
        Task(kind="process.run", params=step.params, steps=(step,))


def test_14_a_second_start_starts_nothing(broker: Broker) -> None:
    """Neither the first step nor a later one, while they run or when they have."""
    grant = ask(broker, lambda: broker.prompter(None), sh("echo x >> $HOME/count"), sh("echo y >> $HOME/count"))
    refused: list[str] = []

    def again(_progress: Progress) -> None:
        with pytest.raises(TokenSpentError):
            grant.start("cd" * 16, grant.agreement.requester.process)
        refused.append("refused")

    outcome = grant.run(capture=True, on_progress=again)
    assert len(refused) == 4
    assert (Path(grant.identity.home) / "count").read_text() == "x\ny\n"
    assert outcome.exit_status == 0


def test_47_a_crash_between_steps_leaves_the_outcome_unknown(broker: Broker, tmp_path: Path) -> None:
    """A broker that comes back starts no step, of no kind: not the next, not those that undo."""
    grant = broker.elevate(Task.in_order([sh("exit 0"), sh("exit 0"), sh("echo x > $HOME/late")], undo=[sh("id > $HOME/undo")]))
    copied = tmp_path / "crashed"

    def crash(progress: Progress) -> None:
        if progress.step == 2 and not progress.ended:
            shutil.copytree(broker.home.folder, copied, symlinks=True, ignore=shutil.ignore_patterns("*-shm", "*.lock"))

    running = grant.start("ab" * 16, grant.agreement.requester.process, on_progress=crash)  # told before the step begins
    grant.finish(running)
    os.close(running.stdout)
    os.close(running.stderr)
    with Broker.open(copied) as again:
        told = [parse(entry).event for entry in again.parts.store.entries_of(grant.request)]
        home = copied / "machine" / "drive_c" / "Users" / grant.identity.name
        assert told[-1] == "outcome-unknown"
        assert told[-2] == "step-started"
        assert not (home / "late").exists()
        assert not (home / "undo").exists()


def test_41_a_step_that_cannot_be_written_does_not_begin(broker: Broker) -> None:
    """No log, no right: the row ends there, and what would undo is not begun either."""
    grant = broker.elevate(Task.in_order([sh("echo one"), sh("echo two")], undo=[sh("echo back")]))
    note = broker.parts.store.append

    def full(entry: Draft) -> int:
        if entry.event.startswith("step-"):
            raise StoreUnwritableError("no room is left")
        return note(entry)

    broker.parts.store.append = full  # type: ignore[method-assign]
    outcome = grant.run(capture=True)
    assert (outcome.stdout, outcome.exit_status) == (b"one\n", 125)
    assert events(broker, grant.request)[-1] == "destroyed"
    receipt: Any = outcome.receipt
    assert [one["problem"] for one in receipt["steps"]] == ["", "no room is left", "no room is left"]


def test_40_a_steps_rule_does_not_stretch_to_the_next(broker: Broker) -> None:
    """Each step starts with the obligations of its own decision."""
    grant = ask(broker, lambda: broker.prompter(None), sh("exit 0"), Task.service("Spooler", "start"))
    started: list[object] = []
    host = grant.parts.host
    begin = host.start

    def watched(inspection: Inspection, mandate: Mandate, **how: Any) -> object:  # noqa: ANN401 - as the host's own
        started.append((inspection.task.task.kind, mandate.obligations))
        return begin(inspection, mandate, **how)

    host.start = watched  # type: ignore[method-assign,assignment]
    grant.run(capture=True)
    wanted = [(task.task.kind, decided.obligations) for task, decided in grant.agreement.steps]
    assert started == wanted
    assert wanted[0][1] != wanted[1][1]


def test_47_a_step_of_which_nobody_knows_whether_it_began(broker: Broker) -> None:
    """It is neither tried again nor taken back, and nothing goes on: the outcome is not known, and the log says so."""
    grant = broker.elevate(Task.in_order([sh("exit 0"), sh("exit 0"), sh("id > $HOME/late")], undo=[sh("id > $HOME/undo")]))
    host, begin = grant.parts.host, grant.parts.host.start
    begun: list[object] = []

    def lost(inspection: Inspection, mandate: Mandate, **how: Any) -> object:  # noqa: ANN401 - as the host's own
        begun.append(mandate.session)
        if len(begun) > 1:
            raise StartUnknownError("no answer")
        return begin(inspection, mandate, **how)

    host.start = lost  # type: ignore[method-assign,assignment]
    with pytest.raises(HostError):
        grant.run(capture=True)
    assert len(begun) == 2
    assert events(broker, grant.request)[-1] == "outcome-unknown"
    assert not list(Path(grant.identity.home).glob("*undo")) + list(Path(grant.identity.home).glob("late"))


@pytest.mark.parametrize("number", [1, 2])
def test_47_a_step_that_was_never_executed_ends_the_row(broker: Broker, number: int) -> None:
    """Which is seen at its end only; what was done before is taken back."""
    grant = broker.elevate(Task.in_order([sh("exit 0"), sh("exit 0")], undo=[sh("echo undone")]))
    host, begin = grant.parts.host, grant.parts.host.start
    begun: list[object] = []

    def ended() -> Ended:
        raise NotStartedError("its process was ended")

    def killed(inspection: Inspection, mandate: Mandate, **how: Any) -> object:  # noqa: ANN401 - as the host's own
        running: Any = begin(inspection, mandate, **how)
        begun.append(running)
        if len(begun) == number:
            running.wait()
            running.wait = ended
        return running

    host.start = killed  # type: ignore[method-assign,assignment]
    outcome = grant.run(capture=True)
    assert (outcome.stdout, outcome.exit_status, len(begun)) == (b"undone\n", 125, number + 1)
    assert events(broker, grant.request)[-1] == "destroyed"


@pytest.mark.parametrize("reading", [True, False])
def test_31_who_leaves_does_not_end_what_undoes(broker: Broker, *, reading: bool) -> None:
    """Its output goes nowhere then, and it neither dies of that nor waits; where somebody reads, all of it is read."""
    long = "head -c 300000 /dev/zero; id > $HOME/undone"
    grant = broker.elevate(Task.in_order([sh("exit 9")], undo=[sh(long)]))
    if reading:
        assert len(grant.run(capture=True).stdout) == 300_000
    else:
        running = grant.start("ab" * 16, grant.agreement.requester.process)
        os.close(running.stdout)
        os.close(running.stderr)
        assert grant.finish(running).exit_status == 9
    assert (Path(grant.identity.home) / "undone").exists()


def test_31_nobody_cancels_what_undoes(broker: Broker) -> None:
    """Neither by a signal nor by leaving: its own time is what ends it."""
    grant = broker.elevate(Task.in_order([sh("exit 9")], undo=[sh("echo go; sleep 0.3; id > $HOME/undone")]))
    running = grant.start("ab" * 16, grant.agreement.requester.process)
    assert isinstance(running, StepsRunning)
    assert os.read(running.stdout, 3) == b"go\n"
    while getattr(running._state.current, "pid", 0) == running.pid:  # it runs already; only the row may not know yet
        pass
    running.signal(signal.SIGKILL)
    grant.cancel(signal.SIGKILL)
    running.cancel(signal.SIGKILL)
    assert grant.finish(running).exit_status == 9
    assert (Path(grant.identity.home) / "undone").exists()
    os.close(running.stdout)
    os.close(running.stderr)


def test_31_a_reader_that_stops_holds_up_what_undoes_once_and_briefly(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe is full, and nobody takes anything out of it."""
    monkeypatch.setattr(spill, "PATIENCE_MS", 50)
    grant = broker.elevate(Task.in_order([sh("exit 9")], undo=[sh("head -c 3000000 /dev/zero; id > $HOME/undone")]))
    running = grant.start("ab" * 16, grant.agreement.requester.process)
    assert grant.finish(running).exit_status == 9
    assert (Path(grant.identity.home) / "undone").exists()
    os.close(running.stdout)
    os.close(running.stderr)
