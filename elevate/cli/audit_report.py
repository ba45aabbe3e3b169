"""``elevate audit report``: how often what happened, and what a person should look at."""

import re
import sys
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from elevate.audit.entry import Entry
from elevate.cli.audit_common import Json, State, as_json, json_line
from elevate.cli.audit_source import Source, source
from elevate.errors import AuditError, ElevateError
from elevate.text import escape

if TYPE_CHECKING:
    from elevate.audit.report import Hours, Report

HEARTBEAT_US = 300_000_000
TOP = 10
A_WEEK = "since:7d"
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")
_MIDNIGHT = 24

Words = Annotated[list[str] | None, typer.Argument(help="As for search; since:7d where nothing is given.")]
Working = Annotated[str, typer.Option("--hours", metavar="FROM-TO", help="Working hours, Monday to Friday.")]
Zone = Annotated[str, typer.Option("--zone", help="Where days and hours are counted, as Europe/Berlin.")]
WORKING, ZONE = "6-20", "UTC"


def report(
    words: Words = None, *, hours: Working = WORKING, zone: Zone = ZONE, json: Json = False, state: State = None
) -> None:
    """Count outcomes, and name what a person should look at.

    Per day, user and rule. Named are tokens never redeemed or presented again, processes without a token, steps that no
    request goes through in that order, tasks that somebody asks for for the first time, bursts of refusals, admin outside of
    working hours, silence, and steps of the clock.
    """
    with source(state) as log:
        found, _ = report_of(log, " ".join(words or [A_WEEK]), working(hours, zone))
    sys.stdout.write(json_line(report_json(found)) if as_json(json=json) else report_text(found))


def report_of(log: Source, words: str, hours: "Hours", *, keep: int = 0) -> "tuple[Report, deque[tuple[Entry, str]]]":
    """Give the report over what words mean, and the last of that itself, so many as are to be kept.

    Whole requests are read, also where the words mean some of their entries: else every token that is asked for by its issue
    would look as if nobody had redeemed it.
    """
    from elevate.audit.query import parse, scope, terms_of
    from elevate.audit.report import Around, Reporter

    now_us = time.time_ns() // 1000
    query, wide = parse(words, now_us), scope(words)
    kept = deque[tuple[Entry, str]](maxlen=keep)
    reporter = Reporter(
        Around(
            life=partial(_life, log),
            earlier=partial(_earlier, log, wide),
            now_us=now_us,
            heartbeat_us=HEARTBEAT_US,
            hours=hours,
        )
    )
    for entry, user in log.stretch(wide):
        counted = query.fits(entry, terms_of(entry, user)) if words != wide else True
        reporter.feed(entry, user, counted=counted)
        if counted:
            kept.append((entry, user))
    return reporter.finish(), kept


def working(hours: str, zone: str) -> "Hours":
    """Read when one works, and where.

    Raises:
        AuditError: These are no hours, or there is no such place.
    """
    from elevate.audit.report import Hours

    found = _HOURS.fullmatch(hours)
    begin, end = (int(found[1]), int(found[2])) if found else (0, 0)
    if begin == end or max(begin, end) > _MIDNIGHT:
        raise AuditError(f"{hours!r} are no working hours", hint="write 8-18, or 22-6 over midnight")
    try:
        return Hours(begin=begin, end=end, zone=ZoneInfo(zone))
    except (OSError, ValueError, LookupError) as exc:
        raise AuditError(f"no time zone is called {zone!r}", hint="write UTC or Europe/Berlin") from exc


def _life(log: Source, request: str) -> Iterable[Entry]:
    try:
        return log.life(request)[1]
    except ElevateError:
        return ()  # of a request that is not there any more, or that this reader may not see, nothing is known


def _earlier(log: Source, wide: str, position: int) -> Iterable[Entry]:
    users = (word for word in wide.split() if word.startswith("user:"))
    return log.search(" ".join(["event:requested", *users]), position)


def report_json(found: "Report") -> dict[str, object]:
    """Give a report as it is printed as JSON; the names of hours are texts."""
    return {
        "entries": found.entries,
        "zone": found.zone,
        "days": dict(found.days),
        "users": dict(found.users),
        "rules": dict(found.rules),
        "outcomes": dict(found.outcomes),
        "heat": {user: {str(hour): count for hour, count in hours.items()} for user, hours in found.heat.items()},
        "anomalies": [asdict(one) for one in found.anomalies],
    }


def report_text(found: "Report") -> str:
    """Give a report for people."""
    parts = [f"{found.entries} entries; days and hours are {found.zone}\n"]
    for title, counted in (("outcome", found.outcomes), ("day", found.days), ("user", found.users), ("rule", found.rules)):
        parts.append(_counted(title, counted))
    parts.append(f"\nto look at ({len(found.anomalies)})\n")
    parts += [
        f"  {one.at}  {one.kind:22} {escape(one.user):12} {escape(one.text)}  [{one.position}]\n" for one in found.anomalies
    ]
    return "".join(parts)


def _counted(title: str, counted: "Counter[str]") -> str:
    if not counted:
        return ""
    most = max(counted.values())
    chosen = sorted(counted.items()) if title == "day" else counted.most_common(TOP)
    rows = [f"  {escape(name) or '-':24} {count:>8}  {'█' * max(count * 30 // most, 1)}\n" for name, count in chosen]
    return f"\n{title}\n" + "".join(rows)
