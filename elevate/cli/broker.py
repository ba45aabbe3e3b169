"""The commands that ask a running broker."""

from typing import Annotated

import typer

from elevate.canonical import Json
from elevate.cli.show import AsJson, print_json, print_members
from elevate.cli.task import spec_of, task_of
from elevate.kinds import KINDS
from elevate.library import connect
from elevate.text import escape

receipts = typer.Typer(help="What ended tasks left behind.", no_args_is_help=True)
Kind = Annotated[str, typer.Option("--kind", help="Kind of task; its parameters follow as NAME=VALUE.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="COMMAND…", help="The command, or the parameters of --kind.")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="Id of the request.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(context_settings={"allow_interspersed_args": False})(explain)
    app.command()(cancel)
    app.command()(status)
    app.add_typer(receipts, name="receipt")


def explain(words: Words = None, *, kind: Kind = "process.run", as_json: AsJson = False) -> None:
    """Say which rules decide about a task.

    And which nearly would. Nobody is asked.
    """
    known = task_of(KINDS[kind], words or []) if kind in KINDS else None
    with connect() as broker:
        found = broker.explain(known or task_of(spec_of(broker.kinds(), kind), words or []))
    text = str(found.pop("text", ""))
    if as_json:
        print_json(found)
    else:
        typer.echo(text)


def cancel(request: Request) -> None:
    """Stop an own request, wherever it stands."""
    with connect() as broker:
        broker.cancel(request)
    typer.echo(f"cancelled {request}")


def status(*, as_json: AsJson = False) -> None:
    """Say how the broker is."""
    with connect() as broker:
        found = broker.status()
    print_json(found) if as_json else print_members(found)


def reload(*, as_json: AsJson = False) -> None:
    """Let the broker read its policy folder again.

    A bad one changes nothing. For root or the broker's own user.
    """
    with connect() as broker:
        found = broker.reload_policy()
    print_json(found) if as_json else print_members(found)


@receipts.command("show")
def receipt_show(request: Request, *, as_json: AsJson = False) -> None:
    """Show what an ended task was, how it ended, and what it wrote."""
    with connect() as broker:
        found = broker.receipt(request)
    if as_json:
        print_json(found)
        return
    steps, written, undo = (_tables(found.pop(name, [])) for name in ("steps", "written", "undo"))
    print_members(found)
    for one in steps:
        ended = one["problem"] or (f"exit {one['exit_status']}" if one["signal"] is None else f"signal {one['signal']}")
        typer.echo(f"  {one['step']:>2}. {escape(str(ended)):8} as {one['as']}: {one['task']}")
    for one in written:
        typer.echo(f"  {one['change']:8} {escape(str(one['path']))}")
    for one in undo:
        what = next((str(one[name]) for name in ("display", "path", "setting", "package") if name in one), "")
        typer.echo(f"  to undo: {one['do']} {what if 'display' in one else escape(what)}")


def _tables(value: Json) -> list[dict[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
