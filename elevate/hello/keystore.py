"""Where authentication keys are made and used: in software here, in a TPM in `elevate.hello.tpm`.

A store makes a key and gives out 32 secret bytes that each gesture's protector wraps: the key itself in software, in a TPM only
the authorisation to use it there. Whoever brings them back may sign once.
"""

from dataclasses import dataclass, field
from typing import Protocol

from elevate.hello import container as box
from elevate.hello import keys
from elevate.ports import Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeKey:
    """A new key.

    Attributes:
        secret: What the protectors wrap; the caller wipes it.
        public_key: COSE_Key.
        blob: What the store needs to find the key again; useless without ``secret``.
    """

    secret: bytearray = field(repr=False)
    public_key: bytes
    blob: bytes = b""


class KeyStore(Protocol):
    """Makes and uses keys.

    Attributes:
        name: As shown: ``software``, ``tpm``.
        hardware: A key can't be taken out of it: ``hwk``, else ``swk``.
        counts_tries: It counts wrong PINs itself, for the whole device.
    """

    name: str
    hardware: bool
    counts_tries: bool

    def make(self, algorithm: int) -> MadeKey:
        """Make a key."""

    def sign(self, algorithm: int, blob: bytes, secret: bytearray, data: bytes) -> bytes:
        """Sign with it."""

    def seal_pin(self, auth: bytes, secret: bytearray, context: bytes) -> bytes:
        """Wrap a key's secret under what a PIN became."""

    def unseal_pin(self, auth: bytes, sealed: bytes, context: bytes) -> bytearray | None:
        """Unwrap it; None where the PIN is wrong.

        Raises:
            LockedOutError: The device itself is locked.
        """


class SoftwareStore:
    """Keys that are bytes: sealed with AES-256-GCM, for a moment in memory when they sign."""

    name = "software"
    hardware = False
    counts_tries = False

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    def make(self, algorithm: int) -> MadeKey:
        """Make a key."""
        key = keys.new_key(algorithm)
        return MadeKey(secret=keys.to_bytes(key), public_key=keys.cose(key, algorithm))

    def sign(self, algorithm: int, blob: bytes, secret: bytearray, data: bytes) -> bytes:
        """Sign with it."""
        del blob
        return keys.sign(keys.from_bytes(algorithm, secret), data)

    def seal_pin(self, auth: bytes, secret: bytearray, context: bytes) -> bytes:
        """Wrap a key's secret under what a PIN became."""
        return box.seal(auth, secret, self._entropy.token_bytes(box.IV_BYTES), context)

    def unseal_pin(self, auth: bytes, sealed: bytes, context: bytes) -> bytearray | None:
        """Unwrap it; None where the PIN is wrong."""
        return box.unseal(auth, sealed, context)
