"""As whom a rule lets a task run: the admin account, unless it names others by ``run_as`` and ``run_as_group``.

An allow that names no user is for the admin account only, and one that names no group is for none that is asked for. With a
group alone the task runs as the asking user. A deny or a require that names neither is for all.

Source: sudoers(5), Runas_Spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from elevate.policy.conditions import OneOf, fact, shown
from elevate.policy.rule import Condition, Facts, Question, Rule

KEYS = ("run_as", "run_as_group")
_ADMINS = frozenset({"capabilities", "identity"})


@dataclass(frozen=True, slots=True)
class AsNobodyElse:
    """The task asks for no other user or group than the rule names; ``names`` are those of the keys that the rule has not."""

    names: tuple[str, ...]
    key: str = "task.run_as"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del question
        return not any(name in facts for name in self.names)

    def wants(self) -> str:
        """Say what is needed."""
        return "the admin account" if "run_as" in self.names else "no other group"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return "asked to run as " + ", ".join(shown(facts[name]) for name in self.names if name in facts)


@dataclass(frozen=True, slots=True)
class AsOneself:
    """The task asks for another group alone, or with it for the asking user."""

    key: str = "task.run_as_group"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        return facts.get("run_as") == question.requester.user

    def wants(self) -> str:
        """Say what is needed."""
        return "the asking user, in another group"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return f"asked to run as {shown(fact(facts, 'run_as'))}"


_MEANT: Mapping[tuple[str, ...], tuple[Condition, ...]] = MappingProxyType(
    {
        (): (AsNobodyElse(KEYS),),
        ("run_as",): (AsNobodyElse(("run_as_group",)),),
        ("run_as_group",): (AsOneself(),),
        KEYS: (),
    }
)


def as_whom(values: Mapping[str, object]) -> tuple[Condition, ...]:
    """Give what an allow means besides what its ``task`` table says of users and groups."""
    return _MEANT[tuple(name for name in KEYS if name in values)]


def misplaced(rule: Rule) -> tuple[str, ...]:
    """Give the obligations that only the admin account has, in a rule that is for another user."""
    others = any(isinstance(one, OneOf) and one.name in KEYS and one.values != ("root",) for one in rule.conditions)
    return tuple(name for name, _ in rule.then if others and name in _ADMINS)
