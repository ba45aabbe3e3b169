"""What the audit commands share: where the ledger is, and how output is chosen."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from elevate import wire
from elevate.audit.entry import Entry
from elevate.audit.view import Line
from elevate.errors import AuditError

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
State = Annotated[Path | None, typer.Option("--state", help="Folder of the broker; your own by default.", show_default=False)]


def ledger_path(state: Path | None) -> Path:
    """Give the ledger's file of a broker's folder; the user's own where none is given.

    Raises:
        AuditError: None is there.
    """
    folder = state or Path(wire.home(os.getuid())) / ".local/share/elevate"
    path = folder / "ledger.sqlite"
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
