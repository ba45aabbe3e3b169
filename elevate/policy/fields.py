"""The types that values in rule files have: each reads a value or refuses it with a fix, and tells its JSON Schema."""

import re
from dataclasses import dataclass
from typing import Protocol, TypeVar

from elevate.canonical import Json
from elevate.kinds import NAME, is_own
from elevate.policy.arguments import MAX_PATTERN_CHARS, Arguments, parse_arguments
from elevate.policy.problems import RefusedValue, similar
from elevate.policy.versions import Range, parse_range

T_co = TypeVar("T_co", covariant=True)

MAX_NAMES = 10_000


class Field(Protocol[T_co]):
    """One type of value."""

    def read(self, value: object) -> T_co:
        """Give the typed value.

        Raises:
            RefusedValue: It is not of this type.
        """

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""


def kind_of(value: object) -> str:
    """Name the type of a value as a TOML author knows it."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a fraction", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or a time")


@dataclass(frozen=True, slots=True)
class Text:
    """Text that matches a pattern as a whole; ``what`` says in words what that is."""

    what: str
    pattern: str = r"[^\x00-\x1f\x7f]{1,500}"
    example: str = ""

    def read(self, value: object) -> str:
        """Give the text."""
        if not isinstance(value, str):
            raise RefusedValue(f"{self.what} is text, not {kind_of(value)}", self._fix())
        if not re.fullmatch(self.pattern, value):
            raise RefusedValue(f"{value[:60]!r} is not {self.what}", self._fix())
        return value

    def _fix(self) -> str:
        return f'write it like "{self.example}"' if self.example else "write it in double quotes"

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Name:
    """A name of a person, group or thing. SECURITY: no negation and no ALL (CVE-2019-14287)."""

    what: str

    def read(self, value: object) -> str:
        """Give the name."""
        if not isinstance(value, str):
            raise RefusedValue(f"{self.what} is text, not {kind_of(value)}", 'write it like "alice"')
        if value.startswith("!"):
            raise RefusedValue("there is no negation", 'write a rule with effect = "deny" for those it should not reach')
        if value.upper() in {"ALL", "*", "ANY"}:
            raise RefusedValue(f"{value!r} does not stand for everyone", "leave the key out, and the rule is for everyone")
        if not value.isprintable() or not 1 <= len(value) <= 256 or value != value.strip():  # noqa: PLR2004 - Windows' longest
            raise RefusedValue(f"not {self.what}: {value[:60]!r}", "1 to 256 printable characters")
        return value

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^!*]"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]

    def read(self, value: object) -> str:
        """Give the word."""
        if isinstance(value, str) and value in self.values:
            return value
        if isinstance(value, str):
            raise RefusedValue(f"{value[:60]!r} is not known here", similar(value, self.values))
        raise RefusedValue(f"text is needed, not {kind_of(value)}", f"one of {', '.join(self.values)}")

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "string", "enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a command, in order."""

    def read(self, value: object) -> tuple[str, ...]:
        """Give them."""
        if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
            raise RefusedValue("argv is a list of words", 'write ["/usr/lib/acme/flush", "--zone={zone}"]')
        return tuple(value)

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "array", "minItems": 1, "items": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class KindName:
    """A kind of task: one that every machine has, or the name of one of the machine's own."""

    values: tuple[str, ...]

    def read(self, value: object) -> str:
        """Give the name; whether the machine has such a kind is for the reader to say."""
        if isinstance(value, str) and is_own(value):
            return value
        return Choice(self.values).read(value)

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"anyOf": [{"type": "string", "enum": list(self.values)}, {"type": "string", "pattern": f"^{NAME}$"}]}


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def read(self, value: object) -> bool:
        """Give it."""
        if isinstance(value, bool):
            return value
        raise RefusedValue(f"true or false is needed, not {kind_of(value)}", "write true or false, without quotes")

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds."""

    low: int
    high: int

    def read(self, value: object) -> int:
        """Give it."""
        if type(value) is not int:
            raise RefusedValue(
                f"a whole number is needed, not {kind_of(value)}", f"from {self.low} to {self.high}, without quotes"
            )
        if not self.low <= value <= self.high:
            raise RefusedValue(f"{str(value)[:20]} is out of range", f"from {self.low} to {self.high}")
        return value

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class PathText:
    """An absolute path in its plain form."""

    def read(self, value: object) -> str:
        """Give the path."""
        if not isinstance(value, str):
            raise RefusedValue(f"a path is text, not {kind_of(value)}", 'write it like "/usr/bin/apt"')
        if not value.startswith("/") or "\0" in value or len(value.encode(errors="replace")) > 4095:  # noqa: PLR2004 - PATH_MAX
            raise RefusedValue(f"{value[:60]!r} is not a full path", "begin with a slash")
        if "*" in value:
            raise RefusedValue("a path has no wildcard", 'use directory = "…" for all below it')
        parts = value.rstrip("/").split("/")[1:] if value != "/" else []
        if any(part in {"", ".", ".."} for part in parts):
            plain = "/" + "/".join(part for part in parts if part not in {"", "."})
            raise RefusedValue(f"{value[:60]!r} is not in plain form", f"write it without //, . and .., like {plain!r}")
        return value.rstrip("/") or "/"

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "string", "pattern": "^/[^*]*$"}


@dataclass(frozen=True, slots=True)
class Many:
    """One value of a type, or a list of them of which any will do."""

    item: Field[str]

    def read(self, value: object) -> tuple[str, ...]:
        """Give them as a tuple, each once, in order."""
        if not isinstance(value, list):
            return (self.item.read(value),)
        if not value:
            raise RefusedValue("an empty list matches nothing", "name at least one, or leave the key out")
        if len(value) > MAX_NAMES:
            raise RefusedValue(f"more than {MAX_NAMES} in one rule", "use several rules, or a file of JSON lines")
        return tuple(sorted({self._item(at, item) for at, item in enumerate(value)}))

    def _item(self, at: int, item: object) -> str:
        try:
            return self.item.read(item)
        except RefusedValue as exc:
            exc.path = (at, *exc.path)
            raise

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        one = self.item.schema()
        return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}


@dataclass(frozen=True, slots=True)
class VersionRange:
    """A range of versions."""

    def read(self, value: object) -> Range:
        """Give the range."""
        if not isinstance(value, str):
            raise RefusedValue(f"a version range is text, not {kind_of(value)}", 'write it like ">=1.2, <2"')
        return parse_range(value)

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class ArgumentsField:
    """A program's arguments."""

    def read(self, value: object) -> Arguments:
        """Give what they must be."""
        return parse_arguments(value)

    def schema(self) -> dict[str, Json]:
        """Give the JSON Schema of the value."""
        words: dict[str, Json] = {"type": "array", "items": {"type": "string"}}
        pattern: dict[str, Json] = {"type": "string", "maxLength": MAX_PATTERN_CHARS}
        some: dict[str, Json] = {"anyOf": [pattern, {"type": "array", "minItems": 1, "items": pattern}]}
        members: dict[str, Json] = {
            "exact": words,
            "prefix": words,
            "patterns": {"type": "array", "items": some},
            "rest": pattern,
            "contains": some,
        }
        return {"anyOf": [words, {"type": "object", "properties": members, "additionalProperties": False, "minProperties": 1}]}
