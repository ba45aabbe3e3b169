"""Row 48, before the prompt: whatever a caller can ask for differently, the person and the log see differently."""

from dataclasses import replace

import pytest

from elevate.audit import body
from elevate.hello import prompt_view
from elevate.hello.render import lines
from elevate.model import InspectedTask
from elevate.ports import Offer
from elevate.tasks import Task
from tests.hello.parts import agreement


def run(**changes: object) -> Task:
    asked = {"argv": ["id"], "cwd": "/srv", "env": {"TZ": "UTC"}, "time_limit_seconds": 60}
    return Task.parse("process.run", asked | changes)


RUN = run()
WRITE = Task.write("/etc/motd", b"hello", mode=0o600)
CHANGES = {
    "another command": (RUN, run(argv=["id", "-u"])),
    "another directory": (RUN, run(cwd="/tmp")),
    "another value": (RUN, run(env={"TZ": "CET"})),
    "one variable more": (RUN, run(env={"TZ": "UTC", "HTTP_PROXY": "x"})),
    "another time limit": (RUN, run(time_limit_seconds=61)),
    "a file for everybody": (WRITE, Task.write("/etc/motd", b"hello", mode=0o666)),
    "another file": (WRITE, Task.write("/etc/issue", b"hello", mode=0o600)),
}


def _inspected(task: Task) -> InspectedTask:
    bare = replace(task, payload=None)
    argv = tuple(str(word) for word in dict(task.params).get("argv", ()))  # type: ignore[union-attr]
    cwd = str(dict(task.params)["cwd"])
    return replace(agreement().task, task=bare, argv=argv, cwd=cwd, file=None)


def _shown(task: Task) -> str:
    asked = replace(agreement(), task=_inspected(task))
    view = prompt_view(asked, Offer(gestures=("pin",)), emulated=True)
    return "\n".join(lines(view | {"digest": "", "requester": view["requester"]}, phrase=""))


@pytest.mark.parametrize("change", CHANGES)
def test_48_whatever_is_asked_differently_is_shown_differently(change: str) -> None:
    """The digest alone tells a person nothing."""
    before, after = CHANGES[change]
    assert _shown(before) != _shown(after)


@pytest.mark.parametrize("change", [name for name in CHANGES if "limit" not in name])
def test_48_whatever_is_asked_differently_is_logged_differently(change: str) -> None:
    """In words, not by the digest only."""
    before, after = (body.task(_inspected(task))["task"] for task in CHANGES[change])
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before | {"digest": ""} != after | {"digest": ""}


def test_37_a_variable_s_value_does_not_drive_the_terminal() -> None:
    """Escaped as all the rest."""
    task = run(env={"TZ": "\x1b[2J\n"})
    assert "\x1b" not in _shown(task)
    assert "\\u{1b}[2J\\n" in _shown(task)


def test_37_blanks_that_fill_the_screen_do_not_hide_what_runs() -> None:
    """It stands again right above the question; where nothing scrolls away it is not said twice."""
    asked = replace(agreement(), task=_inspected(run(argv=["shred", " " * 900, "x" * 900])), reason=" " * 500)
    shown = lines(prompt_view(asked, Offer(gestures=("pin",)), emulated=False), phrase="green heron")
    assert sum(1 + len(line) // 80 for line in shown[-3:]) < 8
    assert shown[-3].startswith("  in short   shred ")
    assert "green heron" in shown[-2]
    assert not any(
        "in short" in line for line in lines(prompt_view(agreement(), Offer(gestures=("pin",)), emulated=True), phrase="")
    )


def test_48_permission_bits_that_nobody_asked_for_are_shown() -> None:
    """A file keeps what it has; whoever asks for more is seen to."""
    kept, opened = Task.write("/etc/motd", b"x"), Task.write("/etc/motd", b"x", mode=0o666)
    there = (("mode_before", 0o600),)
    cases = [(kept, there), (opened, there), (kept, ()), (opened, ())]
    found = [replace(_inspected(task), facts=facts) for task, facts in cases]
    views = [prompt_view(replace(agreement(), task=one), Offer(gestures=("pin",)), emulated=True) for one in found]
    assert [view["file_mode"] for view in views] == ["0600, as it is", "0666, was 0600", "0644", "0666"]
    assert all(f"  mode       {view['file_mode']}" in lines(view, phrase="") for view in views)
