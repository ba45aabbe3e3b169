"""What can be asked: the task kinds, their parameters and bounds.

A `Task` is what was asked, checked for form only; nothing of it has been looked up yet. The host's `inspect` turns it into an
`elevate.model.InspectedTask`. Kinds are data (`KindSpec`), so that a machine can bring further ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self, TypeAlias

from elevate.canonical import Json
from elevate.errors import TaskInvalidError, TaskKindUnknownError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSpec:
    """One parameter of a kind.

    Attributes:
        pattern: What a `TEXT` must match as a whole.
        default: Value where the caller gives none; None makes the parameter required.
    """

    type: ParamType
    default: Value | None = None
    pattern: str = r"[^\x00-\x1f\x7f]{1,4096}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """One kind of task: its display name, its parameters, and whether bytes travel beside it."""

    name: str
    display_name: str
    params: Mapping[str, ParamSpec]
    payload: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that a prompt could not name (Windows: a COM class without a display name never elevates)."""
        if not self.name or not self.display_name.strip():
            raise TaskInvalidError("a task kind has a name and a display name", hint="give both")


_CWD = ParamSpec(type=ParamType.PATH)
_TIME = ParamSpec(type=ParamType.SECONDS, default=DEFAULT_TIME_LIMIT_SECONDS)

