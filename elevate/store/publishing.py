"""The log as files that any C2SP tlog-tiles client reads: ``checkpoint``, ``tile/L/N`` and ``tile/entries/N``.

Entries hold commitments in place of what a person could be guessed from, so that the tiles can be shown to others.

Source: C2SP tlog-tiles.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from elevate.audit.entry import as_bytes
from elevate.audit.notes import Checkpoint, Note
from elevate.errors import StoreUnwritableError
from elevate.store.reader import LedgerReader
from elevate.store.tree import TILE, TILE_BITS, TileReader

_LENGTH_BYTES = 2
_GROUP = 1000


def publish(reader: LedgerReader, folder: Path, note: str) -> int:
    """Write what is not there yet, the checkpoint last; give the number of files written.

    Args:
        reader: The ledger.
        folder: Made where it is missing; full tiles that are there are left alone.
        note: The checkpoint up to which to publish.

    Raises:
        StoreUnwritableError: The folder can't be written.
    """
    size = Checkpoint.parse(Note.parse(note).text).size
    written = 0
    try:
        for path, data in tiles(reader, size):
            place = folder / path
            if not place.exists():
                _write(place, data)
                written += 1
        _write(folder / "checkpoint", note.encode())
    except OSError as exc:
        raise StoreUnwritableError(f"the tiles can't be written: {exc.strerror}: {folder}") from exc
    return written + 1


def tiles(reader: LedgerReader, size: int) -> Iterator[tuple[str, bytes]]:
    """Give every tile of a tree, and every bundle of entries that is still in the ledger, by its path."""
    tree = TileReader(reader.connection, size)
    level = 0
    while size >> (TILE_BITS * level):
        count = size >> (TILE_BITS * level)
        for number in range((count + TILE - 1) // TILE):
            width = min(count - number * TILE, TILE)
            yield tile_path(str(level), number, width), b"".join(tree.hashes(level, number)[:width])
        level += 1
    began = int(reader.meta("pruned") or 0)
    for number in range(began // TILE, (size + TILE - 1) // TILE):
        width = min(size - number * TILE, TILE)
        query = "SELECT data FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
        found = [as_bytes(data) for (data,) in reader.rows(query, number * TILE, number * TILE + width)]
        bundle = b"".join(len(data).to_bytes(_LENGTH_BYTES, "big") + data for data in found)
        yield tile_path("entries", number, width), bundle


def tile_path(level: str, number: int, width: int) -> str:
    """Give the path of a tile: its number in groups of three digits, and its width where it is not full."""
    groups = [f"{number % _GROUP:03}"]
    while number >= _GROUP:
        number //= _GROUP
        groups.append(f"x{number % _GROUP:03}")
    path = f"tile/{level}/{'/'.join(reversed(groups))}"
    return path if width == TILE else f"{path}.p/{width}"


def _write(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
