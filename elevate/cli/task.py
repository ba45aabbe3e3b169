"""``elevate task``: the kinds of task that this machine has, and one of them done."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from elevate.canonical import Json
from elevate.cli.show import AsJson, print_json
from elevate.errors import TaskInvalidError, TaskKindUnknownError
from elevate.kinds import KindSpec
from elevate.library import connect
from elevate.params import ParamSpec, ParamType
from elevate.tasks import Task
from elevate.text import escape, shell_words

Kind = Annotated[str, typer.Argument(metavar="KIND", help="As service.control; elevate task list names them.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="NAME=VALUE…", help="The parameters.")]
Reason = Annotated[str, typer.Option("-r", "--reason", help="Why; shown in the prompt and kept in the log.")]

app = typer.Typer(help="Kinds of task, this machine's own among them.", no_args_is_help=True)


@app.command("list")
def list_kinds(*, as_json: AsJson = False) -> None:
    """List the kinds."""
    with connect() as broker:
        kinds = broker.kinds()
    if as_json:
        print_json([spec.to_json() for _, spec in sorted(kinds.items())])
        return
    width = max(map(len, kinds))
    for name, spec in sorted(kinds.items()):
        typer.echo(f"{name:{width}}  {escape(spec.display_name)}{'  (own)' if spec.argv else ''}")


@app.command()
def show(kind: Kind, *, as_json: AsJson = False) -> None:
    """Show a kind's name, parameters and bounds.

    Of one of the machine's own, what it runs, too.
    """
    with connect() as broker:
        spec = spec_of(broker.kinds(), kind)
    if as_json:
        print_json(spec.to_json())
        return
    typer.echo(f"{spec.name}: {escape(spec.display_name)}")
    if spec.argv:
        typer.echo(f"  runs  {shell_words(spec.argv)}")
    for name, param in sorted(spec.params.items()):
        default = "" if param.default is None else f"; {shell_words((str(param.default),))} if not given"
        typer.echo(f"  {name}: {_bound(param)}{default}")


@app.command()
def run(kind: Kind, words: Words = None, *, reason: Reason = "") -> None:
    """Do one task of a kind, once.

    As `elevate run` does a command; its exit status is passed on.
    """
    with connect() as broker:
        task = task_of(spec_of(broker.kinds(), kind), words or [])
        with broker.elevate(task, reason=reason) as grant:
            outcome = grant.run()
    if outcome.signal is not None:
        sys.stdout.flush()
        os.kill(os.getpid(), outcome.signal)
    raise typer.Exit(outcome.exit_status if outcome.exit_status is not None else 128 + (outcome.signal or 0))


def task_of(spec: KindSpec, words: list[str]) -> Task:
    """Make the task that a command line means.

    Raises:
        TaskInvalidError: The parameters are not of that kind.
    """
    if spec.name == "process.run":
        return Task.run(words, cwd=str(Path.cwd()))
    params: dict[str, Json] = {"cwd": str(Path.cwd())} if "cwd" in spec.params else {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise TaskInvalidError("a parameter is NAME=VALUE", hint=f"see: elevate task show {spec.name}")
        params[name] = _typed(spec.params.get(name), name, value)
    return Task.parse(spec.name, params, kinds={spec.name: spec})


def spec_of(kinds: Mapping[str, KindSpec], kind: str) -> KindSpec:
    """Give the kind of a name.

    Raises:
        TaskKindUnknownError: The machine has none.
    """
    if kind not in kinds:
        raise TaskKindUnknownError(f"this machine has no kind of task called {escape(kind)}", hint="see: elevate task list")
    return kinds[kind]


def _typed(param: ParamSpec | None, name: str, value: str) -> Json:
    match param.type if param else None:
        case ParamType.MODE:
            return _number(name, value, 8)
        case ParamType.SECONDS | ParamType.NUMBER:
            return _number(name, value, 10)
        case _:
            return value


def _number(name: str, value: str, base: int) -> int:
    try:
        return int(value, base)
    except ValueError as exc:
        raise TaskInvalidError(f"the parameter {name} is not a number") from exc


def _bound(param: ParamSpec) -> str:
    match param.type:
        case ParamType.TEXT:
            return f"text like {escape(param.pattern)}"
        case ParamType.NUMBER:
            return f"a number from {param.least} to {param.most}"
        case _:
            return param.type.value
