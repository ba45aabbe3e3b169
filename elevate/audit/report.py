"""A report over a stretch of the log: counts per day, user and rule, and what a person should look at.

Pure: entries are fed in order, with the user whose request each belongs to. A stretch cuts requests in two, and whoever asks
for some events sees no whole ones: what is missing is named only where it is missing in the log.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from elevate.audit.entry import Entry
from elevate.audit.order import Order, beginning
from elevate.audit.view import member, when
from elevate.lifecycle import APPROVED, NOT_APPROVED, State

BURST_DENIALS = 5
BURST_US = 600_000_000
_SATURDAY = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RUNS = frozenset({State.RUNNING.value})
_ENDS_UNUSED = frozenset({State.EXPIRED.value, State.REVOKED.value})
_SECOND_US = 1_000_000
MAX_LOOKS = 32
"""So many requests that reach beyond the stretch are looked up; a reader's questions are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something to look at.

    Attributes:
        kind: ``never-redeemed``, ``second-use``, ``process-without-token``, ``out-of-order``, ``first-time``,
            ``denial-burst``, ``off-hours``, ``silence``, ``clock-stepped`` or ``clock-changed``.
        position: Entry where it shows.
    """

    kind: str
    position: int
    at: str
    user: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Working hours, from Monday to Friday; what is outside of them is named.

    Attributes:
        begin: First hour.
        end: Hour after the last; before ``begin`` where one works over midnight.
        zone: Where; days and hours are counted there.
    """

    begin: int = 6
    end: int = 20
    zone: tzinfo = UTC

    def off(self, moment: datetime) -> bool:
        """Say whether a moment is outside of them."""
        over_midnight = self.begin > self.end
        within = (moment.hour >= self.begin) + (moment.hour < self.end) > (0 if over_midnight else 1)
        return moment.weekday() >= _SATURDAY or not within


@dataclass(slots=True)
class Report:
    """What was counted; ``heat`` counts outcomes by user and hour, and ``zone`` says where these hours are."""

    entries: int = 0
    zone: str = "UTC"
    days: Counter[str] = field(default_factory=Counter)
    users: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    heat: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    anomalies: list[Anomaly] = field(default_factory=list)


