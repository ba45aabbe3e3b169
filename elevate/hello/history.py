"""Earlier PINs, so that they do not come again. Pure.

Each is kept stretched, and all of them sealed with the authentication key: who has the file but no gesture can try nothing out.
"""

from elevate import canonical
from elevate.hello import container as box
from elevate.hello.container import Container
from elevate.hello.webauthn import unb64

MAX_BYTES = 65_536


def salt(held: Container, key: bytearray) -> bytes:
    """Give the salt of all PINs of one container; secret, as the key is."""
    return box.wrap_key(bytes(key), unb64(held.credential), "history salt")


def unsealed(held: Container, key: bytearray) -> list[str]:
    """Give the stretched PINs, the newest first."""
    data = box.unseal(_key(key), held.history, held.owner.encode()) if held.history else None
    kept = canonical.decode(bytes(data), max_bytes=MAX_BYTES) if data else []
    return [str(one) for one in kept] if isinstance(kept, list) else []


def sealed(held: Container, key: bytearray, kept: list[str], iv: bytes) -> bytes:
    """Seal the stretched PINs."""
    return box.seal(_key(key), canonical.encode(kept), iv, held.owner.encode())


def _key(key: bytearray) -> bytes:
    return box.wrap_key(bytes(key), b"history", "history")
