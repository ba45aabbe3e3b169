"""Attacks on the machine's own kinds of task: what a caller puts into their parameters, and who may describe them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.broker import Ask, Broker, Cancellation, Terms
from elevate.errors import PolicyChangedError, PolicyError, TaskInvalidError, TaskKindUnknownError
from elevate.host.processes import read_process
from elevate.kinds import KINDS, KindSpec
from elevate.tasks import Task
from tests.own_kinds import FLUSH, RULE, embedded, write

FLUSHED = "acme.flush-cache"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with embedded(tmp_path / "state") as one:
        yield one


def flush(broker: Broker, **params: object) -> Task:
    return Task.of(FLUSHED, broker.kinds(), **{"zone": "eu", "mode": "soft", "depth": 1, **params})


def test_17_a_parameter_stays_one_word(broker: Broker) -> None:
    """Whatever it holds, the program gets as many words as the description has."""
    outcome = broker.elevate(flush(broker, zone="eu-1", mode="hard", depth=9)).run(capture=True)
    assert outcome.stdout == b"--zone=eu-1 hard 9\n"


@pytest.mark.parametrize(
    "params",
    [
        {"zone": "eu us"},
        {"zone": "eu;id"},
        {"zone": "$(id)"},
        {"zone": "eu\n"},
        {"zone": "eu\0"},
        {"zone": ""},
        {"zone": "a" * 17},
        {"zone": "-eu"},
        {"zone": "{mode}"},
        {"zone": 1},
        {"zone": ["eu"]},
        {"mode": "soft|hard"},
        {"mode": "Soft"},
        {"depth": 10},
        {"depth": -1},
        {"depth": "1"},
        {"depth": True},
        {"depth": 1.0},
        {"more": "x"},
        {"argv": ["/bin/sh"]},
        {"cwd": "/tmp"},
        {"env": {"LD_PRELOAD": "x"}},
        {"time_limit_seconds": 0},
    ],
)
def test_17_a_parameter_out_of_its_bounds_is_refused(broker: Broker, params: dict[str, object]) -> None:
    """No second word, no option, no shell, no further parameter."""
    with pytest.raises(TaskInvalidError):
        flush(broker, **params)


def test_17_no_value_becomes_an_option() -> None:
    """Even where a careless pattern would let it."""
    text = FLUSH.replace("[a-z][a-z0-9-]{0,15}", "[a-z-]{1,15}")
    spec = load(text)
    with pytest.raises(TaskInvalidError, match="dash"):
        Task.of(FLUSHED, {FLUSHED: spec}, zone="-rf", mode="soft", depth=1)


def load(text: str) -> KindSpec:
    from tests.unit.policy.build import policy

    return policy(text).kinds[FLUSHED]


def test_18_only_the_machine_describes_kinds(broker: Broker) -> None:
    """What a caller says of a kind does not count: the broker reads the name and the parameters with its own."""
    own = KindSpec(name=FLUSHED, display_name="Harmless", params={}, argv=("/bin/sh",))
    asked = Task.of(FLUSHED, {FLUSHED: own})
    cancel = Cancellation()
    terms = Terms(prompter=lambda: broker.prompter(None), cancel=cancel)
    with pytest.raises(PolicyChangedError):
        broker.request(Ask(task=asked, requester=broker.requester(read_process(os.getpid()))), terms)
    cancel.close()


@pytest.mark.parametrize("name", ["acme.other", "process.run2", "ACME.flush-cache", "acme", ""])
def test_18_a_kind_that_nobody_describes_is_none(broker: Broker, name: str) -> None:
    """Nor can one of every machine's be described again."""
    with pytest.raises(TaskKindUnknownError):
        Task.of(name, broker.kinds())
    spoofed = replace(KINDS["process.run"], display_name="Harmless")
    assert Task.parse("process.run", {"argv": ["true"], "cwd": "/"}, kinds={"process.run": spoofed}).title == "Run a program"


def test_33_a_file_of_kinds_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """It is a rule file, and checked like one; the last good policy goes on."""
    state = tmp_path / "state"
    with embedded(state) as broker:
        (state / "policy" / "acme.toml").chmod(0o666)
        with pytest.raises(PolicyError, match="can be written by others"):
            broker.reload_policy()
        assert FLUSHED in broker.kinds()


def test_48_a_kind_described_otherwise_ends_what_was_asked(tmp_path: Path) -> None:
    """Between asking and deciding, and between the prompt and the run."""
    state = tmp_path / "state"
    with embedded(state) as broker:
        asked = flush(broker)
        grant = broker.elevate(asked)
        write(state, FLUSH.replace('"/usr/bin/echo"', '"/usr/bin/printf"') + RULE)
        broker.reload_policy()
        with pytest.raises(PolicyChangedError):
            grant.run()
        with pytest.raises(PolicyChangedError):
            broker.elevate(asked)
        assert broker.elevate(flush(broker)).run(capture=True).exit_status == 0


def test_09_a_program_that_others_can_write_is_not_run(tmp_path: Path) -> None:
    """The kind names it by its path: nobody but root may say what lies there."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o777)
    with (
        embedded(tmp_path / "state", FLUSH.replace("/usr/bin/echo", str(tool)) + RULE) as broker,
        pytest.raises(TaskInvalidError, match="can be changed by others"),
    ):
        broker.elevate(flush(broker))


def test_37_the_prompt_names_it_and_shows_what_runs(broker: Broker) -> None:
    """By its display name, with its parameters and the words that they come to; the digest covers all of it."""
    from elevate.hello import prompt_view

    grant = broker.elevate(flush(broker))
    view = prompt_view(grant.agreement, broker.hello.offer(grant.agreement.requester.user), emulated=True)
    assert view["title"] == "Flush Acme's cache"
    assert view["display"] == "acme.flush-cache depth=1 mode=soft zone=eu"
    assert view["command"] == "/usr/bin/echo --zone=eu soft 1"
    titled = replace(grant.agreement.task, task=replace(grant.agreement.task.task, spec=other_title()))
    assert titled.digest != grant.agreement.task.digest


def other_title() -> KindSpec:
    return load(FLUSH.replace("Flush Acme's cache", "Something else"))
