"""A machine's own kinds on host linux, for real: what is run, as whom, and which program is refused."""

from pathlib import Path

import pytest

from elevate.errors import TaskInvalidError
from elevate.kinds import KindSpec
from elevate.params import ParamSpec, ParamType
from elevate.tasks import Task
from tests.unit.host.acting import Linux

pytestmark = pytest.mark.root


def task(program: str, word: str) -> Task:
    word_is = {"word": ParamSpec(type=ParamType.TEXT, pattern="[a-z/ -]{1,40}")}
    spec = KindSpec(name="acme.say", display_name="Say it", params=word_is, argv=(program, "word={word}"))
    return Task.of("acme.say", {"acme.say": spec}, word=word)


def test_it_runs_as_the_hidden_account(linux: Linux) -> None:
    """One program, as many words as the description has, and no shell between."""
    done = linux.do(task("/usr/bin/printf", "a b"))
    assert (done.ended.exit_status, done.out) == (0, "word=a b")
    account = linux.host.provision(linux.requester).name
    assert f"={account}\n" in linux.do(task("/usr/bin/env", "x")).out


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_09_a_program_of_the_users_own_is_refused(linux: Linux, mode: int) -> None:
    """Its description names it by its path; whoever can write there could say what runs."""
    tool = linux.place / "tool"
    linux.as_attacker(["/bin/sh", "-c", f"printf '#!/bin/sh\\necho mine\\n' > {tool}; chmod {mode:o} {tool}"])
    assert Path(tool).exists()
    with pytest.raises(TaskInvalidError, match="can be changed by others"):
        linux.do(task(str(tool), "x"))
