"""Services that are not there yet: one that an earlier step of the same row brings is started only where a rule says so.

What the machine has, somebody put there before; what a row brings nobody knew of when the rules were written. So an allow is
for services that the machine has, unless it says ``brought = true``; then it is for both, and one rule serves an installation
and its upgrade. A deny or a require is for both always.
"""

from dataclasses import dataclass

from elevate.model import BROUGHT
from elevate.policy.conditions import shown
from elevate.policy.rule import Condition, Facts, Question


@dataclass(frozen=True, slots=True)
class There:
    """The machine has the service already, or may get it from an earlier step where ``brought`` says so."""

    brought: bool
    key: str = "task.brought"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del question
        return self.brought or BROUGHT not in facts

    def wants(self) -> str:
        """Say what is needed."""
        return "a service that the machine has or an earlier step brings" if self.brought else "a service that the machine has"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del question
        return f"brought by {shown(facts[BROUGHT])}" if BROUGHT in facts else "the machine has it"


_ONLY_THERE: tuple[Condition, ...] = (There(brought=False),)
_EITHER: tuple[Condition, ...] = (There(brought=True),)


def take_brought(values: dict[str, object]) -> tuple[Condition, ...]:
    """Take the key out of an allow's ``task`` table, and give what it or its absence means."""
    return _EITHER if values.pop(BROUGHT, False) is True else _ONLY_THERE
