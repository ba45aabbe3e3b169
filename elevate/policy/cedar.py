"""Rules as Cedar policies, for other tools and as an oracle in tests.

Cedar permits and forbids; it has no outcomes, obligations or specificity, so ``require`` rules stay behind and only the yes or
no is the same. What Cedar can't say is named: an allow with such a condition is left out whole, a deny loses the condition; so
what is exported never allows more. A fact that is undetermined stands by name in ``context.undetermined``.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from elevate.canonical import Json
from elevate.model import BROUGHT, Fact
from elevate.policy.arguments import Arguments
from elevate.policy.as_whom import KEYS, AsNobodyElse
from elevate.policy.brought import There
from elevate.policy.conditions import (
    ABSENCES,
    ArgumentsAre,
    Below,
    EnvWithin,
    IsFlag,
    NotWritable,
    OneOf,
    env_names,
    fact,
    selector_of,
)
from elevate.policy.engine import facts_of
from elevate.policy.rule import Condition, Effect, Question, Rule, Who
from elevate.policy.times import Between

END = "\x1f"
"""Ends each argument in ``context.arguments``."""

_TEXTS = (
    "path",
    "real_path",
    "sha256",
    "signer",
    "product",
    "version",
    "package",
    "manifest",
    BROUGHT,
    "service",
    "action",
    "setting",
    *KEYS,
)
_FLAGS = ("installer", "writable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Cedar text, and what could not be said in it, one line each."""

    text: str
    left_out: tuple[str, ...]


def export(rules: Iterable[Rule]) -> Exported:
    """Give rules as Cedar policies."""
    policies: list[str] = []
    left_out: list[str] = []
    for rule in rules:
        if rule.effect is Effect.REQUIRE:
            left_out.append(f"{rule.id}: a require has no counterpart")
            continue
        said, missing = _conditions(rule)
        if missing:
            fate = "left out" if rule.effect is Effect.ALLOW else "denies without it"
            left_out.append(f"{rule.id}: {', '.join(missing)}: {fate}")
        if not missing or rule.effect is Effect.DENY:
            policies.append(_policy(rule, said))
    return Exported(text="\n".join(policies), left_out=tuple(left_out))


def _policy(rule: Rule, said: list[str]) -> str:
    effect = "permit" if rule.effect is Effect.ALLOW else "forbid"
    actions = ", ".join(f"Action::{_text(kind)}" for kind in rule.kinds)
    scope = (
        f"principal, action in [{actions}], resource" if len(rule.kinds) > 1 else f"principal, action == {actions}, resource"
    )
    when = f" when {{ {' && '.join(said)} }}" if said else ""
    return f"@id({_text(rule.id)})\n{effect} ({scope}){when};"


def _text(text: str) -> str:
    """Write a Cedar string."""
    return '"' + "".join(char if char.isprintable() and char not in '"\\' else f"\\u{{{ord(char):x}}}" for char in text) + '"'


def _like(text: str) -> str:
    """Write a Cedar pattern that begins with ``text`` literally."""
    return _text(text)[:-1].replace("*", "\\*") + '*"'


def _set(values: Iterable[str], kind: str = "") -> str:
    return "[" + ", ".join(f"{kind}::{_text(value)}" if kind else _text(value) for value in sorted(values)) + "]"


def _conditions(rule: Rule) -> tuple[list[str], list[str]]:
    said = _who(rule.who)
    missing = []
    selector = selector_of(rule)
    for condition in [*([selector] if selector else []), *rule.conditions]:
        text = _condition(condition, allow=rule.effect is Effect.ALLOW)
        if text is None:
            missing.append(condition.key)
        else:
            said.append(text)
    return said, missing


def _who(who: Who) -> list[str]:
    said = []
    if who.user:
        said.append(f"{_set(who.user, 'User')}.contains(principal)")
    if who.group:
        said.append(f"principal in {_set(who.group, 'Group')}")
    said += [
        f"{_set(values)}.contains(context.{name})"
        for name, values in (("sid", who.sid), ("machine", who.machine), ("identity", who.service))
        if values
    ]
    if who.remote is not None:
        said.append(f"context.remote == {json.dumps(who.remote)}")
    return said


