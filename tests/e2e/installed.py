"""What `tests.e2e.test_installed` looks at, done in a `tests.stage.Stage`; a program that prints what came of it as JSON.

The tasks are real: apt installs and removes a package, a service manager restarts a service, files of root's are written. All
is asked for by an ordinary user, most of it by ``elevate run`` as ``install-service`` installs it.
"""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elevate.cli.service import changeable
from elevate.library import connect
from elevate.tasks import Task
from tests.stage import Stage
from tests.tools import wait_for

RULES = """
format = 1

[[rule]]
id = "accounts"
effect = "allow"
task = { kind = "process.run", directory = "/usr" }
then = { prompt = "credential" }
why = "The hidden account, with nothing more."

[[rule]]
id = "apt"
effect = "allow"
task = { kind = "process.run", path = ["/usr/bin/apt-get", "/usr/bin/tee", "/usr/bin/cat"] }
then = { prompt = "credential", identity = "root" }
why = "Uid 0, with what package managers need."

[[rule]]
id = "service"
effect = "allow"
task = { kind = "service.control", service = "elevate-stage", action = "restart" }
then = { prompt = "credential" }
why = "This one service."

[[rule]]
id = "configuration"
effect = "allow"
task = { kind = "file.write", directory = "/etc" }
then = { prompt = "credential" }
why = "Configuration."
"""
NO_HEAD = """
format = 1

[[rule]]
id = "no-head"
effect = "deny"
task = { kind = "process.run", path = "/usr/bin/head" }
why = "No."
"""
APT = ("apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=120")
PACKAGE = f"elevate-stage-{os.getpid()}"


def package(stage: Stage) -> dict[str, Any]:
    """Install a package of our own with apt, run what it brings, and remove it with apt."""
    path = build(stage.folder / "package")
    program = Path("/usr/bin", PACKAGE)
    try:
        installed = stage.run(stage.elevate, "run", "--", *APT, "install", str(path), timeout=180)
        ran = stage.run(str(program))
        removed = stage.run(stage.elevate, "run", "--", *APT, "purge", PACKAGE, timeout=180)
        return {"installed": installed, "ran": ran, "removed": removed, "left": program.exists()}
    finally:
        subprocess.run(["/usr/bin/dpkg", "--purge", PACKAGE], check=False, capture_output=True)


def build(tree: Path) -> Path:
    """Build a package with one program and a script that runs after the installation."""
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    control = (
        f"Package: {PACKAGE}\nVersion: 1.0\nArchitecture: all\nMaintainer: Tests <tests@example.org>\nDescription: A test\n"
    )
    (tree / "DEBIAN/control").write_text(control)
    (tree / "usr/bin" / PACKAGE).write_text("#!/bin/sh\necho installed\n")
    (tree / "usr/bin" / PACKAGE).chmod(0o755)
    for folder in (tree, *tree.rglob("*")):
        if folder.is_dir():
            folder.chmod(0o755)
    target = tree.with_name(f"{PACKAGE}.deb")
    subprocess.run(["/usr/bin/dpkg-deb", "--build", str(tree), str(target)], check=True, capture_output=True)
    return target


def service(stage: Stage) -> dict[str, Any]:
    """Restart a service that runit supervises, through the library."""
    with runit() as pid:
        before = pid()
        outcome = stage.as_user(lambda: ask(Task.service("elevate-stage", "restart")))
        return {"outcome": outcome, "another": wait_for(lambda: pid() not in {0, before})}


