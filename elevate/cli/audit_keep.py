"""``elevate audit erase``, ``prune``, ``rotate-key`` and ``cosign``: what is done to a log as it ages.

The first three write the ledger, so that the broker must be stopped meanwhile: one process owns it.
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
from elevate.errors import AuditError, StoreUnwritableError
from elevate.store.reader import LedgerReader

if TYPE_CHECKING:
    from elevate.ports import Instant
    from elevate.store import SqliteStore

TIMEOUT_SECONDS = 10
MAX_ANSWER = 65_536


def erase(
    subject: Annotated[str, typer.Option(help="The user's name, or the SID.")],
    *,
    state: State = None,
) -> None:
    """Delete what opens a person's entries. Entries and proofs stay; copies that were exported before are out of reach."""
    with owned(state) as store:
        gone = store.erase(subject, _now())
    sys.stdout.write(f"erased: {gone.entries} entries of {gone.requests} requests can no longer be opened\n")


def prune(
    before: Annotated[int, typer.Option(min=0, help="Entries below this position are moved out, in whole tiles of 256.")],
    archive: Annotated[Path, typer.Option(help="File that they are written to, one a line; it must not be there yet.")],
    *,
    state: State = None,
) -> None:
    """Move old entries to an archive. Their hashes stay, so that the archive still proves."""
    with owned(state) as store:
        stop = store.prunable(before)
        write_archive(archive, (data for data in store.entries(0, stop)))
        began = store.prune(stop, _now())
    sys.stdout.write(f"the log begins at entry {began}; those before it are in {archive}\n")


def rotate_key(*, state: State = None) -> None:
    """Hand over to a new log key by an entry that the old one signs."""
    with owned(state) as store:
        sys.stdout.write(f"now: {store.rotate_key(_now())}\n")


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


def write_archive(path: Path, entries: Iterator[bytes]) -> None:
    """Write entries, one a line, synced before anything is taken out of the log.

    Raises:
        StoreUnwritableError: It is there already, or can't be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for data in entries:
                file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise StoreUnwritableError(f"the archive can't be written: {exc.strerror}: {path}") from exc


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
