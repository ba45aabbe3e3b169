"""The task kinds: those that every machine has, and the form of those that a machine brings itself.

A machine's own kind runs one program, whose path and arguments its description says. A parameter is one word, or a part of one,
typed and bounded; there is no shell, and none begins with a dash, so that no value is taken for an option. The descriptions
come from the policy folder, where nobody but root or the broker's owner can write (`elevate.policy`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, cast

from elevate.canonical import Json
from elevate.errors import TaskInvalidError
from elevate.params import DEFAULT_TIME_LIMIT_SECONDS, ParamSpec, ParamType, Value, freeze, thaw
from elevate.text import is_shown

MAX_NAME_CHARS = 80
MAX_WORDS = 64
MAX_WORD_CHARS = 1024
TIME = "time_limit_seconds"
NAME = r"[a-z][a-z0-9-]{0,31}(\.[a-z][a-z0-9-]{0,31}){1,3}"
PARAM = r"[a-z][a-z0-9_]{0,31}"
_RESERVED = frozenset({"elevate", "file", "package", "process", "service", "setting", "steps"})
_PLACE = re.compile(rf"\{{({PARAM})\}}")


def is_own(name: str) -> bool:
    """Say whether a name is of the form that a machine's own kinds have."""
    return re.fullmatch(NAME, name) is not None and name.partition(".")[0] not in _RESERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpec:
    """One kind of task.

    Attributes:
        display_name: What a prompt calls it.
        payload: Bytes travel beside it.
        argv: What a machine's own kind runs: a path, and words in which ``{name}`` stands for a parameter.
    """

    name: str
    display_name: str
    params: Mapping[str, ParamSpec]
    payload: bool = False
    argv: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a kind that a prompt could not name (Windows: a COM class without a display name never elevates)."""
        if not self.name or not self.display_name.strip():
            raise TaskInvalidError("a task kind has a name and a display name", hint="give both")
        if not is_shown(self.display_name) or len(self.display_name) > MAX_NAME_CHARS:
            raise TaskInvalidError(f"a display name is at most {MAX_NAME_CHARS} characters that can be shown")
        if self.argv:
            _check_own(self)

    def command(self, params: Mapping[str, Value]) -> tuple[str, ...]:
        """Give what a machine's own kind runs with these parameters: as many words as its description has."""
        return tuple(_PLACE.sub(lambda found: str(params[found[1]]), word) for word in self.argv)

    def to_json(self) -> dict[str, Json]:
        """Give it as `from_json` reads it."""
        params: dict[str, Json] = {}
        for name, param in self.params.items():
            bounds: dict[str, Json] = {"pattern": param.pattern, "least": param.least, "most": param.most}
            bounds["optional"] = param.optional
            default = None if param.default is None else thaw(param.default)
            params[name] = {"type": param.type.value, "default": default, **bounds}
        named: dict[str, Json] = {"name": self.name, "display_name": self.display_name, "payload": self.payload}
        return {**named, "params": params, "argv": list(self.argv)}

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Self:
        """Read what the broker says of a kind.

        Raises:
            TaskInvalidError: It is none.
        """
        try:
            return cls(
                name=str(value["name"]),
                display_name=str(value["display_name"]),
                params={name: _param(said) for name, said in cast("dict[str, dict[str, Json]]", value["params"]).items()},
                payload=value["payload"] is True,
                argv=tuple(map(str, cast("list[Json]", value["argv"]))),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise TaskInvalidError("the description of a task kind can't be read") from exc


def _param(said: Mapping[str, Json]) -> ParamSpec:
    return ParamSpec(
        type=ParamType(str(said["type"])),
        default=None if said["default"] is None else freeze(said["default"]),
        pattern=str(said["pattern"]),
        least=cast("int", said["least"]),
        most=cast("int", said["most"]),
        optional=said.get("optional") is True,
    )


def _check_own(spec: KindSpec) -> None:
    if not is_own(spec.name):
        raise TaskInvalidError(f"{spec.name[:80]} is no name for a machine's own kind", hint="write it like acme.flush-cache")
    if not spec.argv[0].startswith("/") or "{" in spec.argv[0] or len(spec.argv) > MAX_WORDS:
        raise TaskInvalidError("a kind runs a program by its whole path, with nothing put into it")
    used: set[str] = set()
    for word in spec.argv:
        found = _PLACE.findall(word)
        if len(found) > 1 or set("{}") & set(_PLACE.sub("", word)) or len(word) > MAX_WORD_CHARS or not is_shown(word):
            raise TaskInvalidError("a word holds at most one {parameter}", hint="split it; braces are for parameters")
        used.update(found)
    if odd := used ^ (spec.params.keys() - {TIME}):
        raise TaskInvalidError(f"the parameter {min(odd)} is not in both argv and params", hint="describe it, and use it")


_CWD = ParamSpec(type=ParamType.PATH)
_RUN_AS = ParamSpec(type=ParamType.TEXT, pattern=r"[^\x00-\x1f\x7f:]{1,256}", optional=True)
_SCOPE = ParamSpec(type=ParamType.TEXT, pattern="user", optional=True)
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
                    "run_as": _RUN_AS,
                    "run_as_group": _RUN_AS,
                },
                payload=True,
            ),
            KindSpec(
                name="package.install",
                display_name="Install a package",
                params={"path": ParamSpec(type=ParamType.PATH), "cwd": _CWD, "time_limit_seconds": _TIME, "scope": _SCOPE},
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
                    "mode": ParamSpec(type=ParamType.MODE, optional=True),
                },
                payload=True,
            ),
        )
    }
)
"""The kinds that every machine has, by name."""
