"""Where it is kept: the ledger and the log.

`SqliteStore` is the default; `MemoryStore` is its simulator for tests. Both pass one contract suite.
"""

from elevate.store.memory import MemoryStore
from elevate.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "SqliteStore"]
