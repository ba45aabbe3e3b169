"""``elevate audit``: read the log and check it.

What is asked of the log is asked of the broker that runs, or of the ledger's file (`elevate.cli.audit_source`); what is checked
as a whole, published or cosigned is read from the file. On a terminal they print for people, into a pipe JSON lines.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Annotated

import typer

from elevate.audit import Entry
from elevate.audit.view import Line, line, timeline
from elevate.cli.audit_common import HEADER, Json, State, as_json, entry_json, json_line, line_text
from elevate.cli.audit_export import export, html, publish
from elevate.cli.audit_keep import cosign, erase, prune, rotate_key
from elevate.cli.audit_proofs import check, checkpoint, consistency, key, prove
from elevate.cli.audit_report import report
from elevate.cli.audit_search import search
from elevate.cli.audit_source import source
from elevate.cli.audit_verify import verify

app = typer.Typer(
    help="Read the log and check it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(verify)
app.command()(prove)
app.command()(check)
app.command()(checkpoint)
app.command()(consistency)
app.command()(key)
app.command()(search)
app.command()(report)
app.command()(export)
app.command()(html)
app.command()(publish)
app.command()(erase)
app.command()(prune)
app.command("rotate-key")(rotate_key)
app.command()(cosign)


@app.command()
def tail(
    count: Annotated[int, typer.Option("-n", "--lines", min=0, help="So many of the last entries.")] = 20,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """Show the last entries.

    Of a machine's broker everybody sees those of own requests.
    """
    with source(state) as log:
        sys.stdout.write("" if as_json(json=json) else HEADER)
        if not follow:
            show_entries(log.last(count), json=json)
            return
        for entries in log.follow(count):
            show_entries(entries, json=json)
            sys.stdout.flush()


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a request or a token, or the beginning of a request's.")],
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Show one token's life, from the request to its end."""
    with source(state) as log:
        request, found, proven = log.life(name)
    if as_json(json=json):
        for entry in found:
            sys.stdout.write(json_line(entry_json(entry)))
        return
    sys.stdout.write(f"request {request}\n")
    for number, shown in enumerate(timeline(found, proven)):
        sys.stdout.write(timeline_text(shown, first=number == 0))


def show_entries(entries: Iterable[Entry], *, json: bool) -> None:
    """Print entries, one line each."""
    text: Callable[[Entry], str] = (
        (lambda entry: json_line(entry_json(entry))) if as_json(json=json) else (lambda entry: line_text(line(entry)))
    )
    for entry in entries:
        sys.stdout.write(text(entry))


def timeline_text(shown: Line, *, first: bool) -> str:
    """Give one step of ``show``, with the way that leads to it."""
    mark = {True: "✓", False: "✗", None: "●"}[shown.proven]
    way = "" if first else f"  │  +{shown.took_ms:.1f} ms\n"
    text = f"{way}  {mark}  {shown.at}  {shown.event:16} {shown.who}".rstrip() + f"  [{shown.seq}]\n"
    return text + (f"  │  {shown.what}\n" if shown.what else "")