def _nothing(_: object) -> tuple[Entry, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a report asks of the log beyond its stretch, and goes by.

    Attributes:
        life: Gives all entries of a request.
        earlier: Gives requests before a position, the newest first; read only as far as needed.
        now_us: A token that ends later may still be used.
        heartbeat_us: A longer time without any entry while a broker runs is named; 0 names none.
        hours: When one works.
    """

    life: Callable[[str], Iterable[Entry]] = _nothing
    earlier: Callable[[int], Iterable[Entry]] = _nothing
    now_us: int = 2**62
    heartbeat_us: int = 0
    hours: Hours = field(default_factory=Hours)


class Reporter:
    """Counts what it is fed: all entries of a time, or those of some users' requests."""

    def __init__(self, around: Around | None = None) -> None:
        self._around = around or Around()
        self.report = Report(zone=str(self._around.hours.zone))
        self._issued: dict[str, tuple[Entry, str]] = {}
        self._redeemed: set[str] = set()
        self._ran: dict[str, tuple[Entry, str]] = {}
        self._asked: dict[tuple[str, str], Entry] = {}
        self._denials: defaultdict[str, deque[int]] = defaultdict(deque)
        self._begin = self._before = Entry(seq=-2, event="", request="", unix_us=0, mono_us=0, body={}, was="")
        self._left_out: set[int] = set()
        self._order = Order()
        self._cut: list[tuple[Entry, str]] = []
        self._lives: dict[str, list[Entry]] = {}

    def feed(self, entry: Entry, user: str, *, counted: bool = True) -> None:
        """Take in one entry.

        Args:
            entry: The next one.
            user: Whose request it belongs to.
            counted: It is one of those that were asked for; the others only say what became of these.
        """
        self._begin = entry if self._begin.seq < 0 else self._begin
        if counted:
            self.report.entries += 1
        else:
            self._left_out.add(entry.seq)
        self._silence(entry)
        self._clock(entry)
        event = entry.event
        if event in APPROVED or event in NOT_APPROVED:
            self._outcome(entry, user)
        if event == State.REQUESTED and user:
            self._asked.setdefault((user, _task(entry)), entry)
        elif event == "second-use":
            self._note("second-use", entry, user, "a token was used again, and refused")
        self._token(entry, user)
        self._in_order(entry, user)

    def finish(self) -> Report:
        """Give the report."""
        self._reach_beyond()
        self._beginnings()
        self._new_tasks()
        kept = [found for found in self.report.anomalies if found.position not in self._left_out]
        self.report.anomalies = sorted(kept, key=lambda found: found.position)
        return self.report

    def _token(self, entry: Entry, user: str) -> None:
        event, request = entry.event, entry.request
        if event in APPROVED:
            self._issued[request] = entry, user
        elif event == State.REDEEMED:
            self._issued.pop(request, None)
            self._redeemed.add(request)
        elif event in _RUNS and request not in self._redeemed:
            self._ran[request] = entry, user
        elif event in _ENDS_UNUSED:
            self._issued.pop(request, None)
            self._note("never-redeemed", entry, user, f"a token was issued and {event} unused")

    def _reach_beyond(self) -> None:
        """Name what has no beginning or no end, in the stretch or beyond it."""
        for entry, user in [*self._ran.values(), *self._issued.values()]:
            life = self._life(entry.request)
            redeemed = any(one.event == State.REDEEMED for one in life)
            if entry.event in _RUNS and not redeemed:
                self._note("process-without-token", entry, user, "a process ran whose token was not redeemed")
            elif entry.event not in _RUNS and not redeemed and _ends_us(entry) <= self._around.now_us:
                unused = not any(one.event in _ENDS_UNUSED for one in life)
                self._note("never-redeemed", entry, user, "a token was issued and not used") if unused else None

    def _in_order(self, entry: Entry, user: str) -> None:
        if why := self._order.feed(entry):
            self._note("out-of-order", entry, user, why)
        elif self._order.cut.get(entry.request) is entry:
            self._cut.append((entry, user))

    def _beginnings(self) -> None:
        """Name what does not follow on the steps before the stretch."""
        for entry, user in self._cut:
            if why := beginning(entry, self._life(entry.request)):
                self._note("out-of-order", entry, user, why)

    def _life(self, request: str) -> list[Entry]:
        """Give all entries of a request; nothing where too many were looked up already."""
        if request not in self._lives and len(self._lives) < MAX_LOOKS:
            self._lives[request] = list(self._around.life(request))
        return self._lives.get(request, [])

    def _new_tasks(self) -> None:
        """Name whoever has asked for something for the first time."""
        new = dict(self._asked)
        for entry in self._around.earlier(self._begin.seq) if new and self._begin.seq > 0 else ():
            new.pop((str(member(entry.body, "actor", "user")), _task(entry)), None)
            if not new:
                break
        for (user, task), entry in new.items():
            self._note("first-time", entry, user, f"asked for {task} for the first time")

    def _outcome(self, entry: Entry, user: str) -> None:
        moment = (_EPOCH + timedelta(microseconds=entry.unix_us)).astimezone(self._around.hours.zone)
        if entry.seq not in self._left_out:
            self.report.days[f"{moment:%Y-%m-%d}"] += 1
            self.report.users[user] += 1
            self.report.outcomes[entry.event] += 1
            self.report.heat[user][moment.hour] += 1
            rules = member(entry.body, "decision", "rules")
            self.report.rules.update(str(rule) for rule in rules if rule) if isinstance(rules, list) else None
        if entry.event in APPROVED and self._around.hours.off(moment):
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

    def _silence(self, entry: Entry) -> None:
        before, self._before = self._before, entry
        # Between two entries that do not follow on one another there were others, which are not shown here.
        follows = before.seq + 1 == entry.seq and before.boot == entry.boot and before.event != "broker-stopped"
        if not follows or not self._around.heartbeat_us:
            return
        if entry.mono_us - before.mono_us > 2 * self._around.heartbeat_us:
            self._note("silence", entry, "", f"no entry for {(entry.mono_us - before.mono_us) // _SECOND_US} s")

    def _clock(self, entry: Entry) -> None:
        if member(entry.body, "clock", "status") == "stepped":
            drift = member(entry.body, "clock", "drift_us")
            self._note("clock-stepped", entry, "", f"the wall clock moved by {drift} µs against the other")
        if entry.event == "clock-changed":
            self._note("clock-changed", entry, "", f"the wall clock is {member(entry.body, 'clock', 'sync')} from here on")

    def _note(self, kind: str, entry: Entry, user: str, text: str) -> None:
        self.report.anomalies.append(Anomaly(kind=kind, position=entry.seq, at=when(entry.unix_us), user=user, text=text))


def _task(entry: Entry) -> str:
    display = member(entry.body, "task", "display") or member(entry.body, "task", "kind")
    return str(display).split(" ")[0]


def _ends_us(issued: Entry) -> int:
    ends = member(issued.body, "token", "exp")
    return ends * _SECOND_US if isinstance(ends, int) else 0


def report(entries: Iterable[tuple[Entry, str]], around: Around | None = None) -> Report:
    """Give the report over entries, each with its user."""
    reporter = Reporter(around)
    for entry, user in entries:
        reporter.feed(entry, user)
    return reporter.finish()