KINDS: Mapping[str, KindSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            KindSpec(
                name="process.run",
                display_name="Run a program",
                params={
                    "argv": ParamSpec(type=ParamType.ARGV),
                    "cwd": _CWD,
                    "env": ParamSpec(type=ParamType.ENV, default=()),
                    "time_limit_seconds": _TIME,
                },
                payload=True,
            ),
            KindSpec(
                name="package.install",
                display_name="Install a package",
                params={"path": ParamSpec(type=ParamType.PATH), "cwd": _CWD, "time_limit_seconds": _TIME},
            ),
            KindSpec(
                name="package.remove",
                display_name="Remove a package",
                params={
                    "package": ParamSpec(type=ParamType.TEXT, pattern=r"[A-Za-z0-9][A-Za-z0-9+._-]{0,99}"),
                    "time_limit_seconds": _TIME,
                },
            ),
            KindSpec(
                name="setting.change",
                display_name="Change a setting of the machine",
                params={
                    "key": ParamSpec(type=ParamType.TEXT, pattern=r"HKLM\\[ -~]{1,255}"),
                    "name": ParamSpec(type=ParamType.TEXT, pattern=r"[ -\[\]-~]{1,255}"),
                    "value": ParamSpec(type=ParamType.TEXT, pattern=r"[^\x00-\x1f\x7f]{0,4096}"),
                    "type": ParamSpec(type=ParamType.TEXT, default="text", pattern="text|number"),
                },
            ),
            KindSpec(
                name="service.control",
                display_name="Control a service",
                params={
                    "service": ParamSpec(type=ParamType.TEXT, pattern=r"[A-Za-z0-9][A-Za-z0-9@:._-]{0,127}"),
                    "action": ParamSpec(type=ParamType.TEXT, pattern="start|stop|restart|reload|enable|disable"),
                },
            ),
            KindSpec(
                name="file.write",
                display_name="Write a file",
                params={
                    "path": ParamSpec(type=ParamType.PATH),
                    "cwd": _CWD,
                    "mode": ParamSpec(type=ParamType.MODE, default=0o644),
                },
                payload=True,
            ),
        )
    }
)
"""The kinds that every machine has, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What was asked: a kind, its parameters, and the bytes that travel beside it.

    Attributes:
        kind: A name in `KINDS`.
        params: Pairs in name order, each of the type that the kind says.
        payload: Standard input of a program, or content of a file; at most `MAX_PAYLOAD_BYTES`.
    """

    kind: str
    params: tuple[tuple[str, Value], ...]
    payload: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what is not of its kind."""
        spec = KINDS.get(self.kind)
        if spec is None:
            raise TaskKindUnknownError(f"unknown task kind {_quote(self.kind)}")
        given = dict(self.params)
        if len(given) != len(self.params):
            raise TaskInvalidError("a parameter is given twice")
        unknown = sorted(given.keys() - spec.params.keys())
        if unknown:
            raise TaskInvalidError(f"{self.kind} has no parameter {_quote(unknown[0])}")
        checked = ((name, _check(name, given.get(name, param.default), param)) for name, param in spec.params.items())
        object.__setattr__(self, "params", tuple(sorted(checked)))
        _check_payload(self.payload, spec)

    def __getitem__(self, name: str) -> Value:
        """Give one parameter.

        Raises:
            KeyError: This kind has no such parameter.
        """
        return dict(self.params)[name]

    @classmethod
    def parse(cls, kind: object, params: object, *, payload: bytes | None = None) -> Self:
        """Read a task that came as JSON: lists become tuples, an object becomes pairs.

        Raises:
            TaskInvalidError: A parameter is not as its kind wants it.
            TaskKindUnknownError: No such kind.
        """
        if not isinstance(kind, str) or not isinstance(params, Mapping):
            raise TaskInvalidError("a task is a kind and an object of parameters")
        pairs = tuple((str(name), _freeze(value)) for name, value in params.items())
        return cls(kind=kind, params=pairs, payload=payload)

    @classmethod
    def run(
        cls,
        argv: list[str] | tuple[str, ...],
        *,
        cwd: str = "/",
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        time_limit_seconds: int = DEFAULT_TIME_LIMIT_SECONDS,
    ) -> Self:
        """Run a program: ``argv`` as a list, never a joined string."""
        params = {"argv": argv, "cwd": cwd, "env": env or {}, "time_limit_seconds": time_limit_seconds}
        return cls.parse("process.run", params, payload=stdin)

    @classmethod
    def install(cls, path: str, *, cwd: str = "/") -> Self:
        """Install the package in the file ``path``."""
        return cls.parse("package.install", {"path": path, "cwd": cwd})

    @classmethod
    def remove(cls, package: str) -> Self:
        """Remove an installed package by its name."""
        return cls.parse("package.remove", {"package": package})

    @classmethod
    def setting(cls, key: str, name: str, value: str | int) -> Self:
        r"""Change a setting of the machine: a value below ``HKLM\…``, text or a number."""
        kind = "number" if isinstance(value, int) else "text"
        return cls.parse("setting.change", {"key": key, "name": name, "value": str(value), "type": kind})

    @classmethod
    def service(cls, service: str, action: str) -> Self:
        """Start, stop, restart, reload, enable or disable a service."""
        return cls.parse("service.control", {"service": service, "action": action})

    @classmethod
    def write(cls, path: str, content: bytes, *, mode: int = 0o644, cwd: str = "/") -> Self:
        """Write ``content`` to the file ``path`` with the permission bits ``mode``."""
        return cls.parse("file.write", {"path": path, "cwd": cwd, "mode": mode}, payload=content)

    def to_json(self) -> dict[str, Json]:
        """Give the kind and the parameters as `parse` reads them; the payload travels beside them."""
        return {"kind": self.kind, "params": {name: _thaw(value) for name, value in self.params}}

    def display(self) -> str:
        """Give the one-line form that prompt and log show; control characters are escaped."""
        return shell_words(_words(self))


def _words(task: Task) -> tuple[str, ...]:
    params = dict(task.params)
    match task.kind:
        case "process.run":
            argv = params["argv"]
            return tuple(str(word) for word in argv) if isinstance(argv, tuple) else ()
        case "package.install":
            return ("install", str(params["path"]))
        case "package.remove":
            return ("remove", str(params["package"]))
        case "setting.change":
            return ("set", f"{params['key']}\\{params['name']}", str(params["value"]))
        case "service.control":
            return (str(params["action"]), str(params["service"]))
        case _:
            return (task.kind, *(str(params[name]) for name in ("path",) if name in params))


def _freeze(value: object) -> Value:
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _text(member)) for name, member in value.items()))
    if isinstance(value, list | tuple):
        return tuple(_text(member) for member in value)
    if isinstance(value, str) or type(value) is int:
        return value
    raise TaskInvalidError(f"a parameter can't be {type(value).__name__}")


def _thaw(value: Value) -> Json:
    if not isinstance(value, tuple):
        return value
    words: list[Json] = [word for word in value if isinstance(word, str)]
    additions: dict[str, Json] = {pair[0]: pair[1] for pair in value if isinstance(pair, tuple)}
    return words or additions  # a command is never empty; no additions are an empty object


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TaskInvalidError(f"a list holds text only, not {type(value).__name__}")
    return value


def _check(name: str, value: object, spec: ParamSpec) -> Value:
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
        case ParamType.SECONDS, int() if type(value) is int and 1 <= value <= MAX_TIME_LIMIT_SECONDS:
            return value
        case ParamType.MODE, int() if type(value) is int and 0 <= value <= MAX_MODE:
            return value
        case _:
            raise TaskInvalidError(f"the parameter {name} is not a {spec.type} within its bounds")


def _check_text(name: str, value: str, pattern: str) -> str:
    _utf8(name, value)
    if not re.fullmatch(pattern, value):
        raise TaskInvalidError(f"the parameter {name} can't be {_quote(value)}")
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
            raise TaskInvalidError(f"the environment addition {_quote(name)} is given twice")
        pairs[name] = text
    if len(pairs) > MAX_ENV:
        raise TaskInvalidError(f"more than {MAX_ENV} environment additions")
    return tuple(sorted(pairs.items()))


def _check_addition(pair: object) -> tuple[str, str]:
    match pair:
        case (str(name), str(text)) if isinstance(pair, tuple):
            if not _ENV_NAME.fullmatch(name) or "\0" in text or len(_utf8("env", text)) > MAX_PATH_BYTES:
                raise TaskInvalidError(f"the environment addition {_quote(name)} is not allowed")
            return name, text
        case _:
            raise TaskInvalidError("an environment addition is a name and a text")


def _check_payload(payload: object, spec: KindSpec) -> None:
    if payload is None:
        return
    if not isinstance(payload, bytes):
        raise TaskInvalidError(f"the input is bytes, not {type(payload).__name__}")
    if not spec.payload:
        raise TaskInvalidError(f"{spec.name} takes no input")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TaskInvalidError(f"the input is over {MAX_PAYLOAD_BYTES} bytes", hint="put it into a file and name that")


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as exc:
        raise TaskInvalidError(f"the parameter {name} is not Unicode text") from exc


def _quote(value: object) -> str:
    return shell_words((str(value)[:80],))
