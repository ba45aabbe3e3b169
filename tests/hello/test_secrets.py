"""Device secrets: files, memory, a keyring that was made on purpose. Keyring's own suite runs against our backend."""

import os
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.errors import KeyringLocked
from keyring.testing.backend import BackendBasicTests

from elevate.errors import GestureError, HelloError
from elevate.hello import FileSecrets, KeyringSecrets, MemorySecrets, SoftwareHello, keyring_secrets
from elevate.hello.sealed_keyring import SealedKeyring
from elevate.hello.secrets import DeviceSecrets
from elevate.host.processes import read_process
from tests.hello.parts import PIN, SETTINGS, USER, Machine

KEY = bytes(range(32))


class TestSealedKeyring(BackendBasicTests):
    """Keyring's conformance suite."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "ring" / "sealed"

    def init_keyring(self) -> KeyringBackend:
        return SealedKeyring(self.path, KEY)

    def test_the_file_holds_no_password(self) -> None:
        """Nor a service or a name."""
        ring = SealedKeyring(self.path, KEY)
        ring.set_password("service", "name", "secret")
        data = self.path.read_bytes()
        assert not any(word in data for word in (b"service", b"name", b"secret"))
        with pytest.raises(KeyringLocked):
            SealedKeyring(self.path, bytes(32)).get_password("service", "name")

    def test_it_is_never_found_by_itself(self) -> None:
        """A lower priority than the one that only fails."""
        assert SealedKeyring.priority < FailKeyring.priority


def kinds(folder: Path) -> list[DeviceSecrets]:
    ring = KeyringSecrets(SealedKeyring(folder / "ring" / "sealed", KEY))
    return [MemorySecrets(), FileSecrets(folder / "files"), ring]


def test_every_kind_keeps_gives_and_destroys(tmp_path: Path) -> None:
    """Destroying what is not there is no error."""
    for held in kinds(tmp_path):
        assert held.get("a") is None
        held.put("a", b"\0secret\xff")
        assert held.get("a") == b"\0secret\xff"
        held.destroy("a")
        held.destroy("a")
        assert held.get("a") is None


def test_17_the_container_opens_with_the_keyring_it_was_made_with(machine: Machine) -> None:
    """And not with another one."""
    ring = machine.folder.parent / "ring"

    def hello(key: bytes) -> SoftwareHello:
        secrets = KeyringSecrets(SealedKeyring(ring / key.hex()[:8], key))
        return SoftwareHello(machine.folder, clock=machine.clock, entropy=machine.entropy(), settings=SETTINGS, secrets=secrets)

    first = hello(KEY)
    first.enrol_pin(USER, bytearray(PIN))
    assert first.list(USER)[0]["device_secret"] == "keyring"
    assert first.sign(USER, "pin", machine.challenge(), secret=bytearray(PIN)).gesture == "pin"
    with pytest.raises(GestureError):
        hello(bytes(32)).sign(USER, "pin", machine.challenge(), secret=bytearray(PIN))


def test_a_keyring_that_only_fails_is_one_clear_error() -> None:
    """Not a library's exception."""
    with pytest.raises(HelloError, match="keyring"):
        KeyringSecrets(FailKeyring()).get("a")  # type: ignore[no-untyped-call]


def test_a_headless_machine_has_no_keyring() -> None:
    """None is given, so that files are taken."""
    import keyring

    before = keyring.get_keyring()
    keyring.set_keyring(FailKeyring())  # type: ignore[no-untyped-call]
    try:
        assert keyring_secrets() is None
    finally:
        keyring.set_keyring(before)


def test_an_embedded_broker_uses_the_keyring_where_told(tmp_path: Path) -> None:
    """Files are then nowhere; where the keyring only fails, files are taken."""
    import keyring

    from elevate.broker import Broker

    before = keyring.get_keyring()
    rings: list[KeyringBackend] = [SealedKeyring(tmp_path / "ring" / "sealed", KEY), FailKeyring()]  # type: ignore[no-untyped-call]
    try:
        for number, (ring, kind) in enumerate(zip(rings, ("keyring", "file"), strict=True)):
            keyring.set_keyring(ring)
            with Broker.embedded(tmp_path / str(number), keyring=True) as broker:
                user = broker.requester(read_process(os.getpid())).user
                assert broker.hello.list(user)[0]["device_secret"] == kind
                device = tmp_path / str(number) / "hello" / "device"
                assert device.exists() is (kind == "file")
    finally:
        keyring.set_keyring(before)
