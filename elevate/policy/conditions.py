"""What a rule can ask of a task besides the selector under which it is found; each says in words what it wants and found."""

from dataclasses import dataclass

from elevate.model import Fact, FactValue
from elevate.policy.arguments import Arguments
from elevate.policy.rule import By, Facts, Question, Rule
from elevate.policy.versions import Range
from elevate.text import escape, shell_words

UNSIGNED = "unsigned"
ABSENCES = frozenset({("signer", UNSIGNED), ("run_as", "root")})
"""Names in rules for a fact that is known to be absent."""

NEEDED = frozenset({"path", "sha256", "signer", "installer", "writable"})
"""Facts without which nothing can be said: where a host does not give one, it is undetermined. Others are then absent."""


def fact(facts: Facts, name: str) -> FactValue:
    """Give a fact, or what its being missing means."""
    value = facts.get(name)
    if value is None:
        return Fact.UNDETERMINED if name in NEEDED else Fact.ABSENT
    return value


def real_path(facts: Facts) -> str:
    """Give the other path of a program that was called by a link's name; empty for any other.

    SECURITY: an allow looks at the name that was called, since programs act by it; a deny or a require for either path holds.
    """
    value = facts.get("real_path")
    return value if isinstance(value, str) and not isinstance(value, Fact) else ""


def shown(value: FactValue) -> str:
    """Give a fact for people: escaped, cut, and in words where it has no value."""
    if isinstance(value, Fact):
        return "none" if value is Fact.ABSENT else "not known"
    return escape(str(value).lower() if isinstance(value, bool) else str(value))[:200]


def _one_of(values: tuple[str, ...]) -> str:
    shown = [escape(value) for value in values[:3]] + ([f"… ({len(values)} in all)"] if len(values) > 3 else [])  # noqa: PLR2004
    return " or ".join(shown)


@dataclass(frozen=True, slots=True)
class OneOf:
    """A fact has one of these values, or is absent where that has a name: ``unsigned``, or ``root`` for the admin account."""

    name: str
    values: tuple[str, ...]

    @property
    def key(self) -> str:
        """Where it stands in the rule."""
        return f"task.{self.name}"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del question
        value = fact(facts, self.name)
        if value is Fact.UNDETERMINED:
            return None
        if value is Fact.ABSENT:
            return any((self.name, value) in ABSENCES for value in self.values)
        if self.name == "path" and value not in self.values and real_path(facts) in self.values:
            return None
        return value in self.values and (self.name, value) not in ABSENCES

    def wants(self) -> str:
        """Say what is needed."""
        return f"{self.name} {_one_of(self.values)}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return f"{self.name} {shown(fact(facts, self.name))}"


@dataclass(frozen=True, slots=True)
class Below:
    """The path is somewhere below one of these directories."""

    values: tuple[str, ...]
    key: str = "task.directory"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del question
        path = fact(facts, "path")
        if not isinstance(path, str) or isinstance(path, Fact):
            return None
        if self._above(path):
            return True
        return None if self._above(real_path(facts)) else False

    def _above(self, path: str) -> bool:
        return any(path.startswith(value if value == "/" else value + "/") for value in self.values)

    def wants(self) -> str:
        """Say what is needed."""
        return f"a file below {_one_of(self.values)}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return f"path {shown(fact(facts, 'path'))}"


@dataclass(frozen=True, slots=True)
class NotWritable:
    """Neither the file nor a folder above it can be written by the requester; only then a path says what a file is."""

    key: str = "task.path"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds; a host that does not tell it leaves a doubt."""
        if question.task.task.kind == "package.remove":  # its name is the machine's own, and no file is read
            return True
        value = fact(facts, "writable")
        return None if isinstance(value, Fact) else not value

    def wants(self) -> str:
        """Say what is needed."""
        return "a file in folders that the requester can't write"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        writable = fact(facts, "writable")
        return "the requester can write the file or a folder above it" if writable is True else "not known who can write it"


@dataclass(frozen=True, slots=True)
class IsFlag:
    """A fact is true, or false."""

    name: str
    value: bool

    @property
    def key(self) -> str:
        """Where it stands in the rule."""
        return f"task.{self.name}"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        value = question.task.payload is not None if self.name == "input" else fact(facts, self.name)
        if value is Fact.UNDETERMINED:
            return None
        return value is self.value

    def wants(self) -> str:
        """Say what is needed."""
        return f"{self.name} {str(self.value).lower()}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        if self.name == "input":
            return f"input {str(question.task.payload is not None).lower()}"
        return f"{self.name} {shown(fact(facts, self.name))}"


@dataclass(frozen=True, slots=True)
class VersionIn:
    """The version is within a range."""

    wanted: Range
    key: str = "task.version"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del question
        value = fact(facts, "version")
        if value is Fact.UNDETERMINED:
            return None
        return isinstance(value, str) and not isinstance(value, Fact) and self.wanted.holds(value)

    def wants(self) -> str:
        """Say what is needed."""
        return f"version {escape(self.wanted.text)}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return f"version {shown(fact(facts, 'version'))}"


@dataclass(frozen=True, slots=True)
class ArgumentsAre:
    """The arguments are as said."""

    wanted: Arguments
    key: str = "task.arguments"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del facts
        return self.wanted.hold(question.task.argv[1:])

    def wants(self) -> str:
        """Say what is needed."""
        said = self.wanted.toml()
        words = said if isinstance(said, dict) else {"exactly": said}
        return "arguments " + "; ".join(f"{name} {_list(value)}" for name, value in words.items())

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there, and which one is wrong first."""
        del facts
        given = question.task.argv[1:]
        if self.wanted.only_contains:
            return f"no such argument in {shell_words(given)[:200] or 'an empty list'}"
        at = self.wanted.first_wrong(given)
        return f"argument {at + 1} is {shell_words((given[at],))[:200]}" if at < len(given) else f"only {at} arguments"


def _list(value: object) -> str:
    words = value if isinstance(value, list) else [value]
    return shell_words(tuple(" or ".join(word) if isinstance(word, list) else str(word) for word in words)) or "none"


@dataclass(frozen=True, slots=True)
class EnvWithin:
    """The names that the requester adds to the environment are among those that the rule permits."""

    names: frozenset[str]
    key: str = "then.env"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del facts
        return self.names.issuperset(env_names(question))

    def wants(self) -> str:
        """Say what is needed."""
        return f"environment additions only of {', '.join(sorted(self.names)) or 'nothing'}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del facts
        return f"environment additions {', '.join(sorted(env_names(question) - self.names))}"


def env_names(question: Question) -> frozenset[str]:
    """Give the names that the task adds to the environment."""
    pairs = dict(question.task.task.params).get("env", ())
    return frozenset(pair[0] for pair in pairs) if isinstance(pairs, tuple) else frozenset()


def selector_of(rule: Rule) -> OneOf | Below | None:
    """Give the selector under which a rule is indexed as a condition of its own; None for `By.ANY`."""
    if rule.by is By.ANY:
        return None
    return Below(rule.values) if rule.by is By.DIRECTORY else OneOf(rule.by.value, rule.values)
