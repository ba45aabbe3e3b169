"""Device secrets: what makes a copied container useless on another device. One random value per container and generation.

A changed or removed PIN makes a new one and destroys the old, so that an old container put back unlocks nothing.
"""

from pathlib import Path
from typing import Protocol

from elevate.errors import HelloError
from elevate.hello import private
from elevate.hello.webauthn import b64, unb64

SERVICE = "elevate hello"


class DeviceSecrets(Protocol):
    """Where device secrets are kept.

    Attributes:
        kind: As shown: ``file``, ``keyring``, ``memory``.
    """

    kind: str

    def get(self, name: str) -> bytes | None:
        """Give a secret; None where there is none."""

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret; it is kept when this returns."""

    def destroy(self, name: str) -> None:
        """Destroy a secret; that it is not there is no error."""


class FileSecrets:
    """In files that only their owner reads; on a root broker that is root."""

    kind = "file"

    def __init__(self, folder: Path) -> None:
        private.make_folder(folder)
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """Give a secret; None where there is none."""
        return private.read(self._folder / f"{name}.secret")

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret."""
        private.replace(self._folder / f"{name}.secret", secret)

    def destroy(self, name: str) -> None:
        """Destroy a secret."""
        private.remove(self._folder / f"{name}.secret")


class MemorySecrets:
    """In memory, for tests: gone with the process."""

    kind = "memory"

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """Give a secret; None where there is none."""
        return self._held.get(name)

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret."""
        self._held[name] = secret

    def destroy(self, name: str) -> None:
        """Destroy a secret."""
        self._held.pop(name, None)


class Backend(Protocol):
    """As much of a `keyring` backend as is used."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give a password."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""

    def delete_password(self, service: str, username: str) -> None:
        """Delete a password."""


class KeyringSecrets:
    """In a keyring, through a backend that the caller made and names; never one that was found by itself."""

    kind = "keyring"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def get(self, name: str) -> bytes | None:
        """Give a secret; None where there is none."""
        found = self._call("get_password", name)
        return unb64(found) if found else None

    def put(self, name: str, secret: bytes) -> None:
        """Keep a secret."""
        self._call("set_password", name, b64(secret))

    def destroy(self, name: str) -> None:
        """Destroy a secret."""
        if self._call("get_password", name):
            self._call("delete_password", name)

    def _call(self, method: str, *args: str) -> str | None:
        from keyring.errors import KeyringError

        try:
            answer: str | None = getattr(self._backend, method)(SERVICE, *args)
        except KeyringError as exc:
            raise HelloError("the keyring can't be used", hint="unlock it, and try again", detail=repr(exc)) from exc
        return answer


def personal_secrets(folder: Path) -> DeviceSecrets:
    """Give the person's keyring where there is one and nothing is in files yet, else files in ``folder``."""
    if folder.exists():
        return FileSecrets(folder)
    return keyring_secrets() or FileSecrets(folder)


def keyring_secrets() -> KeyringSecrets | None:
    """Give the person's own keyring where it has a real backend; for the embedded broker only.

    A headless machine has none, and `keyring` then offers one that only fails; that one is not taken.
    """
    import keyring
    from keyring.backends import fail, null

    backend = keyring.get_keyring()
    if isinstance(backend, fail.Keyring | null.Keyring):
        return None
    return KeyringSecrets(backend)
