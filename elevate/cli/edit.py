"""``elevate edit FILE``: edited as the user, written as admin.

The editor runs with the user's own rights on a private copy; only the writing is a task (``file.write``), and its prompt shows
the digest of what will be written. A file that the user can't read is read by a task first. Nothing is written where nothing
changed. A link is refused, by the broker too.

Source: sudoedit in sudo(8); CVE-2023-22809, CVE-2021-23240.
"""

import os
import shlex
import stat
import subprocess
import tempfile
from pathlib import Path, PureWindowsPath
from typing import Annotated

import typer

from elevate.errors import BrokerError, TaskInvalidError
from elevate.library import Connection, connect
from elevate.tasks import MAX_PAYLOAD_BYTES, Task

EDITORS = ("ELEVATE_EDITOR", "SUDO_EDITOR", "VISUAL", "EDITOR")


def edit(
    file: Annotated[Path, typer.Argument(help="The file.", readable=False)],
    *,
    reason: Annotated[str, typer.Option("-r", "--reason", help="Why; shown in the prompt and kept in the log.")] = "",
) -> None:
    """Edit a file as yourself; it is written as admin, once."""
    target = file if PureWindowsPath(file).drive else Path.cwd() / file  # the emulated machine's own drive is no folder here
    there = _is_there(target)
    with connect() as broker, tempfile.TemporaryDirectory(prefix="elevate-edit-") as folder:
        before = _content(broker, target, reason) if there else b""
        copy = Path(folder) / PureWindowsPath(target).name
        copy.write_bytes(before)
        _run_editor(copy)
        after = _edited(copy)
        if after == before and there:
            typer.echo(f"{file}: not changed")
            return
        task = Task.write(str(target), after)  # with the permission bits that it has
        with broker.elevate(task, reason=reason) as grant:
            outcome = grant.run()
    if outcome.exit_status != 0:
        raise BrokerError(f"{file} was not written", hint=f"see: elevate receipt show {grant.request}")
    typer.echo(f"{file}: written")


def _is_there(target: Path) -> bool:
    """Say whether the file is there; where the user can't look, the broker will.

    Raises:
        TaskInvalidError: It is a link, or no file.
    """
    try:
        found = target.lstat()
    except OSError as exc:
        return not isinstance(exc, FileNotFoundError)
    if not stat.S_ISREG(found.st_mode):
        raise TaskInvalidError(f"{target} is not a plain file", hint="give the file itself, not a link to it")
    return True


def _content(broker: Connection, target: Path, reason: str) -> bytes:
    try:
        fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        with broker.elevate(Task.run(["cat", "--", str(target)]), reason=reason) as grant:
            outcome = grant.run(capture=True)
        if outcome.exit_status != 0:
            raise BrokerError(f"{target} can't be read", hint="see the broker's log") from None
        return outcome.stdout
    except OSError as exc:
        raise TaskInvalidError(f"{target} can't be read: {exc.strerror}") from exc
    with os.fdopen(fd, "rb") as file:
        return file.read(MAX_PAYLOAD_BYTES + 1)


def _run_editor(copy: Path) -> None:
    chosen = next((os.environ[name] for name in EDITORS if os.environ.get(name)), "vi")
    try:
        # A bare -- keeps the editor from taking anything in the name for an option of its own.
        done = subprocess.run([*shlex.split(chosen), "--", str(copy)], check=False)
    except (OSError, ValueError) as exc:
        raise TaskInvalidError(f"the editor {chosen} can't be started", hint="set EDITOR") from exc
    if done.returncode != 0:
        raise TaskInvalidError(f"the editor ended with status {done.returncode}; nothing was written", hint="edit it again")


def _edited(copy: Path) -> bytes:
    try:
        with copy.open("rb") as file:
            after = file.read(MAX_PAYLOAD_BYTES + 1)
    except OSError as exc:
        raise TaskInvalidError("the editor left no file; nothing was written", hint="edit it again") from exc
    if len(after) > MAX_PAYLOAD_BYTES:
        raise TaskInvalidError(f"the file is over {MAX_PAYLOAD_BYTES} bytes", hint="nothing was written")
    return after
