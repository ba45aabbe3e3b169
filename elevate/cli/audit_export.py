"""``elevate audit export``, ``html`` and ``publish``: the log for others."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from elevate.audit import Outcome, Verdict
from elevate.audit.notes import decimal
from elevate.cli.audit_common import State, ledger_path, write_own
from elevate.cli.audit_report import A_WEEK, WORKING, ZONE, Words, Working, Zone, report_of, working
from elevate.cli.audit_source import source
from elevate.cli.audit_verify import run, without_index
from elevate.errors import AuditError, StoreError, StoreUnwritableError
from elevate.store.bounded import read_at_most
from elevate.store.reader import LedgerReader

Format = Annotated[str, typer.Option("--format", "-F", help="One of jsonl, ocsf, rfc5424, windows, csv.")]


def export(
    form: Format = "jsonl",
    *,
    start: Annotated[int, typer.Option("--from", min=0, help="First position.")] = 0,
    cursor: Annotated[
        Path | None, typer.Option(help="File that remembers the next position; the export goes on there.")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes.")] = False,
    state: State = None,
) -> None:
    """Write entries for other programs. What was exported is out of reach of a later erasure."""
    from elevate.audit.export import HEADERS, WRITERS

    if form not in WRITERS:
        raise AuditError(f"there is no format {form!r}", hint=f"the formats are {', '.join(WRITERS)}")
    position = read_cursor(cursor) if cursor else start
    sys.stdout.write(HEADERS.get(form, "") if position == 0 else "")
    with source(state) as log:
        for lines, after in log.batches(position, follow=follow):
            sys.stdout.write("".join(WRITERS[form](*line) for line in lines))
            sys.stdout.flush()
            if cursor:
                # Written after the lines: a crash in between repeats lines and never leaves one out.
                write_cursor(cursor, after)


def html(
    file: Annotated[Path, typer.Argument(help="The page to write.")],
    words: Words = None,
    *,
    hours: Working = WORKING,
    zone: Zone = ZONE,
    state: State = None,
) -> None:
    """Write one page that needs nothing else.

    It has the timeline, a heat map of users by hour, the outcomes, and the state of the proof, of what you may see.
    """
    from elevate.audit.page import KEPT, page

    with source(state) as log:
        told, found = report_of(log, " ".join(words or [A_WEEK]), working(hours, zone), keep=KEPT)
        key = log.log_keys()[0]
    text = page(found, told, _verdict(state, key), key)
    try:
        write_own(file, text)
    except OSError as exc:
        raise StoreUnwritableError(f"the page can't be written: {exc.strerror}: {file}") from exc


def _verdict(state: Path | None, key: str) -> Verdict:
    """Verify the log whose key this is, where its file can be read; else say that nobody did."""
    from elevate.store.checking import Plan

    try:
        path = ledger_path(state)
        with LedgerReader(path) as reader:
            if reader.keys()[0] == key:
                return without_index(path, run(Plan(path)))
    except (AuditError, StoreError):
        pass  # no file, or none that this user may read
    why = "the log was not verified for this page: that takes its file, which the broker's owner reads"
    return Verdict(outcome=Outcome.INCOMPLETE, size=0, head="", message=why)


def publish(
    folder: Annotated[Path, typer.Argument(help="Where the tiles go.")],
    *,
    state: State = None,
) -> None:
    """Write the log as C2SP tlog-tiles, up to its last checkpoint."""
    from elevate.store.publishing import publish as publish_tiles

    with LedgerReader(ledger_path(state)) as reader:
        count = publish_tiles(reader, folder, reader.note())
    sys.stdout.write(f"{count} files written to {folder}\n")


def read_cursor(path: Path) -> int:
    """Give the position that a cursor file remembers; 0 where there is no such file yet.

    Raises:
        AuditError: It holds something else.
    """
    try:
        text = read_at_most(path, 1).decode("ascii").strip()
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as exc:
        raise AuditError(f"the cursor can't be read: {path}") from exc
    if decimal(text) < 0:
        raise AuditError(f"the cursor holds no position: {path}", hint="remove the file to export from the beginning")
    return int(text)


def write_cursor(path: Path, position: int) -> None:
    """Remember a position, durably.

    Raises:
        StoreUnwritableError: It can't be written.
    """
    try:
        write_own(path, f"{position}\n")
    except OSError as exc:
        raise StoreUnwritableError(f"the cursor can't be written: {exc.strerror}: {path}") from exc
