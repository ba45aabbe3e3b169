"""The real thing: a root daemon on the machine's socket, host linux, and an ordinary user who asks."""

import base64
import json
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.host.acting import a_user

ROOT = Path(__file__).resolve().parents[2]
PLACE = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/elevate && exec "$@"'

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    with a_user() as user:
        yield user


@pytest.fixture
def place(user: pwd.struct_passwd) -> Iterator[Path]:
    folder = Path(f"/srv/elevate-{user.pw_name}")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def ask(tmp_path: Path, user: pwd.struct_passwd, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """Let the user ask for tasks; give one answer for each."""
    argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", PLACE, "sh"]
    argv += [sys.executable, "-m", "tests.e2e.rooted", str(tmp_path), user.pw_name]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        start_new_session=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(*words: str) -> dict[str, Any]:
    return {"kind": "process.run", "params": {"argv": list(words), "cwd": "/"}}


def write(path: str, data: bytes) -> dict[str, Any]:
    return {"kind": "file.write", "params": {"path": path, "cwd": "/"}, "payload": base64.b64encode(data).decode()}


def test_user_gets_what_the_rules_say_once(tmp_path: Path, user: pwd.struct_passwd) -> None:
    """The account, its one capability, bounded root; each token once; what no rule allows is denied."""
    account, reader, other, root, denied = ask(
        tmp_path,
        user,
        run("whoami"),
        run("head", "-c", "5", "/etc/shadow"),
        run("tail", "-c", "5", "/etc/shadow"),
        run("id", "-u"),
        write("/srv/x", b"x"),
    )
    assert (account["out"], account["second"]) == (f"ADMIN_{user.pw_name}\n", "token-spent")
    assert (reader["out"], other["status"], root["out"]) == ("root:", 1, "0\n")
    assert account["receipt"]["session"] != root["receipt"]["session"]
    assert account["receipt"]["identity"] == root["receipt"]["identity"]
    assert denied["error"] == "denied"


def test_protected_file_is_written(tmp_path: Path, user: pwd.struct_passwd) -> None:
    """A file in /etc is written as root, whole, and the receipt says so."""
    target = Path(f"/etc/elevate-{user.pw_name}.conf")
    try:
        (done,) = ask(tmp_path, user, write(str(target), b"a = 1\n"))
        assert (target.read_bytes(), target.stat().st_uid) == (b"a = 1\n", 0)
        assert [entry["path"] for entry in done["receipt"]["written"]] == [str(target)]
    finally:
        target.unlink(missing_ok=True)


@pytest.mark.service
def test_debian_package_is_installed_and_removed(tmp_path: Path, user: pwd.struct_passwd, place: Path) -> None:
    """A small package of the test's own goes in with package.install and out with dpkg."""
    if not Path("/usr/bin/dpkg-deb").exists():
        pytest.skip("this machine has no dpkg")
    package = deb(tmp_path, place, f"elevate-{user.pw_name}")
    program = Path(f"/usr/bin/elevate-{user.pw_name}")
    hooked = Path(f"/usr/share/elevate-{user.pw_name}")
    installed, ran, removed = ask(
        tmp_path,
        user,
        {"kind": "package.install", "params": {"path": str(package), "cwd": "/"}},
        run(program.name),
        run("dpkg", "--purge", program.name),
    )
    assert installed["status"] == 0, installed
    assert str(program) in {entry["path"] for entry in installed["receipt"]["written"]}
    assert (ran["out"], removed["status"]) == ("installed\n", 0), removed
    assert not program.exists()
    assert hooked.read_text() == "0\n"
    hooked.unlink()


def deb(work: Path, place: Path, name: str) -> Path:
    """Build a package with one program and a script that runs after the installation."""
    tree = work / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Tests <tests@example.org>\nDescription: A test\n"
    )
    (tree / "DEBIAN/postinst").write_text(f"#!/bin/sh\nid -u > /usr/share/{name}\n")
    (tree / "DEBIAN/postinst").chmod(0o755)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin" / name).write_text("#!/bin/sh\necho installed\n")
    (tree / "usr/bin" / name).chmod(0o755)
    for folder in (tree, *tree.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    target = place / f"{name}.deb"
    subprocess.run(["/usr/bin/dpkg-deb", "--build", str(tree), str(target)], check=True, capture_output=True)
    return target
