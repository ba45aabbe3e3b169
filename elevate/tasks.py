"""What can be asked: the task kinds, their parameters and bounds.

A `Task` is what was asked, checked for form only; nothing of it has been looked up yet. The host's `inspect` turns it into an
`elevate.model.InspectedTask`. Kinds are data (`KindSpec`), so that a machine can bring further ones. Several tasks under one
token are a task, too, of the kind `STEPS`, which no rule and no machine can name: policy decides about each of its steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from elevate.canonical import Json
from elevate.errors import TaskInvalidError, TaskKindUnknownError
from elevate.kinds import KINDS, TIME, KindSpec
from elevate.params import (
    DEFAULT_TIME_LIMIT_SECONDS,
    MAX_PAYLOAD_BYTES,
    MAX_TIME_LIMIT_SECONDS,
    ParamSpec,
    ParamType,
    Value,
    check,
    freeze,
    quote,
    thaw,
    words,
)
from elevate.text import shell_words

__all__ = [
    "DEFAULT_TIME_LIMIT_SECONDS",
    "KINDS",
    "MAX_PAYLOAD_BYTES",
    "MAX_STEPS",
    "MAX_STEPS_INPUT_BYTES",
    "MAX_TIME_LIMIT_SECONDS",
    "STEPS",
    "KindSpec",
    "ParamSpec",
    "ParamType",
    "Task",
    "Value",
    "as_one",
]

MAX_STEPS = 32
"""What a product brings, value by value; a person's reading is bounded by `elevate.hello.view.MAX_STEPS_TEXT` before."""
MAX_STEPS_INPUT_BYTES = 8 * 2**20
STEPS = "steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What was asked: a kind, its parameters, and the bytes that travel beside it.

    Attributes:
        kind: A name in `KINDS`.
        params: Pairs in name order, each of the type that the kind says.
        payload: Standard input of a program, or content of a file; at most `MAX_PAYLOAD_BYTES`.
        steps: For the kind `STEPS` alone: what is done, in this order, up to the first that fails. At most `MAX_STEPS`.
        undo: So many of the last steps are done only where an earlier one has failed, and then all of them.
    """

    kind: str
    params: tuple[tuple[str, Value], ...]
    payload: bytes | None = field(default=None, repr=False)
    steps: tuple["Task", ...] = ()
    undo: int = 0
    spec: KindSpec | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is not of its kind."""
        if self.kind == STEPS or self.steps or self.undo:
            _check_steps(self)
            return
        spec = KINDS.get(self.kind, self.spec)
        if spec is None or spec.name != self.kind:
            raise TaskKindUnknownError(f"unknown task kind {quote(self.kind)}")
        object.__setattr__(self, "spec", spec)
        given = dict(self.params)
        if len(given) != len(self.params):
            raise TaskInvalidError("a parameter is given twice")
        unknown = sorted(given.keys() - spec.params.keys())
        if unknown:
            raise TaskInvalidError(f"{self.kind} has no parameter {quote(unknown[0])}")
        wanted = {name: param for name, param in spec.params.items() if name in given or not param.optional}
        checked = ((name, check(name, given.get(name, param.default), param)) for name, param in wanted.items())
        object.__setattr__(self, "params", tuple(sorted(checked)))
        # SECURITY: no value becomes an option of the program (attacks.md row 17).
        if self.own and any(isinstance(value, str) and value.startswith("-") for _, value in self.params):
            raise TaskInvalidError("a parameter of this kind can't begin with a dash")
        _check_payload(self.payload, spec)

    def __getitem__(self, name: str) -> Value:
        """Give one parameter.

        Raises:
            KeyError: This kind has no such parameter.
        """
        return dict(self.params)[name]

    @classmethod
    def parse(
        cls, kind: object, params: object, *, payload: bytes | None = None, kinds: Mapping[str, KindSpec] = KINDS
    ) -> Self:
        """Read a task that came as JSON: lists become tuples, an object becomes pairs.

        Args:
            kind: Its name.
            params: Its parameters.
            payload: The bytes beside it.
            kinds: What the machine brings itself, beside those that every machine has.

        Raises:
            TaskInvalidError: A parameter is not as its kind wants it.
            TaskKindUnknownError: No such kind.
        """
        if not isinstance(kind, str) or not isinstance(params, Mapping):
            raise TaskInvalidError("a task is a kind and an object of parameters")
        pairs = tuple((str(name), freeze(value)) for name, value in params.items())
        return cls(kind=kind, params=pairs, payload=payload, spec=kinds.get(kind))

    @classmethod
    def of(cls, kind: str, kinds: Mapping[str, KindSpec] = KINDS, /, **params: object) -> Self:
        """Do what one of the machine's own kinds says, with these parameters.

        Args:
            kind: Its name, as ``acme.flush-cache``.
            kinds: What the machine brings, as `elevate.Connection.kinds` gives it.
            **params: By name.

        Raises:
            TaskError: No such kind, or the parameters are not of it.
        """
        return cls.parse(kind, params, kinds=kinds)

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

    def run_as(self, user: str = "", *, group: str = "") -> Self:
        """Give the same program as another user than the admin account, or with another group: names, or ``#`` and a number.

        With a group alone it runs as the asking user. A rule must say ``run_as`` or ``run_as_group``.
        """
        asked = {name: value for name, value in (("run_as", user), ("run_as_group", group)) if value}
        return type(self)(kind=self.kind, params=tuple((dict(self.params) | asked).items()), payload=self.payload)

    @classmethod
    def install(cls, path: str, *, cwd: str = "/", scope: str = "machine") -> Self:
        """Install the package in the file ``path``.

        Args:
            path: Of the package.
            cwd: What a relative path is relative to.
            scope: ``machine``; or ``user``: for a plan only, since `elevate.install` does that with no elevation.
        """
        params = {"path": path, "cwd": cwd}
        return cls.parse("package.install", params if scope == "machine" else {**params, "scope": scope})

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
    def write(cls, path: str, content: bytes, *, mode: int | None = None, cwd: str = "/") -> Self:
        """Write ``content`` to the file ``path``, whole or not at all.

        Args:
            path: Of the file.
            content: All of it.
            mode: Permission bits. Where none are given a file keeps those that it has, and a new one gets ``0o644``; give
                ``0o600`` to what others must not read.
            cwd: What a relative path is relative to.
        """
        params = {"path": path, "cwd": cwd}
        return cls.parse("file.write", params if mode is None else {**params, "mode": mode}, payload=content)

    @classmethod
    def in_order(cls, steps: Sequence["Task"], *, undo: Sequence["Task"] = ()) -> Self:
        """Do several tasks under one token, in this order, up to the first that fails.

        Args:
            steps: What is done; one alone is as good as the task itself.
            undo: What is done where a step failed or was ended, in this order; it is agreed to with the rest.
        """
        return cls(kind=STEPS, params=(), steps=(*steps, *undo), undo=len(undo))

    def to_json(self) -> dict[str, Json]:
        """Give the kind and the parameters as `parse` reads them; payload and steps travel beside them."""
        return {"kind": self.kind, "params": {name: thaw(value) for name, value in self.params}}

    @property
    def own(self) -> bool:
        """Whether its kind is one that the machine brings itself."""
        return self.spec is not None and bool(self.spec.argv)

    @property
    def command(self) -> tuple[str, ...]:
        """What is run, as it was asked: the words of a program; empty where the machine does it itself."""
        if self.spec is not None and self.own:
            return self.spec.command(dict(self.params))
        argv = dict(self.params).get("argv", ())
        return tuple(map(str, argv)) if isinstance(argv, tuple) else ()

    @property
    def title(self) -> str:
        """What a prompt calls it."""
        return self.spec.display_name if self.spec is not None else "Several steps"

    def display(self) -> str:
        """Give the one-line form that prompt and log show; control characters are escaped."""
        if not self.steps:
            return shell_words(_words(self))
        # As in a shell; neither sign stands outside of quotes in a step's own form.
        done, undone = (
            " && ".join(step.display() for step in part) for part in (self.forward, self.steps[len(self.forward) :])
        )
        return f"{done} || {{ {undone}; }}" if undone else done

    @property
    def forward(self) -> tuple["Task", ...]:
        """The steps that are done where none fails."""
        return self.steps[: len(self.steps) - self.undo]


