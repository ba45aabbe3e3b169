"""What the audit commands share: where the ledger is, and how output is chosen."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from elevate.audit.entry import Entry
from elevate.audit.view import Line
from elevate.broker.home import Home
from elevate.cli.whose import broker_home
from elevate.errors import AuditError

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
        raise AuditError(f"no log is there: {path}", hint="name the broker's folder with --state")
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


def line_text(shown: Line) -> str:
    """Give one line of ``tail``."""
    return f"{shown.seq:>8}  {shown.at}  {shown.request[:8]:8}  {shown.event:16} {shown.who:16} {shown.what}".rstrip() + "\n"


def write_own(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, durably, for nobody else to read: it names people.

    Raises:
        OSError: It can't be written.
    """
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
