"""Values written as TOML."""

import json
import re
from datetime import date, time

_WORD = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: object) -> str:
    """Write a value as TOML, tables and lists on one line."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case date() | time():
            return value.isoformat()
        case dict():
            pairs = ", ".join(f"{toml_key(str(name))} = {toml_value(member)}" for name, member in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(toml_value(member) for member in value)}]"
        case _:
            return toml_text(str(value))


def toml_text(text: str) -> str:
    """Write a text as a basic TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(name: str) -> str:
    """Write a key, quoted where it must be."""
    return name if _WORD.fullmatch(name) else toml_text(name)


def rule_toml(rule: dict[str, object]) -> str:
    """Write one rule."""
    return "\n".join(["[[rule]]", *(f"{toml_key(name)} = {toml_value(value)}" for name, value in rule.items())])
