"""The Merkle tree over the log: roots, inclusion and consistency proofs, and their verification.

Hashes are 32 bytes. A tree's shape follows from its size alone, so a proof is only the hashes that are missing.

Source: RFC 6962 section 2.1; the verification algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from operator import add

from elevate.errors import AuditError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Subtree = Callable[[int, int], bytes]
"""Gives the root of the perfect subtree of ``2 ** level`` leaves that begins at leaf ``index * 2 ** level``."""


_LEAF, _NODE = hashlib.sha256(b"\0").copy, hashlib.sha256(b"\1").copy
"""To copy a hash that has begun takes less time than to begin one and to put its prefix before the data."""


def leaf(data: bytes) -> bytes:
    """Hash one entry."""
    return hashlib.sha256(b"\0" + data).digest()


def leaves(entries: Iterable[bytes]) -> list[bytes]:
    """Hash several entries."""
    return digests(_LEAF, entries)


def node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The roots of the perfect subtrees that a growing tree is made of, largest first; enough to go on and to give the root."""

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def add(self, digest: bytes) -> None:
        """Add the hash of one more leaf, or of one more subtree where all are of one size."""
        size = self.size
        while size & 1:
            digest = node(self._stack.pop(), digest)
            size >>= 1
        self._stack.append(digest)
        self.size += 1

    def extend(self, digests: Iterable[bytes]) -> None:
        """Add several."""
        for digest in digests:
            self.add(digest)

    def parts(self) -> list[bytes]:
        """Give the subtree roots, largest first."""
        return list(self._stack)

    def root(self) -> bytes:
        """Give the root of the whole tree."""
        return fold(self._stack)


def fold(roots: Sequence[bytes]) -> bytes:
    """Give the root over subtree roots, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node(left, root)
    return root


def levels(hashes: Sequence[bytes]) -> list[list[bytes]]:
    """Give the roots of all perfect subtrees over hashes: the hashes themselves, then of pairs, then of fours, and so on."""
    found = [list(hashes)]
    while len(below := found[-1]) > 1:
        found.append(digests(_NODE, map(add, below[::2], below[1::2])))
    return found


def digests(begin: Callable[[], "hashlib._Hash"], parts: Iterable[bytes]) -> list[bytes]:
    """Hash each part, going on from a hash that has begun."""
    found = []
    for part in parts:
        begun = begin()
        begun.update(part)
        found.append(begun.digest())
    return found


def parts(found: Sequence[Sequence[bytes]], size: int) -> list[bytes]:
    """Give the subtree roots that the first ``size`` hashes are made of, largest first, from `levels`."""
    chosen, at = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            chosen.append(found[level][at >> level])
            at += 1 << level
    return chosen


def perfect(digests: Sequence[bytes]) -> bytes:
    """Give the root over ``2 ** n`` hashes."""
    return levels(digests)[-1][0]


def range_root(subtree: Subtree, start: int, stop: int) -> bytes:
    """Give the root of the tree over the leaves ``start`` to ``stop - 1``; ``start`` must be a place where a proof may cut."""
    roots = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        roots.append(subtree(level, start >> level))
        start += 1 << level
    return fold(roots)


def inclusion(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """Prove that the leaf ``index`` is in the tree of ``size`` leaves.

    Raises:
        AuditError: It is not.
    """
    if not 0 <= index < size:
        raise AuditError(f"a log of {size} entries has no entry {index}")
    proof: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        cut = start + _cut(stop - start)
        if index < cut:
            proof.append(range_root(subtree, cut, stop))
            stop = cut
        else:
            proof.append(range_root(subtree, start, cut))
            start = cut
    return proof[::-1]


def consistency(subtree: Subtree, old: int, new: int) -> list[bytes]:
    """Prove that the tree of ``old`` leaves is the beginning of the tree of ``new``.

    Raises:
        AuditError: The sizes are not in order.
    """
    if not 0 <= old <= new:
        raise AuditError(f"a log of {new} entries never had {old}")
    if old in {0, new}:
        return []
    proof: list[bytes] = []
    start, stop, whole = 0, new, True
    while old != stop:
        cut = start + _cut(stop - start)
        if old <= cut:
            proof.append(range_root(subtree, cut, stop))
            stop = cut
        else:
            proof.append(range_root(subtree, start, cut))
            start, whole = cut, False
    if not whole:
        proof.append(range_root(subtree, start, stop))
    return proof[::-1]


def check_inclusion(digest: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in a tree.

    Raises:
        AuditError: The proof does not show that.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size or len(digest) != HASH_BYTES:
        raise AuditError("the proof's index is outside of the tree")
    # Below the level at which the paths of this leaf and of the last one meet, the index says on which side the other half
    # lies; from there on this path is at the tree's right edge, where only what lies to the left is a hash of its own.
    meet = (index ^ (size - 1)).bit_length()
    if len(proof) != meet + (index >> meet).bit_count():
        raise AuditError("the proof has too few hashes, or too many")
    found = digest
    for level, part in enumerate(proof):
        found = node(part, found) if level >= meet or index >> level & 1 else node(found, part)
    if found != root:
        raise AuditError("the proof does not lead to the root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that one tree is the beginning of another.

    Raises:
        AuditError: The proof does not show that.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 <= old <= new:
        raise AuditError("the sizes are not in order")
    if old in {0, new}:
        if proof or (old and old_root != new_root) or (not old and old_root != EMPTY_ROOT):
            raise AuditError("the proof does not lead from one root to the other")
        return
    if not proof:
        raise AuditError("the proof is empty")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    found = _walk(path, old - 1, new - 1)
    if found != (old_root, new_root):
        raise AuditError("the proof does not lead from one root to the other")


def _walk(path: Sequence[bytes], fn: int, sn: int) -> tuple[bytes, bytes]:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for part in path[1:]:
        if sn == 0:
            raise AuditError("the proof is too long")
        if fn & 1 or fn == sn:
            first, second = node(part, first), node(part, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node(second, part)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise AuditError("the proof is too short")
    return first, second


def _cut(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return int(1 << ((size - 1).bit_length() - 1))
