"""``elevate audit``: read the log and check it.

These commands read the ledger's file, beside a running broker or without one; none of them changes it. On a terminal they print
for people, into a pipe JSON lines.
"""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer

from elevate import wire
from elevate.audit import Entry, Verdict, verify_chain
from elevate.audit.chain import Anchor
from elevate.audit.view import Line, line, timeline
from elevate.errors import AuditError
from elevate.store.reader import LedgerReader

FOLLOW_SECONDS = 0.3

app = typer.Typer(help="Read the log and check it.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
State = Annotated[Path | None, typer.Option("--state", help="Folder of the broker; your own by default.", show_default=False)]


def ledger_path(state: Path | None) -> Path:
    """Give the ledger's file of a broker's folder; the user's own where none is given."""
    import os

    folder = state or Path(wire.home(os.getuid())) / ".local/share/elevate"
    path = folder / "ledger.sqlite"
    if not path.exists():
        raise AuditError(f"no log is there: {path}", hint="name the broker's folder with --state")
    return path


@app.command()
def tail(
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="So many of the last entries.")] = 20,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """Show the last entries."""
    with LedgerReader(ledger_path(state)) as reader:
        size = reader.size()
        show_entries(reader.opened(max(size - count, 0), size), json=json)
        while follow:
            sys.stdout.flush()
            time.sleep(FOLLOW_SECONDS)
            grown = reader.size()
            show_entries(reader.opened(size, grown), json=json)
            size = grown


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a request or a token, or the beginning of a request's.")],
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Show one token's life, from the request to its end."""
    with LedgerReader(ledger_path(state)) as reader:
        request = reader.find(name)
        found = reader.opened_of(request)
    if as_json(json=json):
        for entry in found:
            sys.stdout.write(json_line(entry_json(entry)))
        return
    sys.stdout.write(f"request {request}\n")
    for number, shown in enumerate(timeline(found, [None] * len(found))):
        sys.stdout.write(timeline_text(shown, first=number == 0))


@app.command()
def verify(
    anchor: Annotated[str, typer.Option(metavar="SIZE:HASH", help="What was kept outside: size and hash of the head.")] = "",
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Check the whole log. Exit status: 0 verified, 1 tampered, 2 incomplete."""
    with LedgerReader(ledger_path(state)) as reader:
        verdict = verify_chain(reader.entries(), read_anchor(anchor) if anchor else None)
    if as_json(json=json):
        sys.stdout.write(json_line(asdict(verdict)))
    else:
        sys.stdout.write(verdict_text(verdict))
    raise typer.Exit(verdict.exit_code)


def read_anchor(text: str) -> Anchor:
    """Read ``SIZE:HASH``."""
    size, _, head = text.partition(":")
    if not size.isdecimal() or len(head) != 64 or set(head) - set("0123456789abcdef"):  # noqa: PLR2004 - SHA-256
        raise AuditError("an anchor is SIZE:HASH", hint="elevate audit verify --json prints size and head")
    return Anchor(size=int(size), head=head)


def as_json(*, json: bool) -> bool:
    """Say whether to print JSON: when asked to, and into a pipe."""
    return json or not sys.stdout.isatty()


def json_line(value: object) -> str:
    """Give one line of JSON."""
    return orjson.dumps(value).decode() + "\n"


def entry_json(entry: Entry) -> dict[str, object]:
    """Give an entry as it is printed as JSON."""
    return asdict(entry)


def show_entries(entries: Iterable[Entry], *, json: bool) -> None:
    """Print entries, one line each."""
    text: Callable[[Entry], str] = (
        (lambda entry: json_line(entry_json(entry))) if as_json(json=json) else (lambda entry: line_text(line(entry)))
    )
    for entry in entries:
        sys.stdout.write(text(entry))


def line_text(shown: Line) -> str:
    """Give one line of ``tail``."""
    return f"{shown.seq:>8}  {shown.at}  {shown.request[:8]:8}  {shown.event:16} {shown.who:16} {shown.what}".rstrip() + "\n"


def timeline_text(shown: Line, *, first: bool) -> str:
    """Give one step of ``show``, with the way that leads to it."""
    mark = {True: "✓", False: "✗", None: "●"}[shown.proven]
    way = "" if first else f"  │  +{shown.took_ms:.1f} ms\n"
    text = f"{way}  {mark}  {shown.at}  {shown.event:16} {shown.who}".rstrip() + f"  [{shown.seq}]\n"
    return text + (f"  │  {shown.what}\n" if shown.what else "")


def verdict_text(verdict: Verdict) -> str:
    """Give the verdict for people."""
    text = f"{verdict.outcome.value}: {verdict.message}\n"
    if verdict.size and verdict.position < 0:
        text += f"head: {verdict.size}:{verdict.head}\n"
    return text
