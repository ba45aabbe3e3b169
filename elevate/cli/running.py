"""How every command ends: with its own status, or with one line of error, one of hint, and the status of the error's class."""

import errno
import os
import sys

import typer

from elevate.client import hold_standard_descriptors, tell
from elevate.errors import BrokerError, ElevateError, HostError, TaskInvalidError

_INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
# What typer raises for a command line that it can't understand; it brings its own copy of click, or uses click's.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


def run(app: typer.Typer, words: list[str], name: str) -> int:
    """Run one command line and give its exit status.

    Args:
        app: The commands.
        words: The command line after ``name``.
        name: What the person typed so far, as ``elevate`` or ``elevate audit``.
    """
    hold_standard_descriptors()
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - one that was closed
    try:
        status = _status(app, words, name)
        sys.stdout.flush()
    except BrokenPipeError:
        return _quiet()
    except OSError as error:
        return _unwritten(error)
    return status


def _status(app: typer.Typer, words: list[str], name: str) -> int:
    try:
        status = app(args=words, prog_name=name, standalone_mode=False)
    except SystemExit as end:
        # A reader that has gone: typer's status for it is 1, which is "tampered" or "found" here.
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    except _UsageError as error:
        return _misunderstood(error)
    except ElevateError as error:
        return _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except PermissionError as error:
        said = f"{error.filename or 'a file'} is not this user's to read or change"
        return _refuse(HostError(said, hint="ask as its owner, or as root"))
    return status if isinstance(status, int) else 0


def _refuse(error: ElevateError) -> int:
    sys.stdout.flush()
    tell(error)
    return error.exit_code


def _quiet() -> int:
    """The reader has gone: nothing more to say."""
    _drop_output()
    return 141


def _unwritten(error: OSError) -> int:
    """Say which file could not be read or written; of standard output the error has no name."""
    if error.filename is not None:
        return _refuse(BrokerError(f"{error.filename}: {error.strerror}", hint="check its name, its mode and the disk's space"))
    if error.errno not in _FULL:
        raise error
    _drop_output()
    return _refuse(BrokerError(f"the output can't be written: {error.strerror}", hint="part of it may be missing"))


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, so that the interpreter finds no error at its end either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _misunderstood(error: Exception) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        typer.echo(context.get_help())
        return 0
    message = str(getattr(error, "message", "") or error).rstrip(".") or "the command line can't be understood"
    where = context.command_path if context is not None else "elevate"
    return _refuse(TaskInvalidError(message[:1].lower() + message[1:], hint=f"see: {where} --help"))
