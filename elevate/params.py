"""The parameters of a task: their types, their bounds, how each is read and shown. Nothing of it has been looked up yet."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from elevate.canonical import Json
from elevate.errors import TaskInvalidError
from elevate.text import shell_words

Value: TypeAlias = str | int | tuple[str, ...] | tuple[tuple[str, str], ...]

MAX_ARGUMENTS = 4096
MAX_ARGV_BYTES = 131_072
MAX_PATH_BYTES = 4095
MAX_ENV = 64
MAX_PAYLOAD_BYTES = 16 * 2**20
DEFAULT_TIME_LIMIT_SECONDS = 3600
MAX_TIME_LIMIT_SECONDS = 86_400
MAX_MODE = 0o777

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class ParamType(StrEnum):
    """How a parameter is read and bounded."""

    TEXT = "text"
    PATH = "path"
    ARGV = "argv"
    ENV = "env"
    SECONDS = "seconds"
    MODE = "mode"
    NUMBER = "number"


_BOUNDS = {ParamType.SECONDS: (1, MAX_TIME_LIMIT_SECONDS), ParamType.MODE: (0, MAX_MODE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSpec:
    """One parameter of a kind.

    Attributes:
        pattern: What a `TEXT` must match as a whole.
        default: Value where the caller gives none; None makes the parameter required.
        optional: Where the caller gives none, the task has no such parameter.
        least: Of a `NUMBER`.
        most: Of a `NUMBER`.
    """

    type: ParamType
    default: Value | None = None
    pattern: str = r"[^\x00-\x1f\x7f]{1,4096}"
    optional: bool = False
    least: int = 0
    most: int = 0


def freeze(value: object) -> Value:
    """Read a value that came as JSON: lists become tuples, an object becomes pairs."""
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _text(member)) for name, member in value.items()))
    if isinstance(value, list | tuple):
        return tuple(_text(member) for member in value)
    if isinstance(value, str) or type(value) is int:
        return value
    raise TaskInvalidError(f"a parameter can't be {type(value).__name__}")


def thaw(value: Value) -> Json:
    """Give a value as JSON again."""
    if not isinstance(value, tuple):
        return value
    words: list[Json] = [word for word in value if isinstance(word, str)]
    additions: dict[str, Json] = {pair[0]: pair[1] for pair in value if isinstance(pair, tuple)}
    return words or additions  # a command is never empty; no additions are an empty object


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TaskInvalidError(f"a list holds text only, not {type(value).__name__}")
    return value


def check(name: str, value: object, spec: ParamSpec) -> Value:
    """Give a value that is of its type and within its bounds.

    Raises:
        TaskInvalidError: It is not.
    """
    if value is None:
        raise TaskInvalidError(f"the parameter {name} is missing")
    match spec.type, value:
        case ParamType.TEXT, str():
            return _check_text(name, value, spec.pattern)
        case ParamType.PATH, str():
            return _check_path(name, value)
        case ParamType.ARGV, tuple():
            return _check_argv(value)
        case ParamType.ENV, tuple():
            return _check_env(value)
        case ParamType.SECONDS | ParamType.MODE | ParamType.NUMBER, int() if _is_within(value, spec):
            return value
        case _:
            raise TaskInvalidError(f"the parameter {name} is not a {spec.type} within its bounds")


def _is_within(value: int, spec: ParamSpec) -> bool:
    least, most = _BOUNDS.get(spec.type, (spec.least, spec.most))
    # By exact type: a bool is an int for Python, and is not one here.
    return type(value) is int and least <= value <= most


def _check_text(name: str, value: str, pattern: str) -> str:
    _utf8(name, value)
    if not re.fullmatch(pattern, value):
        raise TaskInvalidError(f"the parameter {name} can't be {quote(value)}")
    return value


def _check_path(name: str, value: str) -> str:
    if not value or "\0" in value or len(_utf8(name, value)) > MAX_PATH_BYTES:
        raise TaskInvalidError(f"the parameter {name} is empty, has a NUL or is over {MAX_PATH_BYTES} bytes")
    return value


def _check_argv(value: tuple[object, ...]) -> tuple[str, ...]:
    words = tuple(_text(word) for word in value)
    if not words or not words[0]:
        raise TaskInvalidError("the command is empty", hint="give a command after --")
    if len(words) > MAX_ARGUMENTS or sum(len(_utf8("argv", word)) + 1 for word in words) > MAX_ARGV_BYTES:
        raise TaskInvalidError(f"the command has over {MAX_ARGUMENTS} arguments or {MAX_ARGV_BYTES} bytes")
    if any("\0" in word for word in words):
        raise TaskInvalidError("an argument has a NUL")
    return words


def _check_env(value: tuple[object, ...]) -> tuple[tuple[str, str], ...]:
    pairs: dict[str, str] = {}
    for pair in value:
        name, text = _check_addition(pair)
        if name in pairs:
            raise TaskInvalidError(f"the environment addition {quote(name)} is given twice")
        pairs[name] = text
    if len(pairs) > MAX_ENV:
        raise TaskInvalidError(f"more than {MAX_ENV} environment additions")
    return tuple(sorted(pairs.items()))


def _check_addition(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(text)) if isinstance(pair, tuple):
            if not _ENV_NAME.fullmatch(name) or "\0" in text or len(_utf8("env", text)) > MAX_PATH_BYTES:
                raise TaskInvalidError(f"the environment addition {quote(name)} is not allowed")
            return name, text
        case _:
            raise TaskInvalidError("an environment addition is a name and a text")


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as exc:
        raise TaskInvalidError(f"the parameter {name} is not Unicode text") from exc


def quote(value: object) -> str:
    """Show a value from outside in an error."""
    return shell_words((str(value)[:80],))


def words(kind: str, params: Mapping[str, Value]) -> tuple[str, ...]:
    """Give the words by which a task is shown; whom it runs as stands before a command."""
    match kind:
        case "process.run":
            argv = params["argv"]
            who = ":".join(str(params.get(name, "")) for name in ("run_as", "run_as_group")).rstrip(":")
            return (*(("as", f"{who}:") if who else ()), *(map(str, argv) if isinstance(argv, tuple) else ()))
        case "package.install":
            return ("install", *(("for this user:",) if "scope" in params else ()), str(params["path"]))
        case "package.remove":
            return ("remove", str(params["package"]))
        case "setting.change":
            return ("set", f"{params['key']}\\{params['name']}", str(params["value"]))
        case "service.control":
            return (str(params["action"]), str(params["service"]))
        case _:
            return (kind, *(str(params[name]) for name in ("path",) if name in params))
