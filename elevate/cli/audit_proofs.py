"""``elevate audit prove``, ``check``, ``checkpoint``, ``consistency`` and ``key``: what is shown of the log to others.

Asked of the broker everybody gets proofs of own entries, and what tells of nobody: the keys, checkpoints, and that one log is
the beginning of another. What is checked is checked with nothing but the log's key.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from elevate.audit import parse
from elevate.audit.notes import VerifierKey, decimal
from elevate.cli.audit_common import (
    MAX_ANCHOR_BYTES,
    Json,
    State,
    as_json,
    json_line,
    ledger_path,
    note_in,
    read_kept,
    write_own,
)
from elevate.cli.audit_source import source
from elevate.errors import AuditError, StoreUnwritableError
from elevate.store.reader import LedgerReader

Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write it to this file.", show_default=False)]


def prove(
    name: Annotated[str, typer.Argument(metavar="POSITION", help="Position of the entry, as tail and show print it.")],
    *,
    archive: Annotated[Path | None, typer.Option(help="Archive that prune wrote, where the entry is there.")] = None,
    note: Annotated[Path | None, typer.Option(help="Checkpoint to prove against, as one that a witness cosigned.")] = None,
    output: Output = None,
    state: State = None,
) -> None:
    """Print a proof that one entry is in the log.

    It holds without the log. Of a machine's broker everybody gets proofs of own entries. With --archive or --note the ledger's
    file is read.
    """
    if decimal(name) < 0:
        raise AuditError("an entry is named by its position", hint="elevate audit show ID prints the positions in brackets")
    if archive or note:
        _write(_proof_from_file(int(name), archive, note, state), output)
        return
    with source(state) as log:
        _write(log.prove(int(name)), output)


def check(
    file: Annotated[typer.FileText, typer.Argument(help="A proof that prove wrote; - for standard input.")],
    log_key: Annotated[str, typer.Option("--key", help="The log's key as it was kept.")],
    *,
    witness: Annotated[
        list[str] | None, typer.Option(help="Key of a witness that must have cosigned; may be given again.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a proof, with nothing but the log's key."""
    from elevate.audit.proof import check as check_proof

    keys = [VerifierKey.parse(text) for text in witness or ()]
    try:
        text = file.read(MAX_ANCHOR_BYTES)
    except ValueError as exc:
        raise AuditError("that is not a proof", hint="elevate audit prove writes one") from exc
    proven = check_proof(text, VerifierKey.parse(log_key), witnesses=keys)
    if as_json(json=json):
        sys.stdout.write(
            json_line({"entry": asdict(proven.entry), "size": proven.checkpoint.size, "witnesses": proven.witnesses})
        )
        return
    seen = "".join(f", seen by {name}" for name, _ in proven.witnesses)
    sys.stdout.write(f"proven: entry {proven.entry.seq} ({proven.entry.event}) of {proven.checkpoint.origin}{seen}\n")


def checkpoint(*, output: Output = None, state: State = None) -> None:
    """Print a signed checkpoint.

    Kept elsewhere it is an anchor for verify. A running broker signs over all that is there; of a file it is the last one
    that was signed.
    """
    with source(state) as log:
        _write(log.checkpoint(), output)


def consistency(  # noqa: PLR0913 - two files, the proof from one place or to another, and how to print
    old: Annotated[Path, typer.Argument(help="The older checkpoint, as it was kept; or a proof, which holds one.")],
    new: Annotated[Path, typer.Argument(help="The newer one.")],
    *,
    log_key: Annotated[
        list[str] | None, typer.Option("--key", help="A key of the log as it was kept; again where it was rotated.")
    ] = None,
    proof: Annotated[Path | None, typer.Option(help="Check this proof; the log is not needed.", show_default=False)] = None,
    output: Output = None,
    json: Json = False,
    state: State = None,
) -> None:
    """Show that one checkpoint's log is the beginning of another's.

    So nothing was changed or dropped in between. Without --proof the proof is made from the log and checked; -o keeps it for
    others. Without --key the log's word is taken for its keys.
    """
    from elevate.audit.consistency import check as check_consistency
    from elevate.audit.consistency import signed, write

    older, newer = note_in(read_kept(old)), note_in(read_kept(new))
    keys = [VerifierKey.parse(text) for text in log_key or ()]
    if proof is not None:
        if not keys:
            raise AuditError("a proof is checked with the log's key", hint="--key KEY, as it was kept")
        text = read_kept(proof)
    else:
        with source(state) as log:
            keys = keys or [VerifierKey.parse(text) for text in log.log_keys()]
            first, last = signed(older, newer, keys)
            text = write(newer, first.size, log.consistency(first.size, last.size))
    found = check_consistency(text, older, newer, keys)
    if output is not None:
        _write(text, output)
    said = f"consistent: the first {found.old} of {found.new} entries of {found.origin} are the same\n"
    sys.stdout.write(json_line({"consistent": True, **asdict(found)}) if as_json(json=json) else said)


def key(*, json: Json = False, state: State = None) -> None:
    """Print the log's keys.

    Keep the first one outside of this machine.
    """
    with source(state) as log:
        found = log.log_keys()
    if as_json(json=json):
        sys.stdout.write(json_line({"first": found[0], "now": found[-1]}))
        return
    sys.stdout.write(f"first: {found[0]}\nnow:   {found[-1]}\n")


def _proof_from_file(position: int, archive: Path | None, note: Path | None, state: Path | None) -> str:
    from elevate.store.proving import prove as prove_entry

    with LedgerReader(ledger_path(state)) as reader:
        against = note_in(read_kept(note)) if note else reader.note()
        data = _archived(archive, position) if archive else None
        return prove_entry(reader.connection, position, against, data=data)


def _archived(path: Path, position: int) -> bytes:
    """Give an entry from an archive; that it is the right one, the proof shows."""
    mark = f'"seq":{position},'.encode()
    try:
        with path.open("rb") as file:
            found = next((line.rstrip(b"\n") for line in file if mark in line), b"")
    except OSError as exc:
        raise AuditError(f"can't be read: {path}") from exc
    if not found:
        raise AuditError(f"the entry {position} is not in {path}")
    parse(found)
    return found


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_own(output, text)
    except OSError as exc:
        raise StoreUnwritableError(f"it can't be written: {exc.strerror}: {output}") from exc
