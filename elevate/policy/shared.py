"""What the rules of one policy share: equal values are one, so that a list of 100,000 rules stays small."""

from dataclasses import dataclass, field
from typing import TypeVar

from elevate.policy.conditions import EnvWithin
from elevate.policy.parts import names_in
from elevate.policy.rule import Condition, Value

T = TypeVar("T")


@dataclass(slots=True)
class Shared:
    """Values by what they were made of.

    Attributes:
        kept: The values; whoever reads a rule looks here first.
    """

    kept: dict[str, object] = field(default_factory=dict)
    _joins: dict[tuple[int, ...], tuple[object, tuple[Condition, ...]]] = field(default_factory=dict)
    _envs: dict[int, tuple[object, tuple[Condition, ...]]] = field(default_factory=dict)

    def one(self, known: str, value: T) -> T:
        """Give the value that is kept under this name; keep this one where there is none."""
        found = self.kept.setdefault(known, value)
        return value if type(found) is not type(value) else found

    def joined(self, *parts: tuple[Condition, ...]) -> tuple[Condition, ...]:
        """Join tuples; the same ones give the same one. They are kept, so that their ids stay theirs."""
        known = tuple([id(part) for part in parts])
        found = self._joins.get(known)
        if found is None:
            joined = tuple(condition for part in parts for condition in part)
            found = self._joins[known] = (parts, self.one(f"all{[id(one) for one in joined]}", joined) if joined else ())
        return found[1]

    def env_of(self, then: tuple[tuple[str, Value], ...]) -> tuple[Condition, ...]:
        """Give the condition that follows from the environment names that a rule permits."""
        found = self._envs.get(id(then))
        if found is None:
            names = frozenset(names_in(dict(then).get("env")))
            found = self._envs[id(then)] = (then, self.one(f"env{sorted(names)}", (EnvWithin(names),)))
        return found[1]
