"""Typed rules back to tables and to TOML: for lint's narrower rules, importers, and ``policy fmt``."""

from datetime import UTC, datetime

from elevate.model import BROUGHT
from elevate.policy.as_whom import AsNobodyElse, AsOneself
from elevate.policy.brought import There
from elevate.policy.conditions import ArgumentsAre, Below, EnvWithin, IsFlag, NotWritable, OneOf, VersionIn
from elevate.policy.rule import By, Condition, Rule, Value
from elevate.policy.schema import ALL_KINDS
from elevate.policy.times import DAYS, Between, InHours
from elevate.policy.toml import rule_toml

Table = dict[str, object]


def table_of(rule: Rule) -> Table:
    """Give the table that reads as this rule."""
    table: Table = {"id": rule.id, "effect": rule.effect.value}
    if who := _who(rule):
        table["who"] = who
    task, when = _task(rule)
    table["task"] = task
    if when:
        table["when"] = when
    if rule.then:
        table["then"] = {name: _plain(name, value) for name, value in rule.then}
    table |= {name: text for name, text in (("message", rule.message), ("why", rule.why)) if text}
    return table


def toml_of(rule: Rule) -> str:
    """Give the TOML that reads as this rule."""
    return rule_toml(table_of(rule))


def _who(rule: Rule) -> Table:
    names = ("user", "group", "sid", "machine", "service")
    who: Table = {name: _one_or_many(values) for name in names if (values := getattr(rule.who, name))}
    if rule.who.remote is not None:
        who["remote"] = rule.who.remote
    return who


def _one_or_many(values: tuple[str, ...]) -> object:
    return values[0] if len(values) == 1 else list(values)


def _task(rule: Rule) -> tuple[Table, Table]:
    task: Table = {}
    if len(rule.kinds) == 1 and rule.kinds != ALL_KINDS:
        task["kind"] = rule.kinds[0]
    if rule.by is not By.ANY:
        task[rule.by.value] = _one_or_many(rule.values)
    when: Table = {}
    for condition in rule.conditions:
        name, value = _condition(condition)
        if isinstance(value, dict) and name == "when":
            when |= value
        elif name:
            task[name] = value
    return task, when


def _condition(condition: Condition) -> tuple[str, object]:
    """Give key and value; an empty key for what follows from other keys."""
    match condition:
        case OneOf(name, values):
            return name, _one_or_many(values)
        case Below(values):
            return "directory", _one_or_many(values)
        case IsFlag(name, value):
            return name, value
        case VersionIn(wanted):
            return "version", wanted.text
        case ArgumentsAre(wanted):
            return "arguments", wanted.toml()
        case _:
            return _other(condition)


def _other(condition: Condition) -> tuple[str, object]:
    match condition:
        case InHours():
            return "when", _hours(condition)
        case Between(start, end):
            bounds = (("not_before", start), ("not_after", end))
            return "when", {name: _moment(at) for name, at in bounds if at is not None}
        case There(brought=True):
            return BROUGHT, True
        case NotWritable() | EnvWithin() | AsNobodyElse() | AsOneself() | There():
            return "", None
        case _:
            raise TypeError(condition)  # pragma: no cover - there are no others


def _hours(window: InHours) -> Table:
    hours: Table = {}
    if len(window.days) < len(DAYS):
        hours["days"] = [DAYS[day] for day in sorted(window.days)]
    if (window.start, window.end) != (0, 24 * 60):
        hours |= {"start": _clock(window.start), "end": _clock(window.end)}
    return (hours or {"days": list(DAYS)}) | {"zone": window.zone_name}


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(name: str, value: Value) -> object:
    if name == "reason":
        return "required" if value else "optional"
    return _one_or_many(value) if isinstance(value, tuple) and value else value
