"""Several tasks under one token, on a real emulated machine with real processes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from elevate.audit import opened, parse
from elevate.audit.view import line
from elevate.broker import Broker, several
from elevate.broker.prompting import ScriptedPrompter
from elevate.errors import CommandNotFoundError, DeniedError, TaskInvalidError, TokenSpentError
from elevate.host.processes import read_process
from elevate.outcome import Progress
from elevate.policy.replay import recorded, replay
from elevate.policy.suggest import suggest
from elevate.tasks import Task
from tests.unit.broker.conftest import events

THEME = Task.setting(r"HKLM\SOFTWARE\Contoso\Notes", "Theme", "dark")


def sh(text: str) -> Task:
    return Task.run(["/bin/sh", "-c", text])


@pytest.fixture
def broker(prompted: Broker) -> Broker:
    return prompted


def test_all_steps_run_in_order_under_one_prompt(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    """One prompt, one token, one session; the output of all, in order."""
    steps = [Task.run(["cat"], stdin=b"one\n"), THEME, sh("echo two; echo $ELEVATE_SESSION"), sh("echo $ELEVATE_SESSION")]
    grant = broker.elevate(steps, reason="INC-4711")
    outcome = grant.run(capture=True)

    one, _, two, first, second = outcome.stdout.decode().splitlines()
    assert (outcome.exit_status, one, two, first == second) == (0, "one", "two", True)
    assert len(prompts) == 1
    with pytest.raises(TokenSpentError):
        grant.run()
    assert events(broker, grant.request) == [
        *("requested", "prompting", "issued", "redeemed", "running"),
        *("step-started", "step-started", "step-started", "destroyed", "second-use"),
    ]


def test_the_prompt_and_the_token_name_every_step(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    grant = broker.elevate(Task.in_order([sh("exit 0"), THEME], undo=[sh("exit 1")]))
    (view,) = prompts[0].views
    steps = view["steps"]
    assert isinstance(steps, list)
    assert [(one["title"], one["undo"]) for one in steps if isinstance(one, dict)] == [
        ("Run a program", False),
        ("Change a setting of the machine", False),
        ("Run a program", True),
    ]
    assert grant.claims.kind == "steps"
    assert grant.claims.steps == ("/usr/bin/sh -c 'exit 0'", THEME.display(), "/usr/bin/sh -c 'exit 1'")
    assert grant.claims.display == f"/bin/sh -c 'exit 0' && {THEME.display()} || {{ /bin/sh -c 'exit 1'; }}"


@pytest.mark.parametrize(
    ("bad", "status", "number"),
    [("exit 3", 3, None), ("kill -9 $$", None, 9), ("exec /no/such/program", 127, None)],
)
def test_the_first_that_fails_is_the_last(broker: Broker, bad: str, status: int | None, number: int | None) -> None:
    """Its end is the end of all; no further step begins."""
    outcome = broker.elevate([sh("echo one"), sh(bad), sh("echo three")]).run(capture=True)
    receipt: Any = outcome.receipt
    assert outcome.stdout == b"one\n"
    assert (outcome.exit_status, outcome.signal) == (status, number)
    assert [one["step"] for one in receipt["steps"]] == [1, 2]


def test_a_step_that_takes_too_long_fails(broker: Broker) -> None:
    slow = Task.run(["sleep", "30"], time_limit_seconds=1)
    outcome = broker.elevate(Task.in_order([slow, sh("echo two")], undo=[sh("echo back")])).run(capture=True)
    assert (outcome.timed_out, outcome.stdout) == (True, b"back\n")


def test_what_undoes_runs_after_a_failure_only(broker: Broker) -> None:
    """All of it, whatever becomes of it, and the end stays that of the step that failed."""
    undo = [sh("echo back; exit 1"), sh("echo further back")]
    well = broker.elevate(Task.in_order([sh("echo one")], undo=undo)).run(capture=True)
    ill = broker.elevate(Task.in_order([sh("exit 4")], undo=undo)).run(capture=True)
    assert (well.exit_status, well.stdout) == (0, b"one\n")
    assert (ill.exit_status, ill.stdout) == (4, b"back\nfurther back\n")


def test_progress_is_told_in_order(broker: Broker) -> None:
    told: list[Progress] = []
    task = Task.in_order([sh("exit 0"), sh("exit 5"), sh("exit 0")], undo=[sh("exit 0")])
    broker.elevate(task).run(capture=True, on_progress=told.append)
    assert [(one.step, one.steps, one.undo, one.ended, one.exit_status) for one in told] == [
        (1, 3, False, False, None),
        (1, 3, False, True, 0),
        (2, 3, False, False, None),
        (2, 3, False, True, 5),
        (4, 3, True, False, None),
        (4, 3, True, True, 0),
    ]
    assert [Progress.from_json(one.to_json() | {"newer": 1}) for one in told] == told


def test_who_listens_and_fails_ends_the_task(broker: Broker) -> None:
    """As with any error of the caller's: nothing goes on that nobody waits for."""

    def broken(progress: Progress) -> None:
        raise RuntimeError(progress.task)

    grant = broker.elevate([sh("sleep 30"), sh("exit 0")])
    with pytest.raises(RuntimeError):
        grant.run(capture=True, on_progress=broken)
    assert events(broker, grant.request)[-1] == "destroyed"


