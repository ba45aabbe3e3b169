"""The demo's installer on host linux: an ordinary user plans, root applies, in several steps under one token."""

import base64
import json
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elevate.resources import shipped
from tests.e2e.test_linux import ask, place, user

__all__ = ["place", "user"]

pytestmark = pytest.mark.root
APP, CONF = Path("/opt/contoso-notes"), Path("/etc/contoso-notes.conf")
UNIT, ENTRY = Path("/etc/systemd/system/contoso-notes.service"), Path("/usr/share/applications/contoso-notes.desktop")
FILES = (APP / "notes", APP / "readme.txt", APP / "installed.json", CONF, UNIT, ENTRY)
STEPS = ("files", "service", "settings", "shortcut")


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    if any(path.exists() for path in (APP, CONF, UNIT, ENTRY)):
        pytest.skip("something of that name is on this machine")
    yield
    shutil.rmtree(APP, ignore_errors=True)
    for path in (CONF, UNIT, ENTRY):
        path.unlink(missing_ok=True)


@pytest.fixture
def helper(place: Path) -> Path:
    """Put the elevated half where only root writes."""
    target = place / "steps.py"
    shutil.copyfile(shipped("demo/installer/steps.py"), target)
    target.chmod(0o755)
    return target


def task(helper: Path, *words: str, version: str = "1.0") -> dict[str, Any]:
    files = {"notes": "#!/bin/sh\n", "readme.txt": f"Contoso Notes {version}\n"}
    payload = base64.b64encode(json.dumps({"version": version, "files": files}).encode()).decode()
    return {"kind": "process.run", "params": {"argv": [str(helper), *words], "cwd": "/"}, "payload": payload}


def test_28_install_upgrade_and_remove(tmp_path: Path, user: pwd.struct_passwd, helper: Path) -> None:
    """Each is one token; the files are root's; nothing is left at the end."""
    made, upgraded = ask(tmp_path / "a", user, task(helper, "install", *STEPS), task(helper, "install", *STEPS, version="2.0"))

    assert (made["status"], upgraded["status"], made["second"]) == (0, 0, "token-spent"), made
    assert [path.stat().st_uid for path in FILES] == [0] * len(FILES)
    assert CONF.read_text() == "version = 2.0\n"
    assert json.loads((APP / "installed.json").read_text())["who"]["ELEVATE_USER"] == user.pw_name

    (removed,) = ask(tmp_path / "b", user, task(helper, "remove"))
    assert removed["status"] == 0, removed
    assert not any(path.exists() for path in (*FILES, APP))


def test_a_failed_step_leaves_nothing(tmp_path: Path, user: pwd.struct_passwd, helper: Path) -> None:
    """The last step can't be done, so the others are undone."""
    ENTRY.parent.mkdir(parents=True, exist_ok=True)
    ENTRY.mkdir()
    try:
        (failed,) = ask(tmp_path, user, task(helper, "install", *STEPS))
    finally:
        ENTRY.rmdir()

    assert failed["status"] == 1
    assert not any(path.exists() for path in (*FILES, APP))
