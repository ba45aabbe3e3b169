"""What `tests.e2e.test_systemd` looks at, done as a service of a systemd that `tests.boot` started; prints JSON.

elevate is installed by ``install-service`` as an administrator does it, and all that follows goes by systemd: the socket that
starts the daemon, the options of the unit, the restart of another unit, reload, stop and removal.
"""

import json
import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elevate.cli import service
from elevate.errors import ElevateError
from elevate.library import connect
from elevate.tasks import Task
from tests.e2e import installed
from tests.e2e.logins import sessions
from tests.stage import NAME, SOCKET, Stage, run
from tests.tools import wait_for

OTHER, NEW = "elevate-stage", "elevate-new"
_OTHER = "[Service]\nExecStart=/usr/bin/sleep 1000\n"
_RULES = (
    installed.RULES
    + """
[[rule]]
id = "narrow"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/touch" }
then = { prompt = "credential", identity = "root", writable = ["/srv"], network = false }
why = "In this folder only."

[[rule]]
id = "units"
effect = "allow"
task = { kind = "service.control", action = ["start", "stop"] }
then = { prompt = "credential" }
why = "Any of the machine's."

[[rule]]
id = "not-this-one"
effect = "deny"
task = { kind = "service.control", service = "elevate-closed" }
why = "However it is started."

[[rule]]
id = "brought"
effect = "allow"
task = { kind = "service.control", service = "elevate-new", action = "start", brought = true }
then = { prompt = "credential" }
why = "Also one that is only being installed."
"""
)
_UNITS = {
    "elevate-closed.service": _OTHER,
    "elevate-closed.timer": "[Timer]\nOnActiveSec=1us\n",
    "elevate-closed.socket": "[Socket]\nListenStream=/run/elevate-closed\n",
    "elevate-other.timer": "[Timer]\nOnActiveSec=1us\nUnit=elevate-closed.service\n",
    "elevate-more.path": "[Path]\nPathExists=/\n",
    "elevate-more.path.d/unit.conf": "[Path]\nUnit=elevate-closed.service\n",
    "elevate-open.timer": "[Timer]\nOnActiveSec=1us\n",
    "elevate-open.service": _OTHER,
}
THIRTY_TWO = bytes.fromhex(
    "7f454c46010101000000000000000000020003000100000054800408340000000000000000000000340020000100000000000000"
    "0100000000000000008004080080040860000000600000000500000000100000"
    "b801000000bb2a000000cd80"
)
"""A 32-bit program that ends with 42: the file's header, that of one segment, three instructions."""
_LEFT = re.compile(r"elevate|elevate\..*|elevate-admin|broker\.sock")
_SOON = Path("/run/systemd/system/elevate.service.d/soon.conf")


class Booted(Stage):
    """A stage that is the whole machine: elevate is installed at its own places, and systemd starts the daemon."""

    def _surround(self, stack: ExitStack) -> None:
        del stack  # the machine is private already
        self.root = Path("/")
        run("/bin/rm", "-rf", *map(str, service.files(self.root)), "/var/lib/elevate", "/var/lib/elevate-admin", "/etc/elevate")

    def _install(self, elevate: tuple[str, ...]) -> None:
        run(*elevate, "install-service")
        again = run(*elevate, "install-service").splitlines()[-1]
        self.installed = _look() | {"again": again}
        run("systemctl", "stop", *service.UNITS)


def _look() -> dict[str, Any]:
    paths = ("/run/elevate", "/var/lib/elevate", "/etc/elevate", str(SOCKET))
    return {
        "active": [_systemctl("is-active", unit) for unit in service.UNITS],
        "enabled": [_systemctl("is-enabled", unit) for unit in service.UNITS],
        "failed": run("systemctl", "--failed", "--no-legend", "--plain"),
        "group": "\nelevate:" in Path("/etc/group").read_text(),
        "modes": {path: _mode(Path(path).stat()) for path in paths},
    }


def _mode(found: os.stat_result) -> list[object]:
    return [found.st_uid, f"{found.st_mode & 0o7777:o}"]


