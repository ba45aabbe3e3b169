"""``elevate hello`` against a real daemon: its methods over the socket, the prompt on the caller's terminal."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elevate.errors import TaskInvalidError
from elevate.wire import Wire
from tests.e2e.daemon import PIN, Daemon
from tests.hello.pty import Asking, Person


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("hello")) as running:
        yield running


def ask(daemon: Daemon, method: str, given: dict[str, object], fds: tuple[int, ...] = ()) -> dict[str, object]:
    wire = Wire(str(daemon.socket), os.getuid())
    try:
        wire.send(method, given, fds=fds)
        return wire.receive()[0]
    finally:
        wire.close()


def test_the_pin_is_typed_into_the_brokers_prompt(daemon: Daemon, tmp_path: Path) -> None:
    """The face is removed on the proof of the PIN; then the PIN verifies."""
    del tmp_path
    with Person() as person:
        removing = Asking(lambda: ask(daemon, "HelloRemove", {"gesture": "face", "terminal_fd": 0}, (person.terminal,)))
        person.sees("PIN: ")
        person.types(PIN + b"\r")
        gestures = removing.result()["gestures"]
        assert isinstance(gestures, list)
        assert [one["gesture"] for one in gestures] == ["pin"]
        verifying = Asking(lambda: ask(daemon, "HelloVerify", {"terminal_fd": 0}, (person.terminal,)))
        person.sees("PIN: ")
        person.types(PIN + b"\r")
        verified = verifying.result()["verified"]
        assert isinstance(verified, dict)
        assert verified["amr"] == ["pin", "swk", "mfa"]
        assert PIN.decode() not in person.reads_on()


def test_a_parameter_that_is_none_of_these_is_refused(daemon: Daemon) -> None:
    """Who means something that is not heard must know."""
    with pytest.raises(TaskInvalidError):
        ask(daemon, "HelloList", {"root": True})


def test_a_terminal_that_is_none_is_refused(daemon: Daemon) -> None:
    """A file in its place."""
    with open("/dev/null", "rb") as null, pytest.raises(TaskInvalidError):  # noqa: PTH123 - a descriptor is what counts
        ask(daemon, "HelloVerify", {"terminal_fd": 0}, (null.fileno(),))
