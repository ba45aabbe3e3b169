"""A machine's own kinds of task, from the ``[[kind]]`` tables of its rule files.

A vendor ships one file with its kind, the rule for it and their tests. A pattern is bounded in what it matches and in what
matching costs, since the text that it is held against comes from anybody.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from elevate.errors import TaskInvalidError
from elevate.kinds import PARAM as PARAM_NAME
from elevate.kinds import TIME, KindSpec
from elevate.params import DEFAULT_TIME_LIMIT_SECONDS, ParamSpec, ParamType
from elevate.policy.problems import Path, RefusedValue, similar
from elevate.policy.schema import KIND, PARAM, Key

Say: TypeAlias = Callable[[Path, str, str], None]

MAX_KINDS = 256
MAX_PARAMS = 16
MAX_RANGES = 2
MAX_WAYS = 1_000_000
"""In how many ways a pattern can be tried on a text; so many take some milliseconds."""
_ATOM = r"(?:\[[^\[\]\\^]{1,100}\]|\\[.\\+*?()\[\]{}|^$-]|[A-Za-z0-9 _@:/,=%#~-])(?:\{[0-9]{1,3}(?:,[0-9]{1,3})?\}|\?)?"
_RANGE = re.compile(r"\{([0-9]+),([0-9]+)\}")
_PATTERN = re.compile(rf"(?:{_ATOM}){{1,16}}")
_NEEDS = {"text": {"pattern"}, "choice": {"values"}, "number": {"least", "most"}}


def has_kinds(data: bytes) -> bool:
    """Say whether a file may hold descriptions of kinds, without parsing it."""
    return b"[[kind]]" in data


def read_kind(table: object, path: Path, say: Say) -> KindSpec | None:
    """Read one ``[[kind]]``; None where anything is wrong with it.

    Args:
        table: As it was parsed.
        path: Where it stands.
        say: Takes the path of what is wrong, the message and the fix.
    """
    if not isinstance(table, dict):
        say(path, "a kind is a table", "begin it with [[kind]]")
        return None
    params = table.get("params", {})
    values = _keys({name: value for name, value in table.items() if name != "params"}, KIND, path, say)
    missing = [name for name in ("name", "display_name", "argv") if name not in table]
    for name in missing:
        say(path, f"the kind has no {name}", "a kind has name, display_name and argv")
    specs = _params(params, (*path, "params"), say)
    if missing or values is None or specs is None:
        return None
    limit = values.get(TIME, DEFAULT_TIME_LIMIT_SECONDS)
    time = ParamSpec(type=ParamType.SECONDS, default=limit if isinstance(limit, int) else None)
    argv = values["argv"]
    try:
        return KindSpec(
            name=str(values["name"]),
            display_name=str(values["display_name"]),
            params={**specs, TIME: time},
            argv=argv if isinstance(argv, tuple) else (),
        )
    except TaskInvalidError as exc:
        say(path, exc.message, exc.hint)
        return None


def _keys(table: Mapping[str, object], keys: Mapping[str, Key], path: Path, say: Say) -> dict[str, object] | None:
    """Read the keys of a table; None where one is wrong."""
    values: dict[str, object] = {}
    for name, value in table.items():
        key = keys.get(name)
        if key is None:
            say((*path, name), f"unknown key {name!r}", similar(name, keys))
            continue
        try:
            values[name] = key.type.read(value)
        except RefusedValue as exc:
            say((*path, name, *exc.path), f"{name}: {exc.message}", exc.fix)
    return values if len(values) == len(table) else None


def _params(tables: object, path: Path, say: Say) -> dict[str, ParamSpec] | None:
    if not isinstance(tables, dict) or len(tables) > MAX_PARAMS:
        say(path, f"params are at most {MAX_PARAMS} tables", "write [kind.params.NAME]")
        return None
    found = {name: _param(name, table, (*path, name), say) for name, table in tables.items()}
    read = {name: spec for name, spec in found.items() if spec is not None}
    return read if len(read) == len(tables) else None


def _param(name: str, table: object, path: Path, say: Say) -> ParamSpec | None:
    if not isinstance(table, dict) or not re.fullmatch(PARAM_NAME, name) or name == TIME:
        say(path, f"{name[:40]!r} is no parameter", "lower-case letters, digits and _, as [kind.params.zone]")
        return None
    values = _keys(table, PARAM, path, say)
    if values is None:
        return None
    kind = str(values.get("type", ""))
    needed = _NEEDS.get(kind, {"type"})
    if values.keys() - {"type", "doc"} != needed - {"type"} or not kind:
        say(
            path,
            f"a parameter of type {kind or '…'} has {' and '.join(sorted(needed))}, and no other bound",
            "write these keys",
        )
        return None
    try:
        return _typed(kind, values)
    except RefusedValue as exc:
        say((*path, *exc.path), exc.message, exc.fix)
        return None


def _typed(kind: str, values: Mapping[str, object]) -> ParamSpec:
    match kind:
        case "number":
            least, most = int(str(values["least"])), int(str(values["most"]))
            if least > most:
                raise RefusedValue("the least is over the most", "turn them round", path=("least",))
            return ParamSpec(type=ParamType.NUMBER, least=least, most=most)
        case "choice":
            choices = values["values"]
            words = choices if isinstance(choices, tuple) else ()
            return ParamSpec(type=ParamType.TEXT, pattern="|".join(re.escape(word) for word in words))
        case _:
            return ParamSpec(type=ParamType.TEXT, pattern=_bounded(str(values["pattern"])))


def _bounded(pattern: str) -> str:
    """Check that a pattern matches texts of bounded length in bounded time."""
    fix = "write characters, [A-Za-z0-9], ?, {n} and at most two {m,n}, as [a-z][a-z0-9-]{0,31}"
    if not _PATTERN.fullmatch(pattern) or len(_RANGE.findall(pattern)) > MAX_RANGES or _ways(pattern) > MAX_WAYS:
        raise RefusedValue("the pattern may match without bound, or is not known here", fix, path=("pattern",))
    try:
        re.compile(pattern)
    except re.error as exc:
        raise RefusedValue(f"not a pattern: {exc}", fix, path=("pattern",)) from exc
    return pattern


def _ways(pattern: str) -> int:
    # SECURITY: whoever asks chooses the text, and the whole broker waits while it is tried (attacks.md row 36).
    widths = (int(most) - int(least) + 1 for least, most in _RANGE.findall(pattern))
    return math.prod((max(width, 1) for width in widths), start=1 << pattern.count("?"))
