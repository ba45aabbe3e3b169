"""The Merkle tree as it is stored: tiles of 256 hashes, as C2SP tlog-tiles has them, written when they are full.

A tile of level L holds the roots of 256 subtrees of ``256 ** L`` leaves. What is not in a full tile yet follows from the
entries and from the roots of the tiles below, so that nothing is ever rewritten.
"""

from collections.abc import Iterator

import apsw

from elevate.audit import merkle
from elevate.audit.merkle import HASH_BYTES

TILE = 256
TILE_BITS = 8
_LEVEL_SHIFT = 48


def tile_id(level: int, number: int) -> int:
    """Give the row of a tile."""
    return level << _LEVEL_SHIFT | number


class TileWriter:
    """The growing edge of the tree: for each level the hashes that fill no tile yet.

    Args:
        connection: The writing connection; full tiles are written inside its transaction.
        size: Number of entries.

    Attributes:
        size: So many have been added, one that could not be added to the end included.
    """

    def __init__(self, connection: apsw.Connection, size: int) -> None:
        self.size = size
        self._connection = connection
        reader = TileReader(connection, size)
        self._edges: list[list[bytes]] = []
        level = 0
        while size >> (TILE_BITS * level):
            self._edges.append(reader.edge(level))
            level += 1

    def add(self, digest: bytes) -> None:
        """Add the hash of one more entry."""
        self.size += 1
        self._push(0, digest)

    def root(self) -> bytes:
        """Give the root over all entries."""
        return merkle.fold([part for edge in reversed(self._edges) for part in merkle.parts(merkle.levels(edge), len(edge))])

    def _push(self, level: int, digest: bytes) -> None:
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        edge.append(digest)
        if len(edge) == TILE:
            root = merkle.perfect(edge)
            first = self._connection.execute(
                "SELECT coalesce(max(id) + 1, ?1) FROM tiles WHERE id >= ?1 AND id < ?2",
                (tile_id(level, 0), tile_id(level + 1, 0)),
            ).get
            self._connection.execute("INSERT INTO tiles VALUES(?, ?, ?)", (first, b"".join(edge), root))
            edge.clear()
            self._push(level + 1, root)


class TileReader:
    """Gives any perfect subtree of a stored tree; tiles are kept in memory once read.

    Args:
        connection: Any connection to the ledger.
        size: Number of entries of the tree.
    """

    def __init__(self, connection: apsw.Connection, size: int) -> None:
        self._connection = connection
        self._size = size
        self._tiles: dict[tuple[int, int], list[bytes]] = {}

    def subtree(self, level: int, index: int) -> bytes:
        """Give the root of the perfect subtree of ``2 ** level`` leaves with this index."""
        tile_level, rest = divmod(level, TILE_BITS)
        first = index << rest
        hashes = self.hashes(tile_level, first // TILE)
        return merkle.perfect(hashes[first % TILE : first % TILE + (1 << rest)])

    def root(self, size: int | None = None) -> bytes:
        """Give the root over the first ``size`` entries."""
        return merkle.range_root(self.subtree, 0, self._size if size is None else size)

    def hashes(self, level: int, number: int) -> list[bytes]:
        """Give the hashes of a tile, full or not."""
        if (level, number) not in self._tiles:
            query = "SELECT hashes FROM tiles WHERE id = ?"
            found = self._connection.execute(query, (tile_id(level, number),)).get
            self._tiles[level, number] = cut(found) if isinstance(found, bytes) else self._partial(level, number)
        return self._tiles[level, number]

    def edge(self, level: int) -> list[bytes]:
        """Give the hashes of a level that fill no tile."""
        count = self._size >> (TILE_BITS * level)
        return self._partial(level, count // TILE)

    def _partial(self, level: int, number: int) -> list[bytes]:
        first = number * TILE
        if level == 0:
            query = "SELECT data FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq"
            return [merkle.leaf(data) for data in self._blobs(query, first, min(first + TILE, self._size))]
        below = tile_id(level - 1, first)
        stop = tile_id(level - 1, min(first + TILE, self._size >> (TILE_BITS * level)))
        return list(self._blobs("SELECT root FROM tiles WHERE id >= ? AND id < ? ORDER BY id", below, stop))

    def _blobs(self, query: str, *values: int) -> Iterator[bytes]:
        return (data for (data,) in self._connection.execute(query, values) if isinstance(data, bytes))


def cut(hashes: bytes) -> list[bytes]:
    """Give the hashes of a tile one by one."""
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]


def tile_root(hashes: bytes) -> bytes:
    """Give the root over the hashes of a full tile; nothing where they are more or fewer."""
    return merkle.perfect(cut(hashes)) if len(hashes) == TILE * HASH_BYTES else b""
