"""How answers are printed: lines for people, JSON for programs."""

from collections.abc import Mapping
from typing import Annotated

import orjson
import typer

from elevate.canonical import Json
from elevate.text import escape

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: object) -> None:
    """Print a value as indented JSON with sorted members."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode())


def print_members(members: Mapping[str, Json]) -> None:
    """Print an object's members, one line each, names in a column."""
    width = max((len(name) for name in members), default=0)
    for name, value in members.items():
        typer.echo(f"{name.replace('_', ' '):{width}}  {_text(value)}")


def _text(value: Json) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name} {_text(member)}" for name, member in value.items())
        case list():
            return ", ".join(_text(member) for member in value) or "-"
        case _:
            return escape(str(value))