@contextmanager
def runit() -> Iterator[Callable[[], int]]:
    """Supervise one service in the private /etc; give what says its process's number."""
    place = Path("/etc/service/elevate-stage")
    place.mkdir(parents=True)
    (place / "run").write_text("#!/bin/sh\nexec sleep 1000\n")
    (place / "run").chmod(0o755)

    def pid() -> int:
        found = place / "supervise/pid"
        return int(found.read_text().strip() or 0) if found.exists() else 0

    tree = subprocess.Popen(["/usr/bin/runsvdir", "/etc/service"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: pid() != 0)
        yield pid
    finally:
        tree.send_signal(signal.SIGHUP)  # its services end with it
        tree.wait(timeout=30)


def ask(task: Task) -> dict[str, Any]:
    """Do one task through the library."""
    with connect() as broker, broker.elevate(task, interactive=False) as grant:
        done = grant.run(capture=True)
        return {"status": done.exit_status, "out": done.stdout.decode(), "err": done.stderr.decode()}


def files(stage: Stage) -> dict[str, Any]:
    """Write two files of root's: by a task of its own kind, and by a program whose input is piped in."""
    written, piped = Path("/etc/elevate-stage.conf"), Path("/etc/elevate-stage-piped.conf")
    outcome = stage.as_user(lambda: ask(Task.write(str(written), b"a = 1\n")))
    tee = stage.run(stage.elevate, "run", "--", "tee", str(piped), given=b"b = 2\n")
    found = {str(path): [path.read_text(), path.stat().st_uid] for path in (written, piped)}
    return {"outcome": outcome, "tee": tee, "found": found}


def below_tmp(stage: Stage) -> dict[str, Any]:
    """Start a task some folders below /tmp, of which it has another one."""
    with tempfile.TemporaryDirectory(prefix="elevate-stage-") as folder:
        deep = Path(folder, "some/where")
        deep.mkdir(parents=True)
        for level in (deep, *deep.parents[:2]):
            level.chmod(0o755)
        return {"pwd": stage.run(stage.elevate, "run", "--", "pwd", cwd=deep), "deep": f"{deep}\n"}


def edited(stage: Stage) -> dict[str, Any]:
    """Edit a file that only root can read."""
    secret, editor = Path("/etc/elevate-stage-secret.conf"), stage.folder / "editor"
    secret.write_text("a = 1\n")
    secret.chmod(0o600)
    editor.write_text('#!/bin/sh\nid -u >> "$2"\n')
    editor.chmod(0o755)
    done = stage.run("/usr/bin/env", f"EDITOR={editor}", stage.elevate, "edit", str(secret))
    return {"done": done, "text": secret.read_text(), "mode": secret.stat().st_mode & 0o777}


def at_home(stage: Stage) -> dict[str, Any]:
    """Start a task of the hidden account's in a folder that only its user can enter."""
    private = Path(stage.user.pw_dir, "private")
    private.mkdir(mode=0o700)
    os.chown(private, stage.user.pw_uid, stage.user.pw_gid)
    return {"pwd": stage.run(stage.elevate, "run", "--", "pwd", cwd=private), "private": f"{private}\n"}


def others(stage: Stage) -> dict[str, Any]:
    """Try as an ordinary user what is root's."""
    state = str(stage.home.folder)
    tried = (
        ("uninstall-service",),
        ("uninstall-service", "--root", str(stage.root)),
        ("install-service",),
        ("install-service", "--root", str(stage.root)),
        ("serve", "--state", state),
        ("account", "list", "--state", state),
        ("init", "--state", state),
        ("policy", "check", f"{state}/policy"),
    )
    return {" ".join(words): stage.run(stage.elevate, *words) for words in tried}


def reload(stage: Stage) -> dict[str, Any]:
    """SIGHUP takes new rules in, and keeps the old ones where the new ones are bad."""
    argv = (stage.elevate, "run", "--", "head", "-c0", "/dev/null")
    daemon, (before, *_) = stage.daemon, stage.run(*argv)
    assert daemon is not None
    extra = stage.home.policy / "extra.toml"
    extra.write_text(NO_HEAD)
    extra.chmod(0o600)
    daemon.send_signal(signal.SIGHUP)
    denied = wait_for(lambda: stage.run(*argv)[0] == 126)
    extra.write_text("no rules\n")
    daemon.send_signal(signal.SIGHUP)
    told = wait_for(lambda: "extra.toml" in stage.log.read_text())
    still, *_ = stage.run(*argv)
    extra.unlink()
    return {"before": before, "denied": denied, "told": told, "still": still}


def drain(stage: Stage) -> dict[str, Any]:
    """SIGTERM lets a running task end, takes nothing new, and ends the daemon."""
    daemon = stage.daemon
    assert daemon is not None
    words = [stage.elevate, "run", "--", "sh", "-c", "echo begun; sleep 2; echo ended"]
    task = subprocess.Popen(
        words, user=stage.user.pw_uid, group=stage.user.pw_gid, extra_groups=[], cwd="/", env={}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert task.stdout is not None
    first = task.stdout.readline()
    daemon.send_signal(signal.SIGTERM)
    wait_for(lambda: stage.run(stage.elevate, "run", "--", "true")[0] != 0)
    refused, *_ = stage.run(stage.elevate, "run", "--", "true")
    daemon.send_signal(signal.SIGTERM)
    out, err = task.communicate(timeout=60)
    return {"first": first, "out": out, "err": err, "status": task.returncode, "refused": refused, "daemon": stage.stop()}


def private(stage: Stage) -> dict[str, Any]:
    """Look at how the daemon runs: its command line, and who could change the files that are loaded into it."""
    daemon = stage.daemon
    assert daemon is not None
    words = Path(f"/proc/{daemon.pid}/cmdline").read_bytes().split(b"\0")
    mapped = {line.split()[-1] for line in Path(f"/proc/{daemon.pid}/maps").read_text().splitlines() if line[73:74] == "/"}
    return {
        "words": [word.decode() for word in words[:3]],
        "open": sorted(filter(changeable, map(Path, mapped))),
        "files": len(mapped),
    }


def main() -> None:
    """Do all of it."""
    with Stage(RULES) as stage:
        evil = stage.folder / "evil"
        evil.mkdir()
        marker = stage.folder / "marker"
        for name in ("apsw", "json", "sitecustomize", "usercustomize", "elevate"):
            (evil / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')\n")
        stage.start(cwd=evil, env={"PYTHONPATH": str(evil), "PYTHONSTARTUP": str(evil / "json.py"), "HOME": str(evil)})
        told: dict[str, Any] = {"whoami": stage.run(stage.elevate, "run", "--", "whoami"), "private": private(stage)}
        for part in (package, service, files, edited, below_tmp, at_home, others, reload, drain):
            told[part.__name__] = part(stage)
        told["marker"] = marker.exists()
    print(json.dumps(told, default=str))  # noqa: T201 - what a program of the tests says


if __name__ == "__main__":
    main()
