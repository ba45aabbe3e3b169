"""What the audit commands share: where the ledger is, and how output is chosen."""

import errno
import os
import stat
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from elevate.audit.entry import Entry
from elevate.audit.view import Line
from elevate.broker.home import Home
from elevate.cli.whose import MACHINE, broker_home
from elevate.errors import AuditError

_NO_ANCHOR = "name a checkpoint that was kept; elevate audit checkpoint -o FILE keeps the one of now"
MAX_ANCHOR_BYTES = 1_000_000

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        help="Use the ledger's file in this broker's folder; by default the broker that runs, or your own file.",
        show_default=False,
    ),
]


def ledger_path(state: Path | None) -> Path:
    """Give the ledger's file of a broker's folder; for root the machine's where none is given, else the user's own.

    Raises:
        AuditError: None is there.
    """
    path = (Home(state) if state else broker_home()).ledger
    if not path.exists():
        ours = "name the broker's folder with --state"
        roots = state is None and MACHINE.exists() and os.geteuid() != 0
        hint = "the machine's log is a file of root's: ask root, or check a proof or an exported copy" if roots else ours
        raise AuditError(f"no log is there: {path}", hint=hint)
    return path


def as_json(*, json: bool) -> bool:
    """Say whether to print JSON: when asked to, and into a pipe."""
    return json or not sys.stdout.isatty()


def json_line(value: object) -> str:
    """Give one line of JSON."""
    return orjson.dumps(value).decode() + "\n"


def entry_json(entry: Entry) -> dict[str, object]:
    """Give an entry as it is printed as JSON."""
    return asdict(entry)


HEADER = f"{'entry':>8}  {'time, UTC':24}  {'request':8}  {'event':16} {'who':16} what\n"
"""Above the lines of `line_text`."""


def line_text(shown: Line) -> str:
    """Give one line of ``tail``."""
    return f"{shown.seq:>8}  {shown.at}  {shown.request[:8]:8}  {shown.event:16} {shown.who:16} {shown.what}".rstrip() + "\n"


def read_kept(path: Path, hint: str = _NO_ANCHOR) -> str:
    """Read a file that was kept: a checkpoint or a proof; ``hint`` says where one is from.

    Raises:
        AuditError: It is not there, or can't be read.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_ANCHOR_BYTES)
    except FileNotFoundError as exc:
        raise AuditError(f"no such file: {path}", hint=hint) from exc
    except OSError as exc:
        raise AuditError(f"can't be read: {path}: {exc.strerror}", hint="only who may read the file can use it") from exc
    except ValueError as exc:
        raise AuditError(f"that is no text, so neither a checkpoint nor a proof: {path}", hint=hint) from exc


def checkpoint_in(path: Path) -> str:
    """Read a file that was kept, and give the checkpoint that it is, or holds as a proof does.

    Raises:
        AuditError: It can't be read, or there is none in it.
    """
    from elevate.audit.notes import Checkpoint, Note

    note = note_in(read_kept(path))
    try:
        Checkpoint.parse(Note.parse(note).text)
    except AuditError as exc:
        raise AuditError(f"that is not a checkpoint: {path}", hint=_NO_ANCHOR) from exc
    return note


def note_in(content: str) -> str:
    """Give the checkpoint that a file is, or the one in a proof.

    Raises:
        AuditError: It is a damaged proof.
    """
    from elevate.audit.proof import HEADER, Proof

    return Proof.parse(content).note if content.startswith(HEADER) else content


def write_own(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, durably, for nobody else to read: it names people.

    A device, as /dev/null, takes the text as it is: to put a file in its place would destroy it.

    Raises:
        OSError: It can't be written, or is a link, a pipe or a folder.
    """
    kind = _kind(path)
    if stat.S_ISCHR(kind):
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC), "w", encoding="utf-8"
        ) as device:
            device.write(text)
        return
    if kind and not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _kind(path: Path) -> int:
    """Give what is there, of a link the link; 0 where nothing is."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0
