"""The log's signing key: one file beside the ledger, 0600, apart from the token key, kept across restarts.

A rotation writes the new key beside the old one first, then the entry that names it, then moves it into place; a crash in
between is settled at the next start by what the ledger says.
"""

import os
from pathlib import Path

from elevate.audit.notes import Signer
from elevate.errors import AuditError, StoreError
from elevate.ports import Entropy

MAX_KEY_BYTES = 1024


def place(ledger: Path) -> Path:
    """Give the key's file of a ledger."""
    return ledger.with_name(ledger.name + "-key")


def origin(generation: str) -> str:
    """Give a log's name."""
    return f"elevate.log/{generation}"


def make(ledger: Path, generation: str, entropy: Entropy) -> Signer:
    """Make the key of a new ledger, in place of any that an older one left."""
    signer = Signer.make(origin(generation), entropy.token_bytes(32))
    prepare(ledger, signer)
    settle(ledger)
    return signer


def load(ledger: Path, expected: str) -> Signer:
    """Give the key that the ledger names; finish a rotation that a crash broke off.

    Args:
        ledger: The ledger's file.
        expected: Text form of the public key that signs now.

    Raises:
        StoreError: The key is not there.
    """
    for path in (place(ledger), _next(ledger)):
        signer = _read(path)
        if signer is not None and str(signer.verifier) == expected:
            if path != place(ledger):
                settle(ledger)
            return signer
    raise StoreError("the log's signing key is missing, or is another one's", hint=f"put {place(ledger).name} back from a copy")


def prepare(ledger: Path, signer: Signer) -> None:
    """Write a key beside the one in use."""
    path = _next(ledger)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(signer.secret() + "\n")
        file.flush()
        os.fsync(file.fileno())


def settle(ledger: Path) -> None:
    """Put the prepared key in place."""
    _next(ledger).rename(place(ledger))
    sync_folder(ledger.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _next(ledger: Path) -> Path:
    return ledger.with_name(ledger.name + "-key-next")


def _read(path: Path) -> Signer | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_mode & 0o077 or found.st_nlink != 1:
            raise StoreError(f"{path.name} is open to others, or has a second name", hint="rotate the log's key")
        try:
            return Signer.parse(file.read(MAX_KEY_BYTES).decode())
        except (AuditError, ValueError):
            return None
