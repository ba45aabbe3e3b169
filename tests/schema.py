"""Check a value against the part of JSON Schema that the published OCSF schemas use."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "number": (int, float),
}
KEYWORDS = frozenset(
    {"$defs", "$ref", "$schema", "additionalProperties", "anyOf", "description", "enum", "items", "properties", "required"}
    | {"title", "type"}
)


def errors(value: object, schema: Schema, root: Schema, path: str = "$") -> Iterator[str]:
    """Give what is wrong, each with its place.

    Raises:
        ValueError: The schema uses a keyword that is not known here, so that nothing passes unchecked.
    """
    if unknown := schema.keys() - KEYWORDS:
        raise ValueError(f"unknown keywords {sorted(unknown)}")
    if "$ref" in schema:
        yield from errors(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, path)
    kind = schema.get("type")
    if kind and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{path} is no {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}, which is not listed"
    if "anyOf" in schema and all(any(errors(value, one, root, path)) for one in schema["anyOf"]):
        yield f"{path} is none of what it may be"
    yield from _inside(value, schema, root, path)


def _inside(value: object, schema: Schema, root: Schema, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _object(value, schema, root, path)
    if isinstance(value, list):
        for number, member in enumerate(value):
            yield from errors(member, schema.get("items", {}), root, f"{path}[{number}]")


def _object(value: dict[str, object], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    yield from (f"{path} lacks {name}" for name in schema.get("required", ()) if name not in value)
    for name, member in value.items():
        if name in properties:
            yield from errors(member, properties[name], root, f"{path}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{path} has {name}, which is not known"
