"""Conditions of time: hours of the day, days of the week, and moments from and before which a rule holds."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from elevate.policy.rule import Facts, Question

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class InHours:
    """The time of day and the day of the week are within a window; one that ends before it begins goes over midnight."""

    days: frozenset[int]
    start: int
    end: int
    zone: tzinfo
    zone_name: str
    key: str = "when"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds. INVARIANT: a window over midnight belongs to the day on which it begins."""
        del facts
        local = datetime.fromtimestamp(question.now.unix, self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return self.start <= minute < self.end and local.weekday() in self.days
        if minute >= self.start:
            return local.weekday() in self.days
        return minute < self.end and (local.weekday() - 1) % 7 in self.days

    def wants(self) -> str:
        """Say what is needed."""
        days = ", ".join(DAYS[day] for day in sorted(self.days))
        return f"{_clock(self.start)} to {_clock(self.end)} {self.zone_name} on {days}"

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del facts
        local = datetime.fromtimestamp(question.now.unix, self.zone)
        return f"{DAYS[local.weekday()]} {_clock(local.hour * 60 + local.minute)}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Between:
    """The moment is not before ``start`` and is before ``end``, Unix seconds; None is no bound."""

    start: int | None
    end: int | None
    key: str = "when"

    def holds(self, facts: Facts, question: Question) -> bool | None:
        """Say whether it holds."""
        del facts
        now = question.now.unix
        return (self.start is None or now >= self.start) and (self.end is None or now < self.end)

    def wants(self) -> str:
        """Say what is needed."""
        bounds = (("not before", self.start), ("before", self.end))
        return " and ".join(f"{word} {_date(at)}" for word, at in bounds if at is not None)

    def found(self, facts: Facts, question: Question) -> str:
        """Say what is there."""
        del facts
        return f"it is {_date(question.now.unix)}"


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
