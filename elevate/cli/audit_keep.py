"""``elevate audit erase``, ``prune``, ``rotate-key`` and ``cosign``: what is done to a log as it ages.

The first three write the ledger, which one process owns: the broker that runs does it, for root and its own user; where none
runs, or a folder is named, this process does.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from elevate.audit.notes import VerifierKey, decimal
from elevate.audit.witness import Conflict, request_body, with_cosignature
from elevate.cli.audit_common import State, ledger_path
from elevate.cli.audit_source import running
from elevate.errors import AuditError, StoreUnwritableError
from elevate.logs import new_archive
from elevate.store.reader import LedgerReader

if TYPE_CHECKING:
    from elevate.audit.body import Body
    from elevate.ports import Instant
    from elevate.store import SqliteStore

TIMEOUT_SECONDS = 10
MAX_ANSWER = 65_536
_OUT_OF_REACH = "out of reach are copies: exports, pages, proofs and receipts that were handed out, backups, snapshots"


def erase(
    subject: Annotated[str, typer.Option(help="The user's name, or the SID.")],
    *,
    state: State = None,
) -> None:
    """Delete what opens a person's entries. Entries and proofs stay; copies that were exported before are out of reach."""
    broker = running(state)
    if broker is not None:
        with broker:
            told = broker.erase(subject)
        entries, requests, later = told["entries"], told["requests"], told["later"]
    else:
        with owned(state) as store:
            gone = store.erase(subject, _now(), _me())
        entries, requests, later = gone.entries, gone.requests, gone.later
    sys.stdout.write(f"erased: {entries} entries of {requests} requests can no longer be opened\n")
    sys.stderr.write(f"elevate: hint: {_OUT_OF_REACH}\n")
    if later:
        sys.stderr.write(f"elevate: hint: {later} entries name this person again, written meanwhile: erase once more\n")


def prune(
    before: Annotated[int, typer.Option(min=0, help="Entries below this position are moved out, in whole tiles of 256.")],
    archive: Annotated[Path, typer.Option(help="File that they are written to, one a line; it must not be there yet.")],
    *,
    state: State = None,
) -> None:
    """Move old entries to an archive. Their hashes stay, so that the archive still proves."""
    from elevate.store.archive import write_archive

    broker = running(state)
    if broker is not None:
        with broker:
            began = broker.prune(before, archive)["began"]
    else:
        with owned(state) as store:
            stop = store.prunable(before)
            with new_archive(archive) as descriptor:
                write_archive(descriptor, store.entries(0, stop))
            began = store.prune(stop, _now(), _me())
    if archive.stat().st_size == 0:
        archive.unlink()
        sys.stdout.write(f"nothing was moved: the log begins at entry {began}, and whole tiles below open requests go\n")
        return
    sys.stdout.write(f"the log begins at entry {began}; those before it are in {archive}\n")


def rotate_key(*, state: State = None) -> None:
    """Hand over to a new log key by an entry that the old one signs."""
    broker = running(state)
    if broker is not None:
        with broker:
            key = broker.rotate_log_key()
    else:
        with owned(state) as store:
            key = store.rotate_key(_now(), _me())
    sys.stdout.write(f"now: {key}\n")


def cosign(
    url: Annotated[str, typer.Argument(help="The witness; its add-checkpoint is called.")],
    witness: Annotated[str, typer.Option("--key", help="The witness's key.")],
    file: Annotated[Path, typer.Option("-o", "--output", help="Where the cosigned checkpoint goes: an anchor for verify.")],
    *,
    state: State = None,
) -> None:
    """Have a witness cosign the last checkpoint (C2SP tlog-witness)."""
    from elevate.store.proving import prove_consistency

    key = VerifierKey.parse(witness)
    with LedgerReader(ledger_path(state)) as reader:
        note = reader.note()
        old = 0
        for _ in range(2):
            try:
                answer = _post(
                    url, request_body(note, old, lambda first, size: prove_consistency(reader.connection, first, size))
                )
                break
            except Conflict as conflict:
                old = conflict.size
        else:
            raise AuditError("the witness has seen another log of this name", hint="find out which of the two is true")
    try:
        file.write_text(with_cosignature(note, answer, key), encoding="utf-8")
    except OSError as exc:
        raise StoreUnwritableError(f"the checkpoint can't be written: {exc.strerror}: {file}") from exc


@contextmanager
def owned(state: Path | None) -> "Iterator[SqliteStore]":
    """Own the ledger for a moment.

    Raises:
        StoreError: A broker owns it.
    """
    from elevate.broker.system import SystemEntropy
    from elevate.store import SqliteStore

    store = SqliteStore(ledger_path(state), entropy=SystemEntropy())
    try:
        yield store
    finally:
        store.close()


def _now() -> "Instant":
    from elevate.broker.system import SystemClock

    return SystemClock().read()


def _me() -> "Body":
    """Say who does this, as the kernel and the user database have it."""
    import pwd

    from elevate.broker import entries
    from elevate.host.processes import read_process

    facts = read_process(os.getpid())
    try:
        name = pwd.getpwuid(facts.process.uid).pw_name
    except KeyError:
        name = f"uid{facts.process.uid}"
    return entries.looked_at(facts, name)


def _post(url: str, body: bytes) -> str:
    import urllib.error
    import urllib.request

    if not url.startswith(("http://", "https://")):
        raise AuditError("a witness is an http or https address")
    request = urllib.request.Request(url.rstrip("/") + "/add-checkpoint", data=body, method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the same
            return str(answer.read(MAX_ANSWER).decode())
    except urllib.error.HTTPError as exc:
        with exc:
            said = exc.read(MAX_ANSWER).decode(errors="replace").strip()
        if exc.code == 409 and decimal(said) >= 0:  # noqa: PLR2004 - Conflict
            raise Conflict(decimal(said)) from exc
        raise AuditError(f"the witness refused: {exc.code} {said[:200]}") from exc
    except OSError as exc:
        raise AuditError(f"the witness can't be reached: {exc}") from exc
