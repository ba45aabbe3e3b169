"""What all importers share: the report, and the making of rules."""

from dataclasses import dataclass, field
from enum import StrEnum

from elevate.canonical import Json
from elevate.errors import PolicyError
from elevate.policy.toml import rule_toml

Table = dict[str, object]

MAX_BYTES = 16 * 2**20


class Fate(StrEnum):
    """What became of a line of the source."""

    TRANSLATED = "translated"
    NARROWED = "narrowed"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line of the report.

    Attributes:
        source: The line, or what stands for it.
        why: What was changed or why it stays behind; empty for an exact translation.
    """

    fate: Fate
    source: str
    why: str = ""

    def render(self) -> str:
        """Give it as one line."""
        return f"{self.fate}: {self.source}" + (f": {self.why}" if self.why else "")

    def json(self) -> dict[str, Json]:
        """Give it for programs."""
        return {"fate": self.fate.value, "source": self.source, "why": self.why}


@dataclass(slots=True)
class Imported:
    """What an import comes to: rules as tables, and the report."""

    prefix: str
    rules: list[Table] = field(default_factory=list)
    _known: set[str] = field(default_factory=set, repr=False)
    notes: list[Note] = field(default_factory=list)

    def add(self, effect: str, who: Table, task: Table, why: str, **parts: object) -> None:
        """Add a rule; a grant asks for a credential. A rule that is there already is not added again."""
        rule: Table = {"effect": effect, "who": who, "task": task}
        if effect == "allow":
            rule["then"] = {"prompt": "credential"}
        for name, part in parts.items():
            known = rule.get(name)
            rule[name] = {**known, **part} if isinstance(known, dict) and isinstance(part, dict) else part
        known_as = repr(sorted((name, repr(part)) for name, part in rule.items()))
        if known_as in self._known:
            return
        self._known.add(known_as)
        shown = "".join(char for char in why if char.isprintable())[:400]
        self.rules.append({"id": f"{self.prefix}-{len(self.rules) + 1:04}", **rule, "why": shown or self.prefix})

    def note(self, fate: Fate, source: str, why: str = "") -> None:
        """Add a line to the report."""
        self.notes.append(Note(fate=fate, source="".join(char for char in source if char.isprintable())[:300], why=why))

    def leave_out_grants(self, why: str) -> None:
        """Take all grants back: something that takes rights away could not be said."""
        kept = [rule for rule in self.rules if rule["effect"] != "allow"]
        for rule in self.rules:
            if rule["effect"] == "allow":
                self.note(Fate.LEFT_OUT, str(rule["why"]), why)
        self.rules[:] = kept

    def toml(self) -> str:
        """Give the rules as a rule file, with what was narrowed or left out as comments on top."""
        lines = [f"# {note.render()}" for note in self.notes if note.fate is not Fate.TRANSLATED]
        return "\n\n".join(["\n".join(["format = 1", *lines]), *(rule_toml(rule) for rule in self.rules)]) + "\n"


def refuse(message: str, hint: str) -> PolicyError:
    """Make the error for a source that can't be read."""
    return PolicyError(message, hint=hint)
