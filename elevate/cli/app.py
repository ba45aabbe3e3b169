"""``elevate``: every command but ``run`` and ``serve``, which the door hands to the thin client and to the daemon.

A command parses, calls the library or a room, and prints. An error of ours leaves as one line ``elevate: error: …``, one
``elevate: hint: …`` and its class's exit status; a command line that can't be understood leaves as status 125.
"""

from typing import Annotated

import typer

from elevate import __version__
from elevate.cli import account, apply, audit, broker, hello, lab, policy, registry, setup, task, token
from elevate.cli.running import run
from elevate.server.main import USAGE as SERVE_USAGE
from elevate.words import USAGE as RUN_USAGE

app = typer.Typer(
    name="elevate",
    help="Give admin to one task, once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(*, version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    if version:
        typer.echo(f"elevate {__version__}")
        raise typer.Exit


def _usage(text: str) -> None:
    typer.echo(text, nl=False)


app.command("run", help="Run one command with admin rights, once.")(lambda: _usage(RUN_USAGE))
app.command("serve", help="Run the broker in the foreground.")(lambda: _usage(SERVE_USAGE))
setup.register(app)
broker.register(app)
apply.register(app)
app.add_typer(task.app, name="task")
app.add_typer(token.app, name="token")
app.add_typer(hello.app, name="hello")
policy.app.command("reload")(broker.reload)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(lab.app, name="lab")
app.add_typer(registry.app, name="registry")
app.add_typer(account.app, name="account")


def main(words: list[str]) -> int:
    """Run one command line and give its exit status."""
    return run(app, words, "elevate")
