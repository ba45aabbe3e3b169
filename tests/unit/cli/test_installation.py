"""`elevate doctor` and what is installed: equal to what this version writes, and root's alone."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from elevate.cli import bundle, installation, service
from elevate.cli.installation import Finding, examine

pytestmark = pytest.mark.root
WORLD = 0o777


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install below a folder; what the daemon would load is a folder there, since this environment may be anybody's."""
    code = tmp_path / "code"
    (code / "pkg").mkdir(parents=True)
    (code / "pkg/module.py").touch()
    monkeypatch.setattr(service, "packages", lambda: [code])
    monkeypatch.setattr(service, "loaded", lambda: (code,))
    service.install(root=tmp_path)
    for line in service.TMPFILES.splitlines():
        _, path, mode, *_ = line.split()
        (tmp_path / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (tmp_path / path.lstrip("/")).chmod(int(mode, 8))
    return tmp_path


def states(found: list[Finding], state: str) -> list[str]:
    return [one.name for one in found if one.state == state]


def test_nothing_is_said_where_nothing_is_installed(tmp_path: Path) -> None:
    """An own broker needs no installation."""
    assert examine(tmp_path) == []


def test_fresh_installation_is_right(installed: Path) -> None:
    """Only what the running service makes is missing."""
    found = examine(installed)
    assert states(found, "wrong") == []
    assert set(states(found, "note")) <= {"socket", "group elevate"}
    assert len(found) >= len(service.files(installed)) + 3


LAUNCHER, UNIT, LISTENS = "usr/local/bin/elevate", "etc/systemd/system/elevate.service", "etc/systemd/system/elevate.socket"
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda root: (root / LAUNCHER).unlink(), "installed elevate"),
    "another mode": (lambda root: (root / LAUNCHER).chmod(0o775), "installed elevate"),
    "another owner": (lambda root: os.chown(root / LAUNCHER, 1, 1), "installed elevate"),
    "folder above": (lambda root: (root / LAUNCHER).parent.chmod(WORLD), "installed elevate"),
    "another unit": (lambda root: (root / UNIT).write_text("[Service]\n"), "installed elevate.service"),
    "a line more": (lambda root: (root / LISTENS).write_text(service.SOCKET + "x\n"), "installed elevate.socket"),
    "another bundle": (lambda root: (root / bundle.place()).write_bytes(bundle.make()[:-1]), "installed run."),
    "bundle of others": (lambda root: os.chown(root / bundle.place(), 1, 1), "installed run."),
    "open state": (lambda root: (root / "var/lib/elevate").chmod(0o755), "folder "),
    "module": (lambda root: (root / "code/pkg/module.py").chmod(0o666), "what the daemon loads"),
    "owner of a package": (lambda root: os.chown(root / "code/pkg", 1, 1), "what the daemon loads"),
    "packages": (lambda root: (root / "code").chmod(WORLD), "what the daemon loads"),
    "no socket": (lambda root: (root / "run/elevate/broker.sock").touch(), "socket"),
}


@pytest.mark.parametrize(("spoil", "name"), SPOILT.values(), ids=SPOILT)
def test_what_was_changed_is_wrong(installed: Path, spoil: Callable[[Path], object], name: str) -> None:
    """Missing, another text, another mode or owner, or a folder above that others can write."""
    spoil(installed)
    assert any(one.startswith(name) for one in states(examine(installed), "wrong"))


def test_socket_of_root_is_right(installed: Path) -> None:
    """A listener of root's is what clients insist on."""
    path = installed / installation.SOCKET
    folder = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        assert "socket" in states(examine(installed), "ok")
        os.chown(path, 1, 1)
        assert "socket" in states(examine(installed), "wrong")
