"""TOML with places: what tomllib reads, and where each key and list item stands.

tomllib gives no positions and stops at the first mistake. Here a block (from one ``[header]`` to the next) with a mistake is
reported, blanked out and the rest read again, so that every block's mistake is told; then a small scanner walks over the text,
which is valid by now, and notes the offset of every key.
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field

from elevate.policy.problems import Path, Problem, Report

MAX_SYNTAX_ERRORS = 20
MAX_NESTING = 32

_LARGE = 2**18
"""From this many characters on, only the first syntax errors are told: reading again takes seconds."""

_LONG_NUMBER = 4000
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_INLINE_BLANK = re.compile(r"[ \t]*")
_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+')
STRING_PATTERNS = (
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}',
    r"'''(?:[^']|'(?!''))*'{3,5}",
    r'"(?:[^"\\\n]|\\.)*"',
    r"'[^'\n]*'",
)
"""Strings of TOML, so that what looks like a comment within one is none."""
_STRING = re.compile("|".join(STRING_PATTERNS), re.DOTALL)
_LONG_KEY = re.compile(r"(?:^|[\[{,])[ \t]*(?:(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*){32}", re.MULTILINE)
_SCALAR = re.compile(r"[^,\]}#\r\n]*")


@dataclass(slots=True)
class Places:
    """Offsets of keys and items in one file's text, by path."""

    file: str
    text: str
    offsets: dict[Path, int] = field(default_factory=dict)
    _starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Note where the lines begin."""
        self._starts = [0, *(match.end() for match in re.finditer("\n", self.text))]

    def position(self, path: Path) -> tuple[int, int]:
        """Give line and column, both from 1, of the nearest place that is known."""
        while path and path not in self.offsets:
            path = path[:-1]
        offset = self.offsets.get(path, 0)
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Give one line's text."""
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r")

    def problem(self, path: Path, message: str, fix: str = "") -> Problem:
        """Make a problem that points at ``path``."""
        line, column = self.position(path)
        return self.problem_at(line, column, message, fix)

    def problem_at(self, line: int, column: int, message: str, fix: str = "") -> Problem:
        """Make a problem that points at a line and a column."""
        line = min(line, len(self._starts))
        return Problem(file=self.file, line=line, column=column, message=message, fix=fix, text=self.line(line))


def parse(file: str, text: str, report: Report) -> tuple[dict[str, object], Places]:
    """Read what can be read of ``text``; mistakes go to ``report``."""
    places = Places(file, text)
    if (deep := _too_deep(text)) >= 0:
        places.offsets[("",)] = deep
        report.add(places.problem(("",), f"nested deeper than {MAX_NESTING}", "rules need two levels"))
        return {}, places
    tries = MAX_SYNTAX_ERRORS if len(text) < _LARGE else 2
    for _ in range(tries):
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as exc:
            problem = _syntax(places, text, exc)
            report.add(problem)
            text = _without_block(text, problem.line)
        else:
            _Scanner(text, places.offsets).run()
            return document, places
    return {}, places


def _too_deep(text: str) -> int:
    """Give the offset where brackets are nested too deeply, or -1; brackets in strings count, which only errs to no."""
    long_key = _LONG_KEY.search(text)
    if long_key is not None:
        return long_key.start()
    depth = 0
    for match in re.finditer(r"[\[\]{}]|\n(?=[ \t]*(?:\[\[?[A-Za-z]|[\w.-]+[ \t]*=))", text):
        sign = match.group()
        depth = 0 if sign == "\n" else depth + 1 if sign in "[{" else max(0, depth - 1)
        if depth > MAX_NESTING:
            return match.start()
    return -1


def _syntax(places: Places, text: str, exc: Exception) -> Problem:
    found = _AT.search(str(exc))
    message = _AT.sub("", str(exc)) or "can't be read"
    if found and found.group(1):
        line, column = int(found.group(1)), int(found.group(2))
    else:
        line, column = _end_or_long_number(text)
    return places.problem_at(line, column, f"not TOML: {message[:1].lower()}{message[1:200]}", _syntax_fix(message))


def _end_or_long_number(text: str) -> tuple[int, int]:
    number = next((one for one in re.finditer(r"\d+", text) if one.end() - one.start() >= _LONG_NUMBER), None)
    offset = number.start() if number else len(text.rstrip())
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


_FIXES = {
    "Invalid value": "text stands in double quotes; true and false are written small",
    "Expected '=' after a key": "write key = value, one on each line",
    "Unclosed array": "close the list with ]",
    "Unclosed inline table": "close the table with }, on the same line",
    "Cannot overwrite a value": "this key stands here twice; keep one",
    "Duplicate inline table key": "this key stands here twice; keep one",
    "Cannot declare": "this table stands here twice; [[rule]] with two brackets begins a further rule",
    "Unterminated string": "close the text with a double quote on the same line",
    "Illegal character": "close the text with a double quote on the same line, and write \\n for a new line",
    "Unescaped '\\' in a string": "double the backslash, or use single quotes",
}


def _syntax_fix(message: str) -> str:
    return next((fix for start, fix in _FIXES.items() if message.startswith(start)), "see toml.io for the form of the file")


def _without_block(text: str, line: int) -> str:
    """Blank out the block that holds ``line``; what is left stays where it was."""
    lines = text.split("\n")
    here = min(line, len(lines)) - 1
    first = next((n for n in range(here, -1, -1) if lines[n].lstrip().startswith("[")), 0)
    last = next((n for n in range(here + 1, len(lines)) if re.match(r"\s*\[\[?[A-Za-z]", lines[n])), len(lines))
    if not any(lines[n].strip() for n in range(first, last)):
        return ""
    return "\n".join(" " * len(one) if first <= n < last else one for n, one in enumerate(lines))


class _Scanner:
    """Walks over valid TOML and notes where keys and items begin."""

    def __init__(self, text: str, offsets: dict[Path, int]) -> None:
        self._text = text
        self._at = 0
        self._offsets = offsets
        self._counts: dict[Path, int] = {}

    def run(self) -> None:
        table: Path = ()
        while True:
            self._skip(_BLANK)
            if self._at >= len(self._text):
                return
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _skip(self, pattern: "re.Pattern[str]") -> str:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match.group() if match else ""

    def _header(self) -> Path:
        start = self._at
        many = self._text.startswith("[[", start)
        self._at += 2 if many else 1
        names = self._key()
        self._at += 2 if many else 1
        path: Path = ()
        for name in names[:-1]:
            path = self._inside((*path, name))
        path = (*path, names[-1])
        if many:
            self._counts[path] = self._counts.get(path, 0) + 1
        path = self._inside(path)
        self._offsets.setdefault(path, start)
        return path

    def _inside(self, path: Path) -> Path:
        count = self._counts.get(path)
        return path if count is None else (*path, count - 1)

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_INLINE_BLANK)
            word = self._skip(_KEY)
            names.append(_unquoted(word))
            self._skip(_INLINE_BLANK)
            if not self._text.startswith(".", self._at) or not word:
                return names
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for name in self._key():
            path = (*path, name)
            self._offsets.setdefault(path, start)
        self._at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_INLINE_BLANK)
        match self._text[self._at : self._at + 1]:
            case "[":
                self._items(path)
            case "{":
                self._members(path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _items(self, path: Path) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                break
            self._offsets[(*path, index)] = self._at
            self._value((*path, index))
            index += 1
            self._comma()
        self._at += 1

    def _members(self, path: Path) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                break
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1


def _unquoted(word: str) -> str:
    if word.startswith('"'):
        return str(tomllib.loads(f"k = {word}")["k"])
    return word.strip("'")
