"""The audit log: entries, the chain that binds them, and its verification. Pure: bytes in, values out.

Rules of this room:

- The store is the truth; an entry is canonical JSON and holds the hash of the one before.
- The hash of an entry is its RFC 6962 leaf hash, so that chain and Merkle tree are over the same 32 bytes.
- Nothing here opens, sleeps, reads a clock or draws randomness.
"""

from elevate.audit.chain import Outcome, Tampering, Verdict, verify_chain
from elevate.audit.entry import EMPTY, MAX_ENTRY_BYTES, Entry, Origin, Sealed, leaf_hash, opened, parse, seal

__all__ = [
    "EMPTY",
    "MAX_ENTRY_BYTES",
    "Entry",
    "Origin",
    "Outcome",
    "Sealed",
    "Tampering",
    "Verdict",
    "leaf_hash",
    "opened",
    "parse",
    "seal",
    "verify_chain",
]
