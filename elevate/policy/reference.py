"""The reference of rule files in Markdown, from the same tables that the reader uses."""

from collections.abc import Mapping

from elevate.canonical import Json
from elevate.policy.rule import Effect
from elevate.policy.schema import ALL_KINDS, KIND, PARAM, RULE, SERVICE, TABLES, Key

_ABOUT = {
    "who": "For whom the rule is. Every key that is given must hold; of a list any one. Left out, the rule is for everyone.",
    "task": "For which tasks. The most specific of `sha256`, `signer`, `package`, `service`, `path` and `directory` decides "
    "how specific the rule is.",
    "when": "At which times. Left out, always.",
    "then": "What is demanded. A `deny` has none.",
}

_KIND = (
    "A kind of task that this machine has besides those that every machine has: one program, with parameters that are typed "
    "and bounded. Rules for any kind of task that have the keys of `process.run` are for these kinds, too."
)


def reference() -> str:
    """Give the reference."""
    parts = ["### `[[rule]]`", "", _table(RULE)]
    for name, table in TABLES.items():
        parts += ["", f"### `{name}`", "", _ABOUT[name], "", _table(table)]
    parts += ["", "### `[[service]]`", "", _table(SERVICE)]
    parts += ["", "### `[[kind]]`", "", _KIND, "", _table(KIND), "", "### `[kind.params.NAME]`", "", _table(PARAM)]
    return "\n".join(parts) + "\n"


def _table(keys: Mapping[str, Key]) -> str:
    rows = ["| key | value | meaning | goes with |", "| --- | --- | --- | --- |"]
    for name, key in keys.items():
        rows.append(f"| `{name}` | {_value(key.type.schema())} | {key.doc} | {_goes_with(key)} |")
    return "\n".join(rows)


def _goes_with(key: Key) -> str:
    kinds = "" if key.kinds == ALL_KINDS else ", ".join(f"`{kind}`" for kind in key.kinds)
    effects = "" if key.effects == frozenset(Effect) else ", ".join(sorted(key.effects))
    return "; ".join(part for part in (effects, kinds) if part) or "all"


def _value(schema: Mapping[str, Json]) -> str:
    """Say in words what a JSON Schema says."""
    if isinstance(any_of := schema.get("anyOf"), list):
        words = [_value(one) for one in any_of if isinstance(one, dict)]
        return f"{words[0]}, or a list" if words[1:] == ["list"] else " or ".join(words)
    if isinstance(choices := schema.get("enum"), list):
        return ", ".join(f"`{choice}`" for choice in choices)
    if schema.get("type") == "integer":
        return f"{schema['minimum']} to {schema['maximum']}"
    plain = {"boolean": "`true`, `false`", "array": "list", "object": "table"}
    return plain.get(str(schema.get("type")), "text")
