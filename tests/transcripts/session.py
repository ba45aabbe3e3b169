"""Terminal sessions in plain text, and how they are replayed.

A session is typed into a shell on a pseudo-terminal, in a private place (`tests.e2e.private`). In its file:

- ``$ command`` is typed; the lines below it are what must be shown, colours left out.
- ``…`` within a line stands for any text, on a line of its own for any lines, none included.
- ``«text»`` is typed as an answer, with Enter, once what stands before it is shown; nothing of it is shown. Where it is, the
  text itself follows, as for ``yes or no: «yes»yes``.
- ``«^C»`` is Ctrl-C.
- Lines before the first command are a remark.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.private import inside
from tests.transcripts.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
_PROMPT = "=next= "
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TYPED = re.compile("«([^»]*)»")


@dataclass(frozen=True, slots=True)
class Step:
    """One command and what must be shown."""

    command: str
    expected: str


def read(path: Path) -> list[Step]:
    """Read a session's file."""
    blocks = re.split(r"(?m)^\$ ", path.read_text(encoding="utf-8"))[1:]
    return [Step(command, expected) for command, _, expected in (block.partition("\n") for block in blocks)]


def replay(steps: list[Step], folder: Path) -> None:
    """Type every command, answer what is asked, and compare.

    Raises:
        AssertionError: Something else was shown.
    """
    with Terminal(inside(folder, ["/bin/sh", "-i"]), env=_environment(folder), cwd=str(folder)) as terminal:
        terminal.read_until(_PROMPT)
        differences = []
        for step in steps:
            terminal.type(step.command + "\n")
            terminal.read_until("\n")
            try:
                shown = _answer(terminal, step)
            except AssertionError as exc:
                exc.add_note(_log(folder))
                raise
            if not re.fullmatch(_pattern(step.expected), shown):
                differences.append(_difference(step, shown))
        terminal.type("exit\n")
        terminal.finish()
    assert not differences, "\n".join(differences)


def _environment(folder: Path) -> dict[str, str]:
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    script = programs / "elevate"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m elevate "$@"\n')
    script.chmod(0o755)
    path = f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    return {"PATH": path, "PS1": _PROMPT, "PYTHONPATH": str(ROOT), "TERM": "dumb", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}


def _answer(terminal: Terminal, step: Step) -> str:
    shown = ""
    parts = _TYPED.split(step.expected)
    for before, typed in zip(parts[::2], parts[1::2], strict=False):
        shown += terminal.read_until(before.splitlines(keepends=True)[-1].rsplit("…", 1)[-1])
        terminal.type("\x03" if typed == "^C" else typed + "\n")
    shown += terminal.read_until(_PROMPT).removesuffix(_PROMPT)
    return _COLOUR.sub("", shown)


def _pattern(expected: str) -> str:
    text = _TYPED.sub("", expected)
    lines = [re.escape(line).replace("…", "[^\n]*?") + "\n" for line in text.splitlines()]
    return "".join("(?:[^\n]*\n)*?" if line == "[^\n]*?\n" else line for line in lines)


def _log(folder: Path) -> str:
    log = folder / "serve.log"
    return f"the broker said: {log.read_text() if log.exists() else None!r}"


def _difference(step: Step, shown: str) -> str:
    return f"$ {step.command}\n--- expected\n{step.expected}--- shown\n{shown}---"
