"""Times in which a rule holds, from the ``when`` table."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from elevate.policy.problems import RefusedValue
from elevate.policy.rule import Condition
from elevate.policy.times import DAYS, Between, InHours

_DAY_MINUTES = 24 * 60
_YEARS = range(1970, 9999)
"""In which a moment can be shown in any time zone."""


def read_when(values: Mapping[str, object]) -> tuple[Condition, ...]:
    """Give the conditions of a ``when`` table.

    Raises:
        RefusedValue: A window that never holds, half a window, a date that does not exist, or a zone that is not known.
    """
    conditions: list[Condition] = []
    if values.keys() & {"days", "start", "end", "zone"}:
        conditions.append(_hours(values))
    if values.keys() & {"not_before", "not_after"}:
        conditions.append(_between(values))
    return tuple(conditions)


def _hours(values: Mapping[str, object]) -> InHours:
    if ("start" in values) != ("end" in values):
        missing = "end" if "start" in values else "start"
        raise RefusedValue(f"{missing} is missing", "a window has start and end")
    if "zone" in values and not values.keys() & {"days", "start"}:
        raise RefusedValue("zone alone says nothing", "add start and end, or days", path=("zone",))
    start, end = _minute(values.get("start", "00:00")), _minute(values.get("end", "00:00"))
    if "start" in values and start == end:
        raise RefusedValue("start and end are the same", "leave both out for the whole day", path=("end",))
    days = values.get("days", DAYS)
    numbers = frozenset(DAYS.index(day) for day in days) if isinstance(days, tuple) else frozenset()
    name = str(values.get("zone", "UTC"))
    return InHours(numbers, start, end if "start" in values else _DAY_MINUTES, _zone(name), name)


def _minute(text: object) -> int:
    hours, minutes = str(text).split(":")
    return int(hours) * 60 + int(minutes)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as exc:
        raise RefusedValue(f"no time zone {name!r} on this machine", 'like "Europe/Berlin" or "UTC"', path=("zone",)) from exc


def _between(values: Mapping[str, object]) -> Between:
    start, end = _unix(values, "not_before"), _unix(values, "not_after")
    if start is not None and end is not None and start >= end:
        raise RefusedValue("the rule would never hold", "not_after comes after not_before", path=("not_after",))
    return Between(start, end)


def _unix(values: Mapping[str, object], name: str) -> int | None:
    if name not in values:
        return None
    try:
        moment = datetime.fromisoformat(str(values[name]))
        _YEARS.index(moment.year)
    except ValueError as exc:
        raise RefusedValue(f"there is no such moment: {values[name]}", 'like "2026-12-31T18:00:00Z"', path=(name,)) from exc
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
