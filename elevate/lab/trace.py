"""Which programs an installer started, and how, from Wine's trace of processes and of the shell. Pure."""

import re
from dataclasses import dataclass

from elevate.lab.hive import unescape

_PROCESS = re.compile(r'CreateProcessInternalW app (?:\(null\)|L"((?:[^"\\]|\\.)*)") cmdline (?:\(null\)|L"((?:[^"\\]|\\.)*)")')
_SHELL = re.compile(
    r'SHELL_execute mask=\S+ hwnd=\S+ verb=(?:\(null\)|L"((?:[^"\\]|\\.)*)") file=(?:\(null\)|L"((?:[^"\\]|\\.)*)")'
)
_FIRST_WORD = re.compile(r'\s*(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One start.

    Attributes:
        program: Path or name of what was started.
        command: The whole command, or the file that the shell was given.
        verb: The shell's verb, as ``runas``; empty for a plain start.
    """

    program: str
    command: str
    verb: str = ""

    @property
    def name(self) -> str:
        """The program's file name in lower case."""
        return self.program.replace("/", "\\").rpartition("\\")[2].lower()


def parse(text: str) -> tuple[Started, ...]:
    """Read a trace."""
    found: list[Started] = []
    for line in text.split("\n"):
        if match := _PROCESS.search(line):
            app, command = unescape(match[1] or ""), unescape(match[2] or "")
            found.append(Started(program=app or first_word(command), command=command or app))
        elif match := _SHELL.search(line):
            file = unescape(match[2] or "")
            found.append(Started(program=file, command=file, verb=unescape(match[1] or "").lower() or "open"))
    return tuple(found)


def first_word(command: str) -> str:
    """Give the program of a command line."""
    match = _FIRST_WORD.match(command)
    return (match[1] or match[2] or "") if match else ""
