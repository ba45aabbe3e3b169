"""Archives of the log: entries as they stand in it, one a line, with nothing that opens them."""

import os
from collections.abc import Iterable

from elevate.errors import StoreUnwritableError


def write_archive(descriptor: int, entries: Iterable[bytes]) -> None:
    """Write entries to an open file, and sync it; the caller keeps the descriptor.

    Raises:
        StoreUnwritableError: It can't be written.
    """
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            for data in entries:
                file.write(data + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise StoreUnwritableError(f"the archive can't be written: {exc.strerror}") from exc
