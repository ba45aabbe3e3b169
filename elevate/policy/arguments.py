"""What a rule may say about a program's arguments: exact, a prefix, a pattern per position, or one anywhere.

Patterns are no regular expressions, so that a rule stays open to lint and can't be slow: ``*`` is any run of characters without
``/``, ``?`` is one of them, and ``/**`` at the end is everything below.
SECURITY: a wildcard never surely stands for a leading ``-`` (an option), for a ``..`` between slashes, or for a control
character. There the answer is a doubt (None), which helps no allow and stops no deny.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from elevate.canonical import Json
from elevate.policy.problems import RefusedValue

MAX_PATTERN_CHARS = 1024
MAX_WILD_CHARS = 4096
MAX_POSITIONS = 256

_WILD = re.compile(r"[*?]")
_UNSAFE = re.compile(r"(?:^|/)\.\.(?:/|$)|[\x00-\x1f\x7f]")
_UNPLAIN = re.compile(r"/(?:\.{0,2})(?:/|$)")


@lru_cache(maxsize=8192)
def matches(pattern: str, argument: str) -> bool | None:
    """Say whether one argument is as the pattern says; None for a doubt.

    A doubt is a wildcard that would stand for what it never should, an argument that is too long to look at, and one that is as
    the pattern says only in its plain form (``/etc//shadow``, ``/tmp/../etc/shadow``).
    """
    wild = _WILD.search(pattern) is not None
    if wild and len(argument) > MAX_WILD_CHARS:
        return None
    if _reads(pattern, argument):
        return None if wild and _doubtful(pattern, argument) else True
    return None if _UNPLAIN.search(argument) and _reads(pattern, _plain(argument)) else False


def _doubtful(pattern: str, argument: str) -> bool:
    return _UNSAFE.search(argument) is not None or (argument.startswith("-") and pattern[0] in "*?")


def _reads(pattern: str, argument: str) -> bool:
    return pattern in {"**", argument} or _segments(pattern.split("/"), argument.split("/"))


def _plain(path: str) -> str:
    """Give a path without ``//``, ``.`` and ``..``, as far as that can be said without looking at links."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == ".." and steps and steps[-1] not in {"", ".."}:
            steps.pop()
        elif not steps or (step not in {"", "."} and (step != ".." or steps != [""])):
            steps.append(step)
    return "/".join(steps)


def _all(answers: Iterable[bool | None]) -> bool | None:
    """Join answers of which each must be yes."""
    doubt = False
    for answer in answers:
        if answer is False:
            return False
        doubt = doubt or answer is None
    return None if doubt else True


def _any(answers: Iterable[bool | None]) -> bool | None:
    """Join answers of which one yes will do."""
    doubt = False
    for answer in answers:
        if answer:
            return True
        doubt = doubt or answer is None
    return None if doubt else False


def _segments(wanted: list[str], given: list[str]) -> bool:
    if wanted[-1] == "**":
        wanted = wanted[:-1]
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(_glob(want, word) for want, word in zip(wanted, given, strict=True))


def _glob(pattern: str, text: str) -> bool:
    """Match ``*`` and ``?`` in time proportional to both lengths multiplied, at worst."""
    p = t = 0
    star, mark = -1, 0
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, mark, p = p, t, p + 1
        elif p < len(pattern) and pattern[p] in {"?", text[t]}:
            p, t = p + 1, t + 1
        elif star >= 0:
            p, mark = star + 1, mark + 1
            t = mark
        else:
            return False
    return all(char == "*" for char in pattern[p:])


def check_pattern(text: object) -> str:
    """Read one pattern.

    Raises:
        RefusedValue: Not text, too long, or ``**`` elsewhere than at the end.
    """
    if not isinstance(text, str):
        raise RefusedValue("a pattern is text", 'write it in double quotes, like "*.deb"')
    if len(text) > MAX_PATTERN_CHARS or "\0" in text:
        raise RefusedValue(f"a pattern has at most {MAX_PATTERN_CHARS} characters and no NUL")
    if "**" in text and (text.count("**") > 1 or not (text == "**" or text.endswith("/**")) or text.endswith("***")):
        raise RefusedValue("** stands only at the end, after a slash", 'write it like "/srv/packages/**"')
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What the arguments must be; what is None says nothing.

    Attributes:
        exact: All of them, word for word.
        prefix: How they begin, word for word.
        patterns: Each position's alternatives; with ``rest`` None there may be no further one.
        rest: What every further argument must be.
        contains: What at least one of them must be.
    """

    exact: tuple[str, ...] | None = None
    prefix: tuple[str, ...] | None = None
    patterns: tuple[tuple[str, ...], ...] | None = None
    rest: str | None = None
    contains: tuple[str, ...] | None = None

    def hold(self, given: Sequence[str]) -> bool | None:
        """Say whether all that is said holds for the arguments (without the program); None where a pattern doubts."""
        words = tuple(given)
        if self.exact is not None and words != self.exact:
            return False
        if self.prefix is not None and words[: len(self.prefix)] != self.prefix:
            return False
        placed = True if self.patterns is None else self._positions(words)
        held = self.contains is None or _any(matches(want, word) for want in self.contains for word in words)
        return _all((placed, held))

    @property
    def only_contains(self) -> bool:
        """Nothing but ``contains`` is said."""
        return self.contains is not None and self.exact is None and self.prefix is None and self.patterns is None

    def _positions(self, words: tuple[str, ...]) -> bool | None:
        patterns = self.patterns or ()
        if len(words) < len(patterns) or (self.rest is None and len(words) > len(patterns)):
            return False
        placed = _all(_any(matches(want, word) for want in wants) for wants, word in zip(patterns, words, strict=False))
        further = self.rest is None or _all(matches(self.rest, word) for word in words[len(patterns) :])
        return _all((placed, further))

    def first_wrong(self, given: Sequence[str]) -> int:
        """Give the index of the first argument that is not as wanted; their number where one is missing or too many."""
        words = tuple(given)
        wanted = self.exact if self.exact is not None else self.prefix
        if wanted is not None:
            pairs = enumerate(zip(wanted, words, strict=False))
            return next((at for at, (want, word) in pairs if want != word), min(len(wanted), len(words)))
        patterns = self.patterns or ()
        for at, (wants, word) in enumerate(zip(patterns, words, strict=False)):
            if not any(matches(want, word) for want in wants):
                return at
        return min(len(patterns), len(words))

    def toml(self) -> Json:
        """Give what stands in the rule file."""
        said: dict[str, Json] = {}
        if self.exact is not None:
            said["exact"] = list(self.exact)
        if self.prefix is not None:
            said["prefix"] = list(self.prefix)
        if self.patterns is not None:
            said["patterns"] = [wants[0] if len(wants) == 1 else list(wants) for wants in self.patterns]
        if self.rest is not None:
            said["rest"] = self.rest
        if self.contains is not None:
            said["contains"] = list(self.contains)
        return said["exact"] if list(said) == ["exact"] else said


def parse_arguments(value: object) -> Arguments:
    """Read the value of ``task.arguments``: a list (exact) or a table.

    Raises:
        RefusedValue: Anything else.
    """
    if isinstance(value, list):
        return Arguments(exact=_words(value, ()))
    if not isinstance(value, dict) or not value:
        raise RefusedValue("arguments are a list, or a table", 'write ["restart", "nginx"] or { prefix = ["restart"] }')
    known = {"exact", "prefix", "patterns", "rest", "contains"}
    for name in value:
        if name not in known:
            from elevate.policy.problems import similar

            raise RefusedValue(f"unknown key {name!r}", similar(str(name), known), path=(str(name),))
    if "rest" in value and "patterns" not in value:
        raise RefusedValue("rest comes after patterns", 'write { patterns = ["install"], rest = "*.deb" }', path=("rest",))
    if "exact" in value and len(value) > 1:
        raise RefusedValue("exact says it all", "remove the other keys", path=("exact",))
    return Arguments(
        exact=_words(value["exact"], ("exact",)) if "exact" in value else None,
        prefix=_words(value["prefix"], ("prefix",)) if "prefix" in value else None,
        patterns=_patterns(value["patterns"]) if "patterns" in value else None,
        rest=check_pattern(value["rest"]) if "rest" in value else None,
        contains=_alternatives(value["contains"], ("contains",)) if "contains" in value else None,
    )


def _words(value: object, path: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise RefusedValue("a list of texts is needed", 'write it like ["restart", "nginx"]', path=path)
    if len(value) > MAX_POSITIONS:
        raise RefusedValue(f"more than {MAX_POSITIONS} arguments", path=path)
    return tuple(value)


def _patterns(value: object) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or len(value) > MAX_POSITIONS:
        raise RefusedValue("patterns are a list, one for each position", 'like ["install", "*.deb"]', path=("patterns",))
    return tuple(_alternatives(item, ("patterns", at)) for at, item in enumerate(value))


def _alternatives(value: object, path: tuple[str | int, ...]) -> tuple[str, ...]:
    words = value if isinstance(value, list) else [value]
    if not words:
        raise RefusedValue("an empty list matches nothing", "name at least one pattern", path=path)
    try:
        return tuple(check_pattern(word) for word in words)
    except RefusedValue as exc:
        exc.path = path
        raise
