"""How every command ends: with its own status, or with one line of error, one of hint, and the status of the error's class."""

import sys

import typer

from elevate.client import tell
from elevate.errors import ElevateError, HostError, TaskInvalidError

_INTERRUPTED = 130
# What typer raises for a command line that it can't understand; it brings its own copy of click, or uses click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def run(app: typer.Typer, words: list[str], name: str) -> int:
    """Run one command line and give its exit status.

    Args:
        app: The commands.
        words: The command line after ``name``.
        name: What the person typed so far, as ``elevate`` or ``elevate audit``.
    """
    try:
        status = app(args=words, prog_name=name, standalone_mode=False)
    except _UsageError as error:
        return _misunderstood(error)
    except ElevateError as error:
        return _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except BrokenPipeError:
        return _quiet()
    except PermissionError as error:
        said = f"{error.filename or 'a file'} is not this user's to read or change"
        return _refuse(HostError(said, hint="ask as its owner, or as root"))
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
