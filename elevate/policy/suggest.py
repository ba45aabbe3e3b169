"""The narrowest rule that would have allowed what was asked."""

import hashlib
import json
import re

from elevate.policy.cases import given
from elevate.policy.rule import Question

_SHA = re.compile("[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: object) -> str:
    """Write a value as TOML, tables and lists on one line."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case dict():
            pairs = ", ".join(f"{_toml_key(str(name))} = {toml_value(member)}" for name, member in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(toml_value(member) for member in value)}]"
        case _:
            return toml_text(str(value))


def toml_text(text: str) -> str:
    """Write a text as a basic TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(name: str) -> str:
    return name if _WORD.fullmatch(name) else toml_text(name)


def rule_toml(rule: dict[str, object]) -> str:
    """Write one rule."""
    return "\n".join(["[[rule]]", *(f"{_toml_key(name)} = {toml_value(value)}" for name, value in rule.items())])


def narrowest(question: Question) -> str:
    """Give a rule, in TOML, for this person and exactly this task: by content where it is known, with the exact arguments."""
    record = given(question)
    asked = record["task"]
    task = dict(asked) if isinstance(asked, dict) else {}
    kind = str(task.get("kind", ""))
    said: dict[str, object] = {"kind": kind}
    by_content = kind in {"process.run", "package.install"} and _SHA.fullmatch(str(task.get("sha256", "")))
    names = ("sha256",) if by_content else ("path", "service", "action")
    said |= {name: task[name] for name in names if name in task}
    if kind == "process.run":
        said["arguments"] = task.get("arguments", [])
    then: dict[str, object] = {"prompt": "credential"}
    if isinstance(env := task.get("env"), dict):
        then["env"] = sorted(env)
    who = {"user": question.requester.user} if question.requester.user else {"service": question.requester.service}
    name = hashlib.sha256(question.task.digest.encode()).hexdigest()[:8]
    user = "-".join(re.findall("[A-Za-z0-9]+", question.requester.user))[:40] or "someone"
    return rule_toml(
        {
            "id": f"{user}-{kind.replace('.', '-')}-{name}",
            "effect": "allow",
            "who": who,
            "task": said,
            "then": then,
            "why": f"Exactly: {_short(question)}",
        }
    )


def _short(question: Question) -> str:
    return "".join(char for char in question.task.task.display() if char.isprintable())[:200]
