"""``elevate``: every command but ``run`` and ``serve``, which the door hands to the thin client and to the daemon.

A command parses, calls the library or a room, and prints. An error of ours leaves as one line ``elevate: error: …``, one
``elevate: hint: …`` and its class's exit status; a command line that can't be understood leaves as status 125.
"""

import sys
from typing import Annotated

import typer

from elevate import __version__
from elevate.cli import audit, broker, hello, lab, policy, setup, token
from elevate.client import USAGE as RUN_USAGE
from elevate.client import tell
from elevate.errors import ElevateError, TaskInvalidError
from elevate.server.main import USAGE as SERVE_USAGE

_INTERRUPTED = 130
# What typer raises for a command line that it can't understand; it brings its own copy of click, or uses click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

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
app.add_typer(token.app, name="token")
app.add_typer(hello.app, name="hello")
policy.app.command("reload")(broker.reload)
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(lab.app, name="lab")


def main(words: list[str]) -> int:
    """Run one command line and give its exit status."""
    try:
        status = app(args=words, prog_name="elevate", standalone_mode=False)
    except _UsageError as error:
        return _misunderstood(error)
    except ElevateError as error:
        return _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        return _quiet()
    return status if isinstance(status, int) else 0


def _refuse(error: ElevateError) -> int:
    sys.stdout.flush()
    tell(error)
    return error.exit_code


def _quiet() -> int:
    """The reader has gone: nothing more to say, and no error at the interpreter's end either."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 141


def _misunderstood(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help())
        return 0
    message = str(getattr(error, "message", "") or error).rstrip(".") or "the command line can't be understood"
    where = context.command_path if context is not None else "elevate"
    return _refuse(TaskInvalidError(message[:1].lower() + message[1:], hint=f"see: {where} --help"))
