"""Where it is kept: the ledger and the log.

`SqliteStore` is the default; `MemoryStore` is its simulator for tests. Both pass one contract suite. They are loaded when they
are asked for: a command that reads one entry needs neither.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elevate.store.memory import MemoryStore
    from elevate.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore"]


def __getattr__(name: str) -> object:
    """Load a store when it is first asked for (PEP 562)."""
    if name == "SqliteStore":
        from elevate.store.sqlite import SqliteStore

        return SqliteStore
    if name == "MemoryStore":
        from elevate.store.memory import MemoryStore

        return MemoryStore
    raise AttributeError(name)
