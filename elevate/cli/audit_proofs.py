"""``elevate audit prove``, ``check``, ``checkpoint``, ``consistency`` and ``key``: what is shown of the log to others.

Asked of the broker everybody gets proofs of own entries, and what tells of nobody: the keys, checkpoints, and that one log is
the beginning of another. What is checked is checked with nothing but the log's key.
"""

import os
import stat
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elevate.audit import parse
from elevate.audit.notes import VerifierKey, decimal
from elevate.cli.audit_common import (
    MAX_ANCHOR_BYTES,
    Json,
    State,
    as_json,
    checkpoint_in,
    json_line,
    ledger_path,
    read_kept,
    write_own,
)
from elevate.cli.audit_source import source
from elevate.errors import AuditError, GestureError, StoreUnwritableError
from elevate.store.reader import LedgerReader
from elevate.text import escape

if TYPE_CHECKING:
    from elevate.audit.proof import Proven
    from elevate.hello.kept import Kept

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
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Proofs that prove wrote; - for standard input.")],
    log_key: Annotated[str, typer.Option("--key", help="The log's key as it was kept; a proof leads on from there.")],
    *,
    witness: Annotated[
        list[str] | None, typer.Option(help="Key of a witness that must have cosigned; may be given again.")
    ] = None,
    json: Json = False,
) -> None:
    """Check proofs, with nothing but the log's key.

    Where an entry holds the signature of the person who agreed, that is verified, too. Of several proofs each is named with
    what it shows; the exit status is 0 where all hold. A checkpoint that many share is verified once.
    """
    from elevate.audit.proof import Checker

    checker = Checker(VerifierKey.parse(log_key), witnesses=[VerifierKey.parse(text) for text in witness or ()])
    if len(files) == 1:
        sys.stdout.write(_shown(checker.check(_proof_in(files[0])), json=as_json(json=json)))
        return
    refused = 0
    for file in files:
        try:
            line = _shown(checker.check(_proof_in(file)), file, json=as_json(json=json))
        except (AuditError, GestureError) as exc:
            refused += 1
            line = (
                json_line({"file": str(file), "error": exc.message})
                if as_json(json=json)
                else f"{escape(str(file))}: {exc.message}\n"
            )
        sys.stdout.write(line)
    if refused:
        raise AuditError(f"{refused} of {len(files)} proofs do not hold", hint="the lines above say which, and why")


def _proof_in(file: Path) -> str:
    if file != Path("-"):
        return read_kept(file, "elevate audit prove writes a proof")
    try:
        return sys.stdin.read(MAX_ANCHOR_BYTES)
    except ValueError as exc:
        raise AuditError("that is not a proof", hint="elevate audit prove writes one") from exc


def _shown(proven: "Proven", file: Path | None = None, *, json: bool) -> str:
    kept = _signature(proven)
    if json:
        named = {} if file is None else {"file": str(file)}
        told = {"entry": asdict(proven.entry), "size": proven.checkpoint.size, "witnesses": proven.witnesses}
        return json_line({**named, **told, "signature": asdict(kept) if kept else None})
    seen = "".join(f", seen by {name}" for name, _ in proven.witnesses)
    begin = "" if file is None else f"{escape(str(file))}: "
    return (
        f"{begin}proven: entry {proven.entry.seq} ({proven.entry.event}) of {proven.checkpoint.origin}{seen}\n{_signed(kept)}"
    )


def _signature(proven: "Proven") -> "Kept | None":
    """Verify the person's signature, where the proof shows one; few proofs do, so little is loaded."""
    if "authentication" not in proven.entry.body:
        return None
    from elevate.hello.kept import verify_kept

    return verify_kept(proven.entry.body)


def _signed(kept: "Kept | None") -> str:
    if kept is None:
        return ""
    made = f"{kept.method}{' (simulated)' if kept.simulated else ''}"
    what = "this request" if kept.bound else "a request that this proof does not show"
    return f"signed by {escape(made)}: {what}, with the key SHA256:{kept.key}\n"


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

    older, newer = checkpoint_in(old), checkpoint_in(new)
    keys = [VerifierKey.parse(text) for text in log_key or ()]
    if proof is not None:
        if not keys:
            raise AuditError("a proof is checked with the log's key", hint="--key KEY, as it was kept")
        text = read_kept(proof, "make one: elevate audit consistency OLD NEW -o FILE")
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

    Keep the first one outside of this machine. After a rotation the later ones stand below it, in order.
    """
    with source(state) as log:
        found = log.log_keys()
    if as_json(json=json):
        sys.stdout.write(json_line({"first": found[0], "now": found[-1], "keys": found}))
        return
    between = "".join(f"then:  {one}\n" for one in found[1:-1])
    sys.stdout.write(f"first: {found[0]}\n{between}now:   {found[-1]}\n")


def _proof_from_file(position: int, archive: Path | None, note: Path | None, state: Path | None) -> str:
    from elevate.store.proving import prove as prove_entry

    with LedgerReader(ledger_path(state)) as reader:
        against = checkpoint_in(note) if note else reader.note()
        data = _archived(archive, position) if archive else None
        return prove_entry(reader.connection, position, against, data=data)


def _archived(path: Path, position: int) -> bytes:
    """Give an entry from an archive; that it is the right one, the proof shows."""
    mark = f'"seq":{position},'.encode()
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise AuditError(f"that is not an archive: {path}", hint="elevate audit prune writes one")
            found = next((line.rstrip(b"\n") for line in file if mark in line), b"")
    except OSError as exc:
        raise AuditError(f"can't be read: {path}") from exc
    if not found:
        raise AuditError(f"the entry {position} is not in {path}")
    parse(found)
    return found


def _write(text: str, output: Path | None) -> None:
    if output in {None, Path("-")}:
        sys.stdout.write(text)
        return
    try:
        write_own(output, text)
    except OSError as exc:
        raise StoreUnwritableError(f"it can't be written: {exc.strerror}: {output}") from exc
