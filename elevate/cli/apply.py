"""``elevate apply``: several steps from a file, under one agreement."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from elevate.cli.show import AsJson, print_json
from elevate.library import Connection, connect
from elevate.outcome import Outcome, Progress
from elevate.planning import plan
from elevate.stepfile import read
from elevate.tasks import Task
from elevate.text import escape

File = Annotated[Path, typer.Argument(metavar="FILE", help="Steps in TOML, or in JSON where it ends in .json.")]
Reason = Annotated[str, typer.Option("-r", "--reason", help="Why; shown in the prompt and kept in the log.")]
Plan = Annotated[bool, typer.Option("--plan", help="Say what would be asked for each step, and ask nobody.")]
NonInteractive = Annotated[bool, typer.Option("-n", "--non-interactive", help="Ask nothing on the terminal.")]

EPILOG = """\
A table [[step]] is a task: its kind, and the parameters of that kind (argv; path; package; key, name and value; service and
action). A program may have input or input_from, a file needs content or content_from. Tables [[undo]] are done where a step
fails. The exit status is that of the step that failed, or 0.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(apply)


def apply(
    file: File,
    *,
    reason: Reason = "",
    plan_only: Plan = False,
    non_interactive: NonInteractive = False,
    as_json: AsJson = False,
) -> int:
    """Do several tasks from a file, in order.

    They run with admin rights after one agreement to all of them.
    """
    with connect() as broker:
        task = read(file, broker.kinds())
        if plan_only:
            return _plan(broker, task, as_json=as_json)
        with broker.elevate(task, reason=reason, interactive=not non_interactive) as grant:
            outcome = grant.run(capture=as_json, on_progress=_tell)
    if as_json:
        print_json(dict(outcome.receipt))
    return _status(outcome)


def _plan(broker: Connection, task: Task, *, as_json: bool) -> int:
    planned = plan(broker, task.steps)
    if as_json:
        names = ("needs_admin", "outcome", "why")
        print_json([{"task": one.task.display(), **{name: getattr(one, name) for name in names}} for one in planned])
    else:
        for number, one in enumerate(planned, 1):
            typer.echo(f"{number:>2}. {one.outcome:<10} {one.task.display()}")
            typer.echo("\n".join(f"      {escape(why)}" for why in one.why))
    return 0 if all(one.possible for one in planned) else 1


def _tell(progress: Progress) -> None:
    what = _ended(progress) if progress.ended else progress.task
    if what:
        step = "undo" if progress.undo else f"step {progress.step} of {progress.steps}"
        sys.stdout.flush()
        typer.echo(f"elevate: {step}: {what}", err=True)


def _ended(progress: Progress) -> str:
    """Say how a step ended that did not end well."""
    if progress.problem:
        return f"can't be started: {escape(progress.problem)}"
    if progress.timed_out:
        return "its time limit ended it"
    if progress.signal is not None:
        return f"ended by signal {progress.signal}"
    return f"exit status {progress.exit_status}" if progress.exit_status else ""


def _status(outcome: Outcome) -> int:
    if outcome.exit_status is not None:
        return outcome.exit_status
    return 128 + (outcome.signal or 0)
