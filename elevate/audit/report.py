"""A report over a stretch of the log: counts per day, user and rule, and what a person should look at.

Pure: entries are fed in order, with the user whose request each belongs to.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from elevate.audit.entry import Entry
from elevate.audit.view import member, when
from elevate.lifecycle import APPROVED, NOT_APPROVED, State

BURST_DENIALS = 5
BURST_US = 600_000_000
DAY_BEGINS, DAY_ENDS = 6, 20
"""Working hours, UTC; what is outside of them, or on a weekend, is named."""
_SATURDAY = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RUNS = frozenset({State.RUNNING.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something to look at.

    Attributes:
        kind: ``never-redeemed``, ``second-use``, ``process-without-token``, ``first-time``, ``denial-burst``, ``off-hours`` or
            ``silence``.
        position: Entry where it shows.
    """

    kind: str
    position: int
    at: str
    user: str
    text: str


@dataclass(slots=True)
class Report:
    """What was counted; hours are UTC, and ``heat`` counts outcomes by user and hour."""

    entries: int = 0
    days: Counter[str] = field(default_factory=Counter)
    users: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    heat: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    anomalies: list[Anomaly] = field(default_factory=list)


class Reporter:
    """Counts what it is fed.

    Args:
        heartbeat_us: A longer time without any entry while a broker runs is named; 0 names none.
    """

    def __init__(self, *, heartbeat_us: int = 0) -> None:
        self.report = Report()
        self._issued: dict[str, tuple[Entry, str]] = {}
        self._redeemed: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._denials: defaultdict[str, deque[int]] = defaultdict(deque)
        self._heartbeat_us = heartbeat_us
        self._before: Entry | None = None

    def feed(self, entry: Entry, user: str) -> None:
        """Count one entry."""
        self.report.entries += 1
        self._silence(entry)
        self._clock(entry)
        event = entry.event
        if event in APPROVED or event in NOT_APPROVED:
            self._outcome(entry, user)
        if event == State.REQUESTED:
            self._first_time(entry, user)
        if event in APPROVED:
            self._issued[entry.request] = entry, user
        elif event == State.REDEEMED:
            self._issued.pop(entry.request, None)
            self._redeemed.add(entry.request)
        elif event == "second-use":
            self._note("second-use", entry, user, "a token was used again, and refused")
        elif event in _RUNS and entry.request not in self._redeemed:
            self._note("process-without-token", entry, user, "a process ran whose token was not redeemed in this stretch")
        elif event in {State.EXPIRED, State.REVOKED}:
            self._issued.pop(entry.request, None)
            self._note("never-redeemed", entry, user, f"a token was issued and {event} unused")

    def finish(self) -> Report:
        """Give the report."""
        for entry, user in self._issued.values():
            self._note("never-redeemed", entry, user, "a token was issued and not used")
        self.report.anomalies.sort(key=lambda found: found.position)
        return self.report

    def _outcome(self, entry: Entry, user: str) -> None:
        day = when(entry.unix_us)[:10]
        self.report.days[day] += 1
        self.report.users[user] += 1
        self.report.outcomes[entry.event] += 1
        rules = member(entry.body, "decision", "rules")
        self.report.rules.update(str(rule) for rule in rules if rule) if isinstance(rules, list) else None
        moment = _EPOCH + timedelta(microseconds=entry.unix_us)
        self.report.heat[user][moment.hour] += 1
        if entry.event in APPROVED and (moment.weekday() >= _SATURDAY or not DAY_BEGINS <= moment.hour < DAY_ENDS):
            self._note("off-hours", entry, user, "admin was given outside of working hours")
        if entry.event in NOT_APPROVED:
            self._denial(entry, user)

    def _denial(self, entry: Entry, user: str) -> None:
        recent = self._denials[user]
        recent.append(entry.unix_us)
        while recent and recent[0] < entry.unix_us - BURST_US:
            recent.popleft()
        if len(recent) == BURST_DENIALS:
            self._note("denial-burst", entry, user, f"{BURST_DENIALS} refusals within {BURST_US // 60_000_000} minutes")

    def _first_time(self, entry: Entry, user: str) -> None:
        display = member(entry.body, "task", "display") or member(entry.body, "task", "kind")
        task = str(display).split(" ")[0]
        if user and task and (user, task) not in self._seen:
            self._seen.add((user, task))
            self._note("first-time", entry, user, f"asked for {task} for the first time in this stretch")

    def _silence(self, entry: Entry) -> None:
        before, self._before = self._before, entry
        if before is None or not self._heartbeat_us or before.boot != entry.boot or before.event == "broker-stopped":
            return
        if entry.mono_us - before.mono_us > 2 * self._heartbeat_us:
            self._note("silence", entry, "", f"no entry for {(entry.mono_us - before.mono_us) // 1_000_000} s")

    def _clock(self, entry: Entry) -> None:
        if member(entry.body, "clock", "status") == "stepped":
            drift = member(entry.body, "clock", "drift_us")
            self._note("clock-stepped", entry, "", f"the wall clock moved by {drift} µs against the other")
        if entry.event == "clock-changed":
            self._note("clock-changed", entry, "", f"the wall clock is {member(entry.body, 'clock', 'sync')} from here on")

    def _note(self, kind: str, entry: Entry, user: str, text: str) -> None:
        self.report.anomalies.append(Anomaly(kind=kind, position=entry.seq, at=when(entry.unix_us), user=user, text=text))


def report(entries: Iterable[tuple[Entry, str]], *, heartbeat_us: int = 0) -> Report:
    """Give the report over entries, each with its user."""
    reporter = Reporter(heartbeat_us=heartbeat_us)
    for entry, user in entries:
        reporter.feed(entry, user)
    return reporter.finish()
