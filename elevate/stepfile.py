r"""Several steps in a file, as TOML or JSON: what `elevate apply` reads.

::

    [[step]]
    kind = "file.write"
    path = "/etc/contoso.conf"
    content = "theme = dark\n"

    [[step]]
    kind = "service.control"
    service = "contoso"
    action = "restart"

    [[undo]]
    kind = "process.run"
    argv = ["/opt/contoso/undo"]

Each table is a task: its ``kind``, the parameters of that kind, and for a program ``input`` or ``input_from``, for a file
``content`` or ``content_from``; ``…_from`` names a file, read now and as the user. Paths begin at the folder of the file. The
steps under ``undo`` are done where one of the others fails.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from elevate.errors import TaskError, TaskInvalidError
from elevate.kinds import KINDS, KindSpec
from elevate.params import ParamType
from elevate.tasks import MAX_STEPS, MAX_STEPS_INPUT_BYTES, Task

MAX_FILE_BYTES = 2**20
_INPUT = {"process.run": "input", "file.write": "content"}
_HINT = "see: elevate apply --help"


def read(path: Path, kinds: Mapping[str, KindSpec] = KINDS) -> Task:
    """Read the steps of a file.

    Args:
        path: Of the file.
        kinds: What the machine brings itself, beside those that every machine has.

    Raises:
        TaskError: It can't be read, or is not steps; the message names file and step.
    """
    tables = _parsed(path)
    if unknown := tables.keys() - {"step", "undo"}:
        raise TaskInvalidError(f"{path.name}: unknown table {min(unknown)!r}", hint=_HINT)
    steps, undo = (_tasks(path, tables.get(name, []), name, kinds) for name in ("step", "undo"))
    try:
        return Task.in_order(steps, undo=undo)
    except TaskInvalidError as exc:
        raise TaskInvalidError(f"{path.name}: {exc.message}", hint=_HINT) from exc


def _parsed(path: Path) -> Mapping[str, Any]:
    data = _bytes(path, MAX_FILE_BYTES)
    load: Callable[[str], Any] = json.loads if path.suffix == ".json" else tomllib.loads
    try:
        found = load(data.decode())
    except UnicodeDecodeError as exc:
        raise TaskInvalidError(f"{path.name}: it is no text in UTF-8", hint=_HINT) from exc
    except (ValueError, RecursionError) as exc:
        raise TaskInvalidError(f"{path.name}: {exc}", hint=_HINT) from exc
    if not isinstance(found, dict):
        raise TaskInvalidError(f"{path.name}: it has no steps", hint=_HINT)
    return found


def _tasks(path: Path, tables: object, name: str, kinds: Mapping[str, KindSpec]) -> list[Task]:
    if not isinstance(tables, list) or len(tables) > MAX_STEPS:
        raise TaskInvalidError(f"{path.name}: [[{name}]] is a list of at most {MAX_STEPS} tables", hint=_HINT)
    found = []
    for number, table in enumerate(tables, 1):
        try:
            found.append(_task(path.resolve().parent, table, kinds))
        except TaskError as exc:
            raise type(exc)(f"{path.name}: {name} {number}: {exc.message}", hint=exc.hint) from exc
    return found


def _task(folder: Path, table: object, kinds: Mapping[str, KindSpec]) -> Task:
    if not isinstance(table, dict):
        raise TaskInvalidError("it is no table", hint=_HINT)
    given = dict(table)
    kind = str(given.pop("kind", ""))
    payload = _payload(folder, given, _INPUT.get(kind, ""))
    spec = KINDS.get(kind) or kinds.get(kind)
    params = (
        {name: _value(spec.params[name].type, value) if name in spec.params else value for name, value in given.items()}
        if spec
        else given
    )
    if spec and "cwd" in spec.params:
        params = {"cwd": str(folder), **params}
    if kind == "setting.change" and type(params.get("value")) is int:
        params |= {"value": str(params["value"]), "type": "number"}
    return Task.parse(kind, params, payload=payload, kinds=kinds)


def _value(kind: ParamType, value: object) -> object:
    if kind is not ParamType.MODE or not isinstance(value, str):
        return value
    try:
        return int(value, 8)
    except ValueError as exc:
        raise TaskInvalidError(f"the mode {value[:20]!r} is not octal", hint='write it as "0644"') from exc


def _payload(folder: Path, given: dict[str, Any], name: str) -> bytes | None:
    text, source = (given.pop(name, None), given.pop(f"{name}_from", None)) if name else (None, None)
    if text is not None and source is not None:
        raise TaskInvalidError(f"{name} and {name}_from can't both be given", hint=_HINT)
    if not isinstance(text, str | None) or not isinstance(source, str | None):
        raise TaskInvalidError(f"{name} is text, and {name}_from a path", hint=_HINT)
    if source is not None:
        return _bytes(folder / source, MAX_STEPS_INPUT_BYTES)
    return None if text is None else text.encode()


def _bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as exc:
        raise TaskInvalidError(
            f"{path.name or path} can't be read: {exc.strerror}", hint="check its path and its owner"
        ) from exc
    if len(data) > limit:
        raise TaskInvalidError(f"{path.name} is over {limit} bytes", hint="put what is long into files of its own")
    return data
