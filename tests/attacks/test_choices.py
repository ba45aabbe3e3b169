"""Rows 18, 26 and 27: what a caller can't choose, and what a task does not get of the caller's terminal."""

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate import words
from elevate.broker import Broker
from elevate.errors import TaskInvalidError
from elevate.model import Deny
from elevate.policy import load, question
from elevate.resources import shipped
from elevate.server.description import DESCRIPTION
from elevate.store.files import read_policy
from elevate.tasks import KINDS, Task

CHOICES = ("host", "chroot", "root", "root_directory", "policy", "policy_file", "namespace", "user", "uid", "group", "config")

_ASKED = {"user": "run_as", "group": "run_as_group"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker.embedded(tmp_path / "state") as one:
        yield one


@pytest.mark.parametrize("name", CHOICES)
def test_18_no_task_takes_a_choice_that_is_the_brokers(name: str) -> None:
    """Host, root directory, policy file, namespace and identity are no parameters of any kind of task."""
    for kind in KINDS.values():
        assert name not in kind.params
        with pytest.raises(TaskInvalidError):
            Task.parse(kind.name, {"cwd": "/", name: "x"})


@pytest.mark.parametrize("name", CHOICES)
def test_18_no_call_and_no_option_takes_it_either(name: str) -> None:
    """Neither a method of the socket nor `elevate run`."""
    asked = re.findall(r"method (?:Elevate|Run|Redeem|Explain)\(([^)]*)\)", DESCRIPTION)
    assert len(asked) == 4
    assert all(name not in re.findall(r"(\w+):", parameters) for parameters in asked)
    if name in {"user", "group"}:  # asked for, and then for a rule to allow
        assert words.parse([f"--{name}=x", "--", "true"], {}) == ({_ASKED[name]: "x"}, ["true"])
        return
    with pytest.raises(TaskInvalidError):
        words.parse([f"--{name}=x", "--", "true"], {})


@pytest.mark.parametrize("asked", [{"run_as": "postgres"}, {"run_as": "alice", "run_as_group": "shadow"}])
@pytest.mark.parametrize("name", ["developer-workstation", "ci-machine", "kiosk"])
def test_18_no_shipped_rule_lets_a_caller_choose_another_user(name: str, asked: dict[str, str]) -> None:
    """As the admin account only; a rule must name whom else it means."""
    rules = load(read_policy(shipped("policies") / name))
    for path in ("/usr/bin/apt-get", "/usr/bin/id", "/usr/bin/systemctl"):
        task = {"kind": "process.run", "path": path, "sha256": "ab" * 32, **asked}
        given = {"user": "alice", "groups": ["Administrators", "sudo", "wheel"], "task": task}
        assert isinstance(rules.decide(question(given)), Deny)


def test_26_a_task_has_no_terminal_to_write_into(broker: Broker) -> None:
    """It is in a session of its own without a controlling terminal, so TIOCSTI has nothing to push characters into."""
    script = (
        "( : < /dev/tty ) 2>/dev/null && echo tty; cut -d' ' -f5,7 /proc/self/stat; test -t 0 && echo 0; test -t 1 && echo 1"
    )
    with broker.elevate(Task.run(["/bin/sh", "-c", script])) as grant:
        told = grant.run(capture=True).stdout.decode().split()
    assert told[1:] == ["0"]
    assert os.getpgrp() != int(told[0])


def test_26_a_terminal_of_the_brokers_reaches_no_task(broker: Broker) -> None:
    """Whatever terminal is open in the broker's process: the task has none of its descriptors."""
    ours, theirs = pty.openpty()
    try:
        with broker.elevate(Task.run(["/bin/sh", "-c", "readlink /proc/self/fd/*"])) as grant:
            told = grant.run(capture=True).stdout.decode()
        assert os.ttyname(theirs) not in told
        assert "ptmx" not in told
    finally:
        os.close(ours)
        os.close(theirs)


def test_27_a_task_reads_nothing_that_was_not_declared(broker: Broker) -> None:
    """Nobody can type into a task: its standard input is empty, or a sealed copy of what the person agreed to."""
    with broker.elevate(Task.run(["/bin/sh", "-c", "readlink /proc/self/fd/0; cat"])) as grant:
        assert grant.run(capture=True).stdout == b"/dev/null\n"
    with broker.elevate(
        Task.run(["/bin/sh", "-c", "cat; ( echo more > /proc/self/fd/0 ) 2>/dev/null || echo sealed"], stdin=b"in\n")
    ) as grant:
        assert grant.run(capture=True).stdout == b"in\nsealed\n"