def test_a_cancelled_row_begins_no_further_step(broker: Broker) -> None:
    """What undoes still runs: half a change is worse than none."""
    grant = broker.elevate(Task.in_order([sh("echo one; sleep 30"), sh("echo two")], undo=[sh("echo back")]))

    def stop(progress: Progress) -> None:
        if not progress.undo:
            grant.cancel()

    outcome = grant.run(capture=True, on_progress=stop)
    assert outcome.stdout.endswith(b"back\n")
    assert b"two" not in outcome.stdout
    assert outcome.signal == 15


def test_a_denied_step_denies_all_and_is_named(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    """Nobody is asked, and nothing runs."""
    with pytest.raises(DeniedError, match=r"step 2 \(/usr/bin/su\): ") as caught:
        broker.elevate([sh("exit 0"), Task.run(["/usr/bin/su"])])
    assert prompts == []
    assert "step 1" not in caught.value.message


def test_an_unmatched_step_denies_all_and_offers_its_rule(broker: Broker, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    with pytest.raises(DeniedError, match=r"step 1 \(.*no rule allows this task") as caught:
        broker.elevate([Task.run([str(own)]), sh("exit 0")])
    assert caught.value.hint.count("[[rule]]") == 1
    assert 'effect = "allow"' in caught.value.hint


def test_a_step_that_cannot_be_looked_at_fails_before_anybody_is_asked(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    """So does one that only an earlier step would make: every file is opened before the prompt."""
    with pytest.raises(CommandNotFoundError):
        broker.elevate([sh("echo '#!/bin/sh' > /tmp/not-there"), Task.run(["/tmp/not-there"])])
    assert prompts == []


def test_too_long_to_be_shown_is_too_long(broker: Broker, prompts: list[ScriptedPrompter]) -> None:
    """Nothing of a step is cut in the prompt, so what would be is refused."""
    with pytest.raises(TaskInvalidError, match="step 2 is too long to be shown whole"):
        broker.elevate([sh("exit 0"), sh("echo " + "x" * 1100)])
    with pytest.raises(TaskInvalidError, match="too long to be shown together"):
        broker.elevate([sh("echo " + "x" * 900)] * 6)
    assert prompts == []


def test_the_log_says_how_each_step_ended(broker: Broker) -> None:
    """Each start names the end of the step before; the last entry has all ends, and they name nobody."""
    grant = broker.elevate([sh("exit 0"), sh("exit 6"), sh("exit 0")])
    grant.run(capture=True)
    store = broker.parts.store
    entries = [opened(*pair) for pair in zip(store.entries_of(grant.request), store.openings_of(grant.request), strict=True)]
    started: Any = next(entry for entry in entries if entry.event == "step-started").body["step"]
    assert (started["number"], started["of"], started["before"]["exit_status"]) == (2, 3, 0)
    public = json.loads(store.entries_of(grant.request)[-1])["body"]["steps"]["ended"]
    assert [(one["number"], one["exit_status"]) for one in public] == [(1, 0), (2, 6)]


def test_the_receipt_lists_what_each_step_wrote_and_the_way_back(broker: Broker) -> None:
    """Newest first; what elevate has a task for stands there as one."""
    write = Task.write(r"C:\ProgramData\contoso.ini", b"a=1\n")
    outcome = broker.elevate([write, THEME, Task.service("Spooler", "start"), sh("echo x > $HOME/note")]).run(capture=True)
    receipt: Any = outcome.receipt
    assert [one["step"] for one in receipt["written"]] == [1, 2, 3, 4]
    assert [(one["step"], one["do"]) for one in receipt["undo"]] == [
        (4, "remove"),
        (3, "task"),
        (2, "remove"),
        (1, "remove"),
    ]
    stop = receipt["undo"][1]
    assert Task.parse(stop["task"]["kind"], stop["task"]["params"]) == Task.service("Spooler", "stop")
    again = broker.elevate([write, Task.setting(r"HKLM\SOFTWARE\Contoso\Notes", "Theme", "light")]).run(capture=True)
    undo: Any = again.receipt["undo"]
    back, restore = undo
    assert Task.parse(back["task"]["kind"], back["task"]["params"]) == THEME
    assert (restore["do"], len(restore["sha256"])) == ("restore", 64)
    kept = broker.receipt(str(again.receipt["request"]), broker.requester(read_process(os.getpid())))
    assert kept["undo"] == undo


def test_one_alone_is_the_task_itself(broker: Broker) -> None:
    grant = broker.elevate([sh("exit 0")])
    assert grant.claims.kind == "process.run"
    assert "steps" not in grant.run(capture=True).receipt


def test_explain_says_each_step(broker: Broker) -> None:
    found = broker.explain([sh("exit 0"), Task.run(["/usr/bin/su"])])
    told: Any = found.json()
    assert told["outcome"] == "denied"
    assert [one["outcome"] for one in told["steps"]] == ["credential", "denied"]
    assert found.text().startswith("denied: step 2 (/usr/bin/su): ")


def test_files_that_are_too_large_together_are_refused(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is held open, and copied where others could change it, until its step has run."""
    monkeypatch.setattr(several, "MAX_FILES_BYTES", Path("/usr/bin/env").stat().st_size)
    broker.elevate([Task.run(["/usr/bin/env"]), THEME]).release()
    with pytest.raises(TaskInvalidError, match="the steps' files are over"):
        broker.elevate([Task.run(["/usr/bin/env"]), Task.run(["/usr/bin/id"])])


def test_the_log_keeps_the_question_of_every_step(broker: Broker) -> None:
    """It can be asked again of another policy, and rules are suggested for each step, never for the row."""
    grant = broker.elevate([sh("exit 0"), THEME])
    grant.run(capture=True)
    store, policy = broker.parts.store, broker.parts.policy.current
    entries = [opened(*pair) for pair in zip(store.entries_of(grant.request), store.openings_of(grant.request), strict=True)]
    record = next(found for entry in entries if (found := recorded(grant.request, entry.body)))

    assert [step.task.kind for step in record.question.task.steps] == ["process.run", "setting.change"]
    assert list(replay(policy, [record])) == []
    rules = [one.rule for one in suggest([record], policy)]
    assert rules
    assert not any('"steps"' in rule for rule in rules)


def test_a_timeline_names_the_steps(broker: Broker) -> None:
    grant = broker.elevate(Task.in_order([sh("exit 0"), sh("exit 1")], undo=[sh("exit 0")]))
    grant.run(capture=True)
    told = [line(parse(entry), proven=None).what for entry in broker.parts.store.entries_of(grant.request)]
    assert "step 2 of 2" in told
    assert "step 3, which undoes" in told
