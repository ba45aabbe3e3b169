"""The demo's installer on host linux: an ordinary user plans, root applies, in several steps under one token."""

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elevate.resources import shipped
from tests.e2e.test_linux import ask, deb, place, run, user, write

__all__ = ["place", "user"]

pytestmark = pytest.mark.root
APP, CONF = Path("/opt/contoso-notes"), Path("/etc/contoso-notes.conf")
UNIT, ENTRY = Path("/etc/systemd/system/contoso-notes.service"), Path("/usr/share/applications/contoso-notes.desktop")
FILES = (APP / "notes", APP / "readme.txt", APP / "installed.json", CONF, UNIT, ENTRY)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    if any(path.exists() for path in (APP, CONF, UNIT, ENTRY)):
        pytest.skip("something of that name is on this machine")
    made = [folder for folder in (UNIT.parent, ENTRY.parent) if not folder.is_dir()]
    for folder in made:
        folder.mkdir(parents=True)
    yield
    shutil.rmtree(APP, ignore_errors=True)
    for path in (CONF, UNIT, ENTRY, APP.with_name(".contoso-notes.undo.json")):
        path.unlink(missing_ok=True)
    for folder in made:
        folder.rmdir()


@pytest.fixture
def product(place: Path, user: pwd.struct_passwd) -> dict[str, str]:
    """Put the elevated half where only root writes, and make the user a folder for receipts."""
    helper, state = place / "steps.py", place / "receipts"
    shutil.copyfile(shipped("demo/installer/steps.py"), helper)
    helper.chmod(0o755)
    state.mkdir()
    os.chown(state, user.pw_uid, user.pw_gid)
    return {"helper": str(helper), "state": str(state), "version": "1.0"}


def left() -> list[str]:
    return [str(path) for path in (*FILES, APP, APP.with_name(".contoso-notes.undo.json")) if path.exists()]


def test_28_plan_install_upgrade_and_remove(tmp_path: Path, user: pwd.struct_passwd, product: dict[str, str]) -> None:
    """Each is one token; the files are root's; a failed upgrade changes nothing; nothing is left at the end."""
    answers = ask(
        tmp_path,
        user,
        product | {"installer": "plan"},
        product | {"installer": "install"},
        product | {"installer": "install", "version": "2.0"},
        product | {"installer": "install", "version": "3.0", "failing": 4},
        run("cat", str(APP / "readme.txt"), str(CONF), str(APP / "installed.json")),
        product | {"installer": "remove"},
    )
    plan, made, upgraded, failed, shown, removed = answers

    assert plan["plan"] == ["credential"] * 5
    assert [one.split(":")[0] for one in made["progress"]] == [f"step {number} of 5" for number in range(1, 6)]
    assert (made["as"], made["identity"]) == (["root"] * 5, f"ADMIN_{user.pw_name}")
    assert {path for _, path, _ in made["written"]} >= {str(path) for path in FILES}
    assert [step for step, path, change in upgraded["written"] if path == str(CONF) and change == "changed"] == [3]
    assert (failed["progress"][-1], failed["error"]) == ("undoing", "exit status 1")
    assert shown["out"].startswith("Contoso Notes 2.0\nversion = 2.0\n")
    assert user.pw_name in shown["out"]
    assert "error" not in removed
    assert left() == []


def test_a_failed_step_leaves_nothing(tmp_path: Path, user: pwd.struct_passwd, product: dict[str, str]) -> None:
    """Whichever fails, up to the last, which lets go of what was kept."""
    answers = ask(tmp_path, user, *[{**product, "installer": "install", "failing": at} for at in (0, 3, 4)])

    assert [one["progress"][-1] for one in answers] == ["undoing"] * 3
    assert left() == []


def test_every_step_has_its_own_rights(tmp_path: Path, user: pwd.struct_passwd) -> None:
    """The step after one that was uid 0 is the hidden account again, and has no capability of another's."""
    steps = [run("id", "-u"), run("whoami"), run("head", "-c", "5", "/etc/shadow"), run("tail", "-c", "5", "/etc/shadow")]
    (told,) = ask(tmp_path, user, {"steps": steps})

    receipt: Any = told["receipt"]
    assert told["out"] == f"0\nADMIN_{user.pw_name}\nroot:"
    assert [one["as"] for one in receipt["steps"]] == ["root", "account", "account", "account"]
    assert (told["status"], told["second"]) == (1, "token-spent")


def test_a_step_denied_is_all_denied(tmp_path: Path, user: pwd.struct_passwd) -> None:
    """Nothing of it is done, on a real machine either."""
    (told,) = ask(tmp_path, user, {"steps": [write(str(CONF), b"x"), write("/srv/x", b"x")]})

    assert told["error"] == "denied"
    assert told["message"].startswith("step 2 (file.write /srv/x): ")
    assert left() == []


def test_a_package_among_the_steps(tmp_path: Path, user: pwd.struct_passwd, place: Path) -> None:
    """A later step fails: what was agreed to takes the package out again. Else the receipt has the way back as a task."""
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("this machine has no dpkg")
    name = f"elevate-{user.pw_name}"
    package = deb(tmp_path, place, name)
    install = {"kind": "package.install", "params": {"path": str(package), "cwd": "/"}}
    purge, program = run("dpkg", "--purge", name), Path("/usr/bin", name)
    try:
        failed, again, purged = ask(
            tmp_path,
            user,
            {"steps": [install, write(str(CONF), b"x"), run("false"), purge], "undo": True},
            {"steps": [install, write(str(CONF), b"y")]},
            {"steps": [run(name), purge]},
        )
    finally:
        Path("/usr/share", name).unlink(missing_ok=True)

    assert (failed["status"], [one["step"] for one in failed["receipt"]["steps"]]) == (1, [1, 2, 3, 4])
    assert (again["status"], again["receipt"]["undo"][0]["do"], again["receipt"]["undo"][1]["task"]) == (
        *(0, "restore"),
        {"kind": "package.remove", "params": {"package": name, "time_limit_seconds": 3600}},
    )
    assert (purged["status"], purged["out"].splitlines()[0]) == (0, "installed")
    assert not program.exists()


def test_48_a_file_that_the_step_before_writes_to_does_not_run(tmp_path: Path, user: pwd.struct_passwd, place: Path) -> None:
    """Not even by root: in place it runs no more, and a new one in its place is not what was agreed to."""
    inner, outer = place / "inner", place / "outer"
    inner.write_text("#!/bin/sh\necho agreed\n")
    outer.write_text(f"#!/bin/sh\necho '#!/bin/sh\necho swapped' > {inner}\n")
    for path in (inner, outer):
        path.chmod(0o755)
    (told,) = ask(tmp_path, user, {"steps": [run(str(outer)), run(str(inner))]})

    receipt: Any = told["receipt"]
    assert (told["out"], told["status"]) == ("", 125)
    assert receipt["steps"][1]["problem"] == "the file was changed after it was agreed to"
    assert "swapped" in inner.read_text()
    assert json.dumps(receipt["written"]).count(str(inner)) == 1