def _condition(condition: Condition, *, allow: bool) -> str | None:
    """Give one condition, or None where Cedar can't say it."""
    match condition:
        case ArgumentsAre(wanted):
            return _arguments(wanted)
        case EnvWithin(names):
            return f"{_set(names)}.containsAll(context.env)" if names else "context.env == []"
        case There(brought):
            return "true" if brought else f"!(context has {BROUGHT})"
        case Between(start, end):
            bounds = [f"context.now >= {start}"] * (start is not None) + [f"context.now < {end}"] * (end is not None)
            return " && ".join(bounds)
        case _:
            return _fact_condition(condition, allow=allow)


def _fact_condition(condition: Condition, *, allow: bool) -> str | None:
    match condition:
        case OneOf(name, values):
            said = _one_of(name, values)
            if name == "path" and not allow:
                said = f"({said} || {_one_of('real_path', values)})"
            return _known(name, said, allow=allow)
        case Below(values):
            said = _below("path", values)
            return _known("path", said if allow else f"({said} || {_below('real_path', values)})", allow=allow)
        case NotWritable():
            return _known("writable", "context.writable == false", allow=True)
        case AsNobodyElse(names):
            return " && ".join(f"!(context has {name})" for name in names)
        case IsFlag(name, value):
            plain = f"context.{name} == {json.dumps(value)}"
            return plain if name == "input" else _known(name, plain, allow=allow)
        case _:
            return None


def _below(name: str, values: tuple[str, ...]) -> str:
    below = " || ".join(f"context.{name} like {_like(value.rstrip('/') + '/')}" for value in values)
    return f"(context has {name} && ({below}))"


def _known(name: str, said: str, *, allow: bool) -> str:
    doubt = f"context.undetermined.contains({_text(name)})"
    return f"(!{doubt} && {said})" if allow else f"({doubt} || {said})"


def _one_of(name: str, values: tuple[str, ...]) -> str:
    plain = [value for value in values if (name, value) not in ABSENCES]
    parts = [f"(context has {name} && {_set(plain)}.contains(context.{name}))"] if plain else []
    if len(plain) < len(values):
        parts.append(f"!(context has {name})")
    return "(" + " || ".join(parts) + ")"


def _arguments(wanted: Arguments) -> str | None:
    if wanted.exact is not None:
        return f"context.arguments == {_text(_joined(wanted.exact))}"
    if wanted.prefix is not None and wanted.patterns is None and wanted.contains is None:
        return f"context.arguments like {_like(_joined(wanted.prefix))}"
    return None


def _joined(words: Iterable[str]) -> str:
    return "".join(word + END for word in words)


def request(question: Question) -> tuple[dict[str, Json], list[dict[str, Json]]]:
    """Give a question as a Cedar request and its entities."""
    requester = question.requester
    facts = facts_of(question)
    names: tuple[str, ...] = (*_TEXTS, *_FLAGS)
    undetermined: list[Json] = []
    undetermined += [name for name in names if fact(facts, name) is Fact.UNDETERMINED]
    env: list[Json] = [*sorted(env_names(question))]
    context: dict[str, Json] = {
        "sid": requester.sid,
        "machine": requester.machine,
        "identity": requester.service,
        "remote": requester.remote,
        "input": question.task.payload is not None,
        "arguments": _joined(question.task.argv[1:]),
        "env": env,
        "now": question.now.unix,
        "undetermined": undetermined,
    }
    for name in (*_TEXTS, *_FLAGS):
        value = fact(facts, name)
        if not isinstance(value, Fact):
            context[name] = value
        elif name in _FLAGS:
            context[name] = False
    who: dict[str, Json] = {"type": "User", "id": requester.user}
    asked: dict[str, Json] = {
        "principal": f"User::{json.dumps(requester.user)}",
        "action": f"Action::{json.dumps(question.task.task.kind)}",
        "resource": 'Task::"this"',
        "context": context,
    }
    parents: list[Json] = [{"type": "Group", "id": group} for group in requester.groups]
    return asked, [{"uid": who, "attrs": {}, "parents": parents}]
