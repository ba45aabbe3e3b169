"""The typed values that rule files are parsed into: rules, service identities, tests, and the question they answer."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from elevate.canonical import Json
from elevate.model import FactValue, InspectedTask, Requester
from elevate.ports import Instant

Facts: TypeAlias = dict[str, FactValue]
Value: TypeAlias = str | int | bool | tuple[str, ...]


class Effect(StrEnum):
    """What a rule does when it matches."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE = "require"


class By(StrEnum):
    """The selector under which a rule is indexed."""

    SHA256 = "sha256"
    SIGNER = "signer"
    PACKAGE = "package"
    SERVICE = "service"
    SETTING = "setting"
    PATH = "path"
    DIRECTORY = "directory"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One rule file, by its name within the policy folder; ``.toml`` or ``.jsonl``."""

    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the machine says and no rule can.

    Attributes:
        ap_mode: Administrator protection: no rule may elevate without a person, but for ``services``.
        services: Names of service identities that root lists besides those in the policy folder.
    """

    ap_mode: bool = True
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May this requester have this task done as admin, now?"""

    requester: Requester
    task: InspectedTask
    now: Instant
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """For whom a rule is; every key that is given must hold, any value of it will do."""

    user: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    sid: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    remote: bool | None = None

    def holds(self, requester: Requester) -> bool:
        """Say whether the requester is meant."""
        if self.user and requester.user not in self.user:
            return False
        if self.group and not any(name in requester.groups for name in self.group):
            return False
        if self.sid and requester.sid not in self.sid:
            return False
        if self.service and requester.service not in self.service:
            return False
        if self.machine and requester.machine not in self.machine:
            return False
        return self.remote is None or self.remote is requester.remote

    @property
    def rank(self) -> int:
        """2 for named people, 1 for groups, 0 for anyone."""
        return 2 if self.user or self.sid or self.service else 1 if self.group else 0

    def principals(self) -> tuple[tuple[str, str], ...]:
        """Give what a requester must have one of; ``("anyone", "")`` where nothing narrows it."""
        for name in ("user", "sid", "service", "group"):
            values: tuple[str, ...] = getattr(self, name)
            if values:
                return tuple((name, value) for value in values)
        return (ANYONE,)


ANYONE = ("anyone", "")


class Condition(Protocol):
    """One further thing that must hold; ``key`` is where it stands in the rule."""

    @property
    def key(self) -> str:
        """Path of the key, as ``task.arguments``."""

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds; None where a fact that it needs is undetermined."""

    def wants(self) -> str:
        """Say in words what is needed."""

    def found(self, facts: Facts, question: Question) -> str:
        """Say in words what is there instead."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One rule, checked and ready to be indexed.

    Attributes:
        kinds: Task kinds that it can match.
        by: The selector under which it is found; its ``values`` are alternatives.
        conditions: What else must hold, cheapest first.
        then: Obligations as written, by name, in name order; ``prompt`` is one of them.
        rank: Specificity; among allows the highest wins.
        file: Where it stands, with ``line`` from 1.
    """

    id: str
    effect: Effect
    who: Who
    kinds: tuple[str, ...]
    by: By
    values: tuple[str, ...]
    conditions: tuple[Condition, ...]
    then: tuple[tuple[str, Value], ...]
    rank: int
    why: str
    message: str
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceIdentity:
    """A program that may ask with no person there: root pins its uid and its executable.

    Attributes:
        executable: Real path of the asking process's program.
        sha256: Its content, where that is pinned too; else empty.
    """

    name: str
    uid: int
    executable: str
    sha256: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTest:
    """A test that stands beside the rules: what is asked, and what must come of it.

    Attributes:
        given: The question, as in the file.
        outcome: An `elevate.model.Outcome` or ``denied``.
        rules: The rules that must have decided; None where the test does not say.
        obligations: Those that must come out, by name.
    """

    name: str
    given: Question
    outcome: str
    rules: tuple[str, ...] | None
    obligations: tuple[tuple[str, Json], ...]
    file: str
    line: int
