"""A keyring backend of our own: one sealed file, for an embedded broker on a machine without a keyring service.

It is made explicitly and handed to `elevate.hello.KeyringSecrets`; it is never found by `keyring` itself (its priority is below
zero) and never used on a machine's broker. The file is sealed with AES-256-GCM under a key that its maker keeps.
"""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential
from keyring.errors import KeyringLocked, PasswordDeleteError

from elevate import canonical
from elevate.errors import HelloDamagedError
from elevate.hello import container as box
from elevate.hello import private

_CONTEXT = b"elevate sealed keyring 1"


class SealedKeyring(KeyringBackend):
    """Passwords in one sealed file.

    Args:
        path: In a folder that is private to its owner.
        key: 32 bytes.
    """

    priority = -1  # keyring's own way to say: never by itself

    def __init__(self, path: Path, key: bytes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path, self._key = path, key
        private.make_folder(path.parent)
        AESGCM(key)

    def get_password(self, service: str, username: str) -> str | None:
        """Give a password; None where there is none."""
        return self._held().get(_name(service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a password."""
        with private.locked(self._path.with_suffix(".lock")):
            self._keep({**self._held(), _name(service, username): password})

    def delete_password(self, service: str, username: str) -> None:
        """Delete a password.

        Raises:
            PasswordDeleteError: There is none.
        """
        with private.locked(self._path.with_suffix(".lock")):
            held = self._held()
            if held.pop(_name(service, username), None) is None:
                raise PasswordDeleteError("there is no such password")
            self._keep(held)

    def get_credential(self, service: str, username: str | None) -> SimpleCredential | None:
        """Give a user and password of a service: the named one, or any where none is named."""
        for name, password in self._held().items():
            found_service, found_user = _parts(name)
            if found_service == service and username in (None, found_user):
                return SimpleCredential(found_user, password)
        return None

    def _held(self) -> dict[str, str]:
        sealed = private.read(self._path)
        if sealed is None:
            return {}
        data = box.unseal(self._key, sealed, _CONTEXT)
        if data is None:
            raise KeyringLocked("the keyring's file does not open with this key")
        try:
            held = canonical.decode(bytes(data), max_bytes=private.MAX_FILE_BYTES)
        except ValueError as exc:
            raise HelloDamagedError("the keyring's file can't be read", detail=str(exc)) from exc
        return {name: str(value) for name, value in held.items()} if isinstance(held, dict) else {}

    def _keep(self, held: dict[str, str]) -> None:
        iv = secrets.token_bytes(box.IV_BYTES)
        private.replace(self._path, box.seal(self._key, canonical.encode(held), iv, _CONTEXT))


def _name(service: str, username: str) -> str:
    return f"{service.encode().hex()}.{username.encode().hex()}"


def _parts(name: str) -> tuple[str, str]:
    service, _, username = name.partition(".")
    return bytes.fromhex(service).decode(), bytes.fromhex(username).decode()
