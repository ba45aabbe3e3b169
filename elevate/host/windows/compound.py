"""Whether a compound file is all that stands in a file: nothing behind it, and nothing in between that no stream holds.

A signature over the streams says nothing of other bytes. So the file must end with its last sector in use, every sector in use
must belong to something, there are no more sectors of tables than are needed, and no archive's end (by which a Java archive is
found, and run) stands where no stream's content is.

Source: [MS-CFB]; APPNOTE.TXT section 4.3.16 (end of central directory); CVE-2020-1464.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import olefile
    from olefile.olefile import OleDirectoryEntry

_FREE, _TABLE, _MORE, _LAST = 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFC, 0xFFFFFFF9
ARCHIVE_END = b"PK\x05\x06"
ARCHIVE_WINDOW = 65_535 + 22
_IN_HEADER = 109
_STREAM = 2


def is_whole(file: "olefile.OleFileIO", data: bytes) -> bool:
    """Say whether nothing but the compound file is in ``data``, the file's bytes."""
    size = int(file.sector_size)
    used = {number: mark for number, mark in enumerate(file.fat) if mark != _FREE and (number + 1) * size < len(data)}
    held = _held(file, size)
    tables = {number for number, mark in used.items() if mark in {_TABLE, _MORE}}
    if (max(used, default=-1) + 2) * size != len(data) or used.keys() - held.keys() - tables or tables & held.keys():
        return False
    entries = size // 4
    needed = -(-(len(data) // size) // entries)
    further = max(0, -(-(needed - _IN_HEADER) // (entries - 1)))
    if len(tables) > needed + further or file.num_fat_sectors > needed or file.num_difat_sectors > further:
        return False
    return all(_is_content(at, size, held) for at in _ends(data))


def _held(file: "olefile.OleFileIO", size: int) -> dict[int, int]:
    """Give for each sector that belongs to something how many of its bytes are a stream's content."""
    held: dict[int, int] = {}
    starts = [file.first_dir_sector, file.first_mini_fat_sector, file.root.isectStart]
    for start in starts:
        held.update(dict.fromkeys(_chain(file, start), 0))
    for entry in _streams(file.root):
        if entry.size >= file.mini_stream_cutoff_size:
            for index, sector in enumerate(_chain(file, entry.isectStart)):
                held[sector] = max(0, min(size, entry.size - index * size))
    return held


def _chain(file: "olefile.OleFileIO", start: int) -> Iterator[int]:
    seen: set[int] = set()
    while start < _LAST and start < len(file.fat) and start not in seen:
        seen.add(start)
        yield start
        start = file.fat[start]


def _streams(folder: "OleDirectoryEntry") -> "Iterator[OleDirectoryEntry]":
    for entry in folder.kids:
        if entry.entry_type == _STREAM:
            yield entry
        else:
            yield from _streams(entry)


def _ends(data: bytes) -> Iterator[int]:
    at = data.find(ARCHIVE_END, max(0, len(data) - ARCHIVE_WINDOW))
    while at >= 0:
        yield at
        at = data.find(ARCHIVE_END, at + 1)


def _is_content(at: int, size: int, held: dict[int, int]) -> bool:
    sector, offset = at // size - 1, at % size
    return offset + len(ARCHIVE_END) <= held.get(sector, 0)