def as_one(task: Task | Sequence[Task]) -> Task:
    """Give the task that does one or several; one alone stays what it is.

    Raises:
        TaskInvalidError: None, too many, or what is not a task.
    """
    if isinstance(task, Task):
        return task
    return task[0] if len(task) == 1 else Task.in_order(task)


def _words(task: Task) -> tuple[str, ...]:
    if not task.own:
        return words(task.kind, dict(task.params))
    return (task.kind, *(f"{name}={value}" for name, value in task.params if name != TIME))


def _check_steps(task: Task) -> None:
    """Refuse several that are none, too many, or hold what is not a step."""
    if task.kind != STEPS or task.params or task.payload is not None:
        raise TaskInvalidError("several tasks have neither parameters nor an input of their own")
    found: tuple[object, ...] = task.steps
    if not all(isinstance(step, Task) and step.kind != STEPS for step in found):
        raise TaskInvalidError("a step is a task that has no steps itself")
    if type(task.undo) is not int or not 0 <= task.undo < len(task.steps) <= MAX_STEPS:
        raise TaskInvalidError(f"there is at least one step, and there are at most {MAX_STEPS} with those that undo")
    if sum(len(step.payload or b"") for step in task.steps) > MAX_STEPS_INPUT_BYTES:
        raise TaskInvalidError(
            f"the steps' input is over {MAX_STEPS_INPUT_BYTES} bytes", hint="put it into files and name them"
        )


def _check_payload(payload: object, spec: KindSpec) -> None:
    if payload is not None and not isinstance(payload, bytes):
        raise TaskInvalidError(f"the input is bytes, not {type(payload).__name__}")
    if payload is not None and not spec.payload:
        raise TaskInvalidError(f"{spec.name} takes no input")
    if payload is not None and len(payload) > MAX_PAYLOAD_BYTES:
        raise TaskInvalidError(f"the input is over {MAX_PAYLOAD_BYTES} bytes", hint="put it into a file and name that")