def activated(stage: Stage) -> dict[str, Any]:
    """Let the first request start the daemon, by its socket."""
    run("systemctl", "start", "elevate.socket")
    before = _systemctl("is-active", "elevate.service")
    first = stage.run(stage.elevate, "run", "--", "whoami")
    return {"before": before, "first": first, "after": _systemctl("is-active", "elevate.service")}


def daemon(stage: Stage) -> dict[str, Any]:
    """Look at the daemon as the kernel sees it, under what the unit says."""
    del stage
    pid = _main_pid()
    found = _status(Path(f"/proc/{pid}/status").read_text())
    return {
        "status": {name: found[name] for name in ("Uid", "Umask", "NoNewPrivs", "Seccomp")},
        "capabilities": found["CapEff"] == found["CapBnd"] == _status(Path("/proc/1/status").read_text())["CapBnd"],
        "protected": Path(f"/proc/{pid}/oom_score_adj").read_text().strip(),
        "may_protect": bool(int(found["CapBnd"], 16) & 1 << 24),
        "tasks": [int(_systemctl("show", "--value", "-p", "TasksMax", "elevate.service")), _most_tasks()],
        "cgroup": Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1],
        "same_mounts": Path(f"/proc/{pid}/ns/mnt").readlink() == Path("/proc/1/ns/mnt").readlink(),
        "cwd": str(Path(f"/proc/{pid}/cwd").readlink()),
    }


def _most_tasks() -> int:
    return min(int(Path("/proc/sys/kernel", name).read_text()) for name in ("pid_max", "threads-max"))


def tasks(stage: Stage) -> dict[str, Any]:
    """Look at what a task has of the daemon's surroundings: nothing that the unit says of the daemon binds it."""
    words = ("cat", "/proc/self/status", "/proc/self/oom_score_adj", "/proc/self/cgroup")
    told = stage.run(stage.elevate, "run", "--", *words)[1]
    program = Path("/usr/local/bin/elevate-stage-32")
    program.write_bytes(THIRTY_TWO)
    program.chmod(0o755)
    return {
        "status": {name: _status(told)[name] for name in ("Seccomp", "SigBlk")},
        "ignores_pipe": bool(int(_status(told)["SigIgn"], 16) & 1 << 12),
        "protected": next(line for line in told.splitlines() if line.lstrip("-").isdigit()),
        "cgroup": told.splitlines()[-1],
        "thirty_two": [_ends(str(program)), stage.run(stage.elevate, "run", "--", str(program))[0]],
        "personality": stage.run(stage.elevate, "run", "--", "setarch", "-R", "true"),
    }


def _ends(program: str) -> int:
    try:
        return subprocess.run([program], check=False).returncode
    except OSError:  # a kernel without 32-bit programs
        return 126


def confined(stage: Stage) -> dict[str, Any]:
    """Run a task that may write in one folder only, without a network; its receipt is the kernel's word."""
    inside = stage.as_user(lambda: _receipt(Task.run(["/usr/bin/touch", "/srv/elevate-stage"])))
    outside = stage.run(stage.elevate, "run", "--", "touch", "/etc/elevate-stage")
    return {"inside": inside, "outside": outside[0], "there": Path("/srv/elevate-stage").exists()}


def _receipt(task: Task) -> dict[str, Any]:
    with connect() as broker, broker.elevate(task, interactive=False) as grant:
        outcome = grant.run(capture=True)
        return {"status": outcome.exit_status, "receipt": outcome.receipt}


def restarted(stage: Stage) -> dict[str, Any]:
    """Restart another unit, over the real bus."""
    Path("/etc/systemd/system", f"{OTHER}.service").write_text(_OTHER)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", OTHER)
    before = _systemctl("show", "--value", "-p", "MainPID", OTHER)
    outcome = stage.as_user(lambda: installed.ask(Task.service(OTHER, "restart")))
    after = _systemctl("show", "--value", "-p", "MainPID", OTHER)
    return {"outcome": outcome, "another": after not in {"0", before}, "active": _systemctl("is-active", OTHER)}


