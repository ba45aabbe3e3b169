"""What is wrong with a policy, where, and how to put it right; all of it and not the first only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from elevate.canonical import Json
from elevate.errors import PolicyError
from elevate.text import escape

Path: TypeAlias = tuple[str | int, ...]

MAX_KEPT = 1000
MAX_SHOWN = 50
_MAX_TEXT = 160


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        line: From 1; 0 where no line is meant.
        column: From 1, in characters.
        text: The line as it stands in the file.
    """

    file: str
    line: int
    column: int
    message: str
    fix: str = ""
    text: str = field(default="", compare=False)

    def render(self) -> str:
        """Give ``file:line:column: message``, the line with a caret below, and the fix."""
        lines = [f"{escape(self.file)}:{self.line}:{self.column}: {self.message}"]
        if self.text:
            start = max(0, self.column - 1 - _MAX_TEXT // 2)
            shown = self.text[start : start + _MAX_TEXT].replace("\t", " ")
            caret = len(escape(shown[: self.column - 1 - start]))
            lines += [f"    {escape(shown)}", f"    {' ' * caret}^"]
        if self.fix:
            lines.append(f"    fix: {self.fix}")
        return "\n".join(lines)

    def json(self) -> dict[str, Json]:
        """Give the same for programs."""
        where: dict[str, Json] = {"file": self.file, "line": self.line, "column": self.column}
        return where | {"message": self.message, "fix": self.fix}


class RefusedValue(Exception):  # noqa: N818 - it never leaves this room
    """A value that its field does not take; the reader of the table adds where it stands."""

    def __init__(self, message: str, fix: str = "", *, path: Path = ()) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.path = path


@dataclass(slots=True)
class Report:
    """Collects problems; keeps the first `MAX_KEPT` and counts the rest."""

    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0

    def add(self, problem: Problem) -> None:
        """Note one more."""
        if len(self.problems) < MAX_KEPT:
            self.problems.append(problem)
        else:
            self.left_out += 1


def error_of(problems: Sequence[Problem], left_out: int = 0) -> PolicyError:
    """Make the one error that lists them all, in the order of the files."""
    count = len(problems) + left_out
    shown = sorted(problems)[:MAX_SHOWN]
    lines = [f"the policy has {count} problem{'s' if count != 1 else ''}", *(problem.render() for problem in shown)]
    if count > len(shown):
        lines.append(f"and {count - len(shown)} more")
    return PolicyError("\n".join(lines))


def similar(word: str, known: Iterable[str]) -> str:
    """Give a fix for a word that is not known: the nearest one that is, or all of them."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(word[:64], names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(names)}"
