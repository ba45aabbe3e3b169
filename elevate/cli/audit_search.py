"""``elevate audit search`` and ``report``: what is asked of the log."""

import sys
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from elevate.audit.view import line
from elevate.cli.audit_common import HEADER, Json, State, as_json, entry_json, json_line, line_text
from elevate.cli.audit_source import source
from elevate.text import escape

if TYPE_CHECKING:
    from elevate.audit.report import Report

HEARTBEAT_US = 300_000_000
TOP = 10
A_WEEK = "since:7d"


def search(
    words: Annotated[list[str], typer.Argument(help="As user:alice outcome:denied since:24h -rule:x, or a text.")],
    *,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, help="At most so many; 0 gives all.")] = 0,
    before: Annotated[int | None, typer.Option(min=0, help="Go on below this position.")] = None,
    json: Json = False,
    state: State = None,
) -> None:
    """Find entries, the newest first. Keys: user, event, outcome, rule, kind, code, method, since, until."""
    last, count = -1, 0
    with source(state) as log:
        for entry in log.search(" ".join(words), before):
            if limit and count == limit:
                sys.stderr.write(f"elevate: hint: there is more: --before {last}\n")
                break
            last, count = entry.seq, count + 1
            if as_json(json=json):
                sys.stdout.write(json_line(entry_json(entry)))
            else:
                sys.stdout.write((HEADER if count == 1 else "") + line_text(line(entry)))
    if not count and not as_json(json=json):
        sys.stderr.write("elevate: hint: no entry that you may see is meant by that\n")


def report(
    words: Annotated[list[str] | None, typer.Argument(help="As for search; since:7d where nothing is given.")] = None,
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Count outcomes, and name what a person should look at.

    Per day, user and rule. Hours are UTC.
    """
    from elevate.audit.report import report as make_report

    with source(state) as log:
        found = make_report(log.stretch(" ".join(words or [A_WEEK])), heartbeat_us=HEARTBEAT_US)
    sys.stdout.write(json_line(report_json(found)) if as_json(json=json) else report_text(found))


def report_json(found: "Report") -> dict[str, object]:
    """Give a report as it is printed as JSON; the names of hours are texts."""
    return {
        "entries": found.entries,
        "days": dict(found.days),
        "users": dict(found.users),
        "rules": dict(found.rules),
        "outcomes": dict(found.outcomes),
        "heat": {user: {str(hour): count for hour, count in hours.items()} for user, hours in found.heat.items()},
        "anomalies": [asdict(one) for one in found.anomalies],
    }


def report_text(found: "Report") -> str:
    """Give a report for people."""
    parts = [f"{found.entries} entries\n"]
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