def triggered(stage: Stage) -> dict[str, Any]:
    """Start a service that is denied by the units that start it, by name or by what they say; and one that is not."""
    for name, text in _UNITS.items():
        path = Path("/etc/systemd/system", name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    run("systemctl", "daemon-reload")
    asked = ["elevate-closed", *(name for name in _UNITS if not name.endswith((".service", ".conf")))]
    told = {name: _answer(stage, Task.service(name, "start")) for name in asked}
    opened = wait_for(lambda: _systemctl("is-active", "elevate-open") == "active")
    return {"told": told, "opened": opened, "closed": _systemctl("is-active", "elevate-closed")}


def _answer(stage: Stage, task: Task) -> object:
    """Give the exit status of a task of the user's, or what is said where it is refused."""

    def told() -> dict[str, Any]:
        try:
            return installed.ask(task)
        except ElevateError as error:
            return {"status": f"{error.code}: {error.message}"}

    return stage.as_user(told)["status"]


def brought(stage: Stage) -> dict[str, Any]:
    """Install a service and start it, in one row; systemd itself reads the new unit."""
    unit = Task.write(f"/etc/systemd/system/{NEW}.service", _OTHER.encode())
    elsewhere = Task.write(f"/run/systemd/system/{NEW}.service", _OTHER.encode())
    start = Task.service(NEW, "start")
    twice = _answer(stage, Task.in_order([unit, elsewhere, start]))
    once = _answer(stage, Task.in_order([unit, start]))
    return {"twice": twice, "once": once, "active": _systemctl("is-active", NEW)}


def killed(stage: Stage) -> dict[str, Any]:
    """Kill the daemon while a task runs, and let nothing start it for a while; then take the reason away."""
    _SOON.parent.mkdir(parents=True)
    _SOON.write_text("[Service]\nRestartSec=100ms\n")
    run("systemctl", "daemon-reload")
    task = _begin(stage, "echo begun; sleep 1000")
    settings, before = stage.home.settings, _main_pid()
    text = settings.read_text()
    settings.write_text("no settings\n")
    run("systemctl", "kill", "--kill-who=main", "--signal=KILL", "elevate.service")
    asking = [subprocess.Popen([stage.elevate, "status"], stdout=-3, stderr=-3) for _ in range(3)]
    asked_doctor = doctor(stage)
    tried = wait_for(lambda: int(_systemctl("show", "--value", "-p", "NRestarts", "elevate.service")) > 6)
    settings.write_text(text)
    back = wait_for(lambda: stage.run(stage.elevate, "run", "--", "true")[0] == 0)
    task.communicate(timeout=60)
    _SOON.unlink()
    _SOON.parent.rmdir()
    run("systemctl", "daemon-reload")
    asked = [one.wait(timeout=60) for one in asking]
    return {"tried": tried, "back": back, "asked": asked, "another": _main_pid() != before, "task": task.returncode != 0} | {
        "doctor": {name: one["found"] for name, one in asked_doctor["not_ok"].items() if one["state"] == "wrong"}
    }


def restored(stage: Stage) -> dict[str, Any]:
    """Put an older copy of the broker's folder back, as docs/operating.md says; an anchor from after it shows that."""
    state, copy = str(stage.home.folder), "/var/lib/copy-of-the-brokers"
    run("systemctl", "stop", *service.UNITS)
    run("cp", "-a", state, copy)
    run("systemctl", "start", *service.UNITS)
    after = stage.run(stage.elevate, "run", "--", "true")[0]
    run(stage.elevate, "audit", "checkpoint", "-o", "/root/anchor")
    run("systemctl", "stop", *service.UNITS)
    run("rm", "-rf", state)
    run("cp", "-a", copy, state)
    run("systemctl", "start", *service.UNITS)
    again = stage.run(stage.elevate, "run", "--", "true")[0]
    rotated = run(stage.elevate, "audit", "rotate-key")
    verdicts = [_verify(stage), _verify(stage, "--anchor", "/root/anchor")]
    return {"after": after, "again": again, "rotated": rotated, "verdicts": verdicts}


def _verify(stage: Stage, *words: str) -> int:
    return subprocess.run([stage.elevate, "audit", "verify", *words], check=False, stdout=subprocess.DEVNULL).returncode


def reloaded(stage: Stage) -> dict[str, Any]:
    """``systemctl reload`` takes a new rule in, and keeps the old ones where the new ones are bad; the journal names it."""
    argv = (stage.elevate, "run", "--", "head", "-c0", "/dev/null")
    extra = stage.home.policy / "extra.toml"
    extra.write_text(installed.NO_HEAD)
    extra.chmod(0o600)
    run("systemctl", "reload", "elevate")
    denied = wait_for(lambda: stage.run(*argv)[0] == 126)
    extra.write_text("no rules\n")
    run("systemctl", "reload", "elevate")
    told = wait_for(lambda: "extra.toml" in run("journalctl", "-u", "elevate.service", "--no-pager"))
    still, *_ = stage.run(*argv)
    extra.unlink()
    run("systemctl", "reload", "elevate")
    return {"denied": denied, "told": told, "still": still}


def doctor(stage: Stage) -> dict[str, Any]:
    """Ask doctor, as root."""
    done = subprocess.run([stage.elevate, "doctor", "--json"], check=False, capture_output=True, text=True)
    return {"status": done.returncode, "not_ok": {one["name"]: one for one in json.loads(done.stdout) if one["state"] != "ok"}}


def stopped(stage: Stage) -> dict[str, Any]:
    """``systemctl stop`` lets a running task end."""
    task = _begin(stage, "echo begun; sleep 1; echo ended")
    run("systemctl", "stop", *service.UNITS)
    out, _ = task.communicate(timeout=60)
    result = _systemctl("show", "--value", "-p", "Result", "elevate.service")
    return {"out": out, "status": task.returncode, "result": result, "socket": SOCKET.exists()}


def _begin(stage: Stage, script: str) -> "subprocess.Popen[str]":
    """Start a task as the user, and wait for its first line."""
    task = subprocess.Popen(
        [stage.elevate, "run", "--", "sh", "-c", script], user=stage.user.pw_uid, group=stage.user.pw_gid, extra_groups=[],
        cwd="/", env={}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert task.stdout is not None
    assert task.stdout.readline() == "begun\n"
    return task


def removed(stage: Stage) -> dict[str, Any]:
    """Start it again, and take everything away."""
    run("systemctl", "start", *service.UNITS)
    listed = run(stage.elevate, "account", "list")
    said = run(stage.elevate, "uninstall-service", "--purge")
    places = ("/etc", "/usr/local", "/run", "/var/lib/systemd", "/sys/fs/cgroup")
    found = [path for place in places for path in Path(place).rglob("*") if _LEFT.fullmatch(path.name)]
    found += [path for path in map(Path, ("/var/lib/elevate", "/var/lib/elevate-admin")) if path.exists()]
    return {
        "listed": listed,
        "said": said,
        "left": sorted(map(str, found)),
        "units": run("systemctl", "list-units", "--all", "--no-legend", "--plain", "elevate.*"),
        "account": f"ADMIN_{NAME}:" in Path("/etc/passwd").read_text(),
    }


def _main_pid() -> str:
    return _systemctl("show", "--value", "-p", "MainPID", "elevate.service")


def _status(text: str) -> dict[str, str]:
    return {name: value.split("\t")[0] for name, _, value in (line.partition(":\t") for line in text.splitlines())}


def _systemctl(*words: str) -> str:
    return subprocess.run(["/usr/bin/systemctl", *words], check=False, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Do all of it."""
    with Booted(_RULES) as stage:
        told: dict[str, Any] = {"installed": stage.installed}
        parts = (
            activated, daemon, tasks, installed.package, installed.files, installed.below_tmp, confined, restarted,
            triggered, brought, killed, sessions, reloaded, doctor, restored, stopped, removed,
        )  # fmt: skip
        told |= {part.__name__: part(stage) for part in parts}
    print(json.dumps(told, default=str))  # noqa: T201 - what a program of the tests says


if __name__ == "__main__":
    main()
