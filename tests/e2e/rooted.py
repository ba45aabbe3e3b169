"""A root daemon with host linux, and a client that is an ordinary user: both in a mount namespace with a /run of its own.

A program: ``python -m tests.e2e.rooted FOLDER USER`` makes the state, starts ``elevate serve``, becomes the user, and does what
standard input says, a list of tasks as JSON. It prints one JSON object for each: what came back, or the error's code.
"""

import base64
import importlib.util
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from elevate.broker import Broker
from elevate.broker.home import create
from elevate.errors import ElevateError
from elevate.hello import Proof
from elevate.host.linux import LinuxHost
from elevate.library import connect
from elevate.resources import shipped
from elevate.tasks import Task

ROOT = Path(__file__).resolve().parents[2]
RULES = """
format = 1

[[rule]]
id = "accounts"
effect = "allow"
task = { kind = "process.run", directory = "/usr" }
then = { prompt = "credential" }
why = "The hidden account, with nothing more."

[[rule]]
id = "shadow"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/head" }
then = { prompt = "credential", capabilities = ["CAP_DAC_READ_SEARCH"] }
why = "Reading only."

[[rule]]
id = "roots"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/id" }
then = { prompt = "credential", identity = "root", capabilities = ["CAP_CHOWN"] }
why = "Uid 0."

[[rule]]
id = "dpkg"
effect = "allow"
task = { kind = "process.run", path = "/usr/bin/dpkg" }
then = { prompt = "credential", identity = "root" }
why = "Uid 0, with what package managers need."

[[rule]]
id = "packages"
effect = "allow"
task = { kind = "package.install", directory = "/srv" }
then = { prompt = "credential" }
why = "From there only."

[[rule]]
id = "installers"
effect = "allow"
task = { kind = "process.run", directory = "/srv" }
then = { prompt = "credential", identity = "root" }
why = "From there only, as root."

[[rule]]
id = "files"
effect = "allow"
task = { kind = "file.write", directory = "/etc" }
then = { prompt = "credential" }
why = "Configuration."

[[rule]]
id = "menu"
effect = "allow"
task = { kind = "file.write", directory = "/usr/share/applications" }
then = { prompt = "credential" }
why = "Everyone's menu."
"""


def make_state(folder: Path, uid: int) -> None:
    """Make a broker's folder for host linux, in which the user has a face that the scripted sensor sees."""
    home = create(folder, simulated=True)
    text = home.settings.read_text()
    home.settings.write_text(text.replace('host = "emulated"', 'host = "linux"'))
    for path in home.policy.iterdir():
        path.unlink()
    (home.policy / "rules.toml").write_text(RULES)
    (home.policy / "rules.toml").chmod(0o600)
    with Broker.open(folder) as broker:
        user, _, _ = broker.parts.host.user_for(uid)
        broker.hello.enrol_pin(user, bytearray(b"274913"), root=True)
        broker.hello.enrol(user, "face", Proof(gesture="pin", secret=bytearray(b"274913")))


def parse(task: dict[str, Any]) -> Task:
    """Read a task of the test's, or several."""
    if "steps" in task:
        *steps, last = map(parse, task["steps"])
        return Task.in_order(steps, undo=[last]) if task.get("undo") else Task.in_order([*steps, last])
    payload = base64.b64decode(task["payload"]) if "payload" in task else None
    return Task.parse(task["kind"], task["params"], payload=payload)


def use_installer(wanted: dict[str, Any], setup: ModuleType) -> dict[str, Any]:
    """Install or remove the demo's product as the user; ``failing`` is where a step that fails is put between."""

    class Product(setup.Setup):  # type: ignore[name-defined,misc]
        def steps(self, version: str) -> list[Task]:
            steps, at = super().steps(version), wanted.get("failing", -1)
            return steps if at < 0 else [*steps[:at], Task.run(["/usr/bin/false"]), *steps[at:]]

    with connect() as broker:
        product = Product(broker, Path(wanted["state"]), helper=Path(wanted["helper"]))
        try:
            if wanted["installer"] == "plan":
                return {"plan": [one.outcome for one in product.plan(wanted["version"])]}
            receipt = product.install(wanted["version"]) if wanted["installer"] == "install" else product.uninstall()
        except (ElevateError, setup.SetupError) as error:
            return {"error": str(error), "progress": product.progress}
        return {"progress": product.progress, "identity": receipt.identity, "as": [one.identity for one in receipt.steps]} | {
            "written": [[one.step, one.path, one.change] for one in receipt.written]
        }


def ask(task: dict[str, Any], setup: ModuleType) -> dict[str, Any]:
    """Ask for one task as the user; run it twice. Or use the demo's installer."""
    if "installer" in task:
        return use_installer(task, setup)
    try:
        with (
            connect() as broker,
            broker.elevate(parse(task), interactive=False) as grant,
        ):
            outcome = grant.run(capture=True)
            try:
                grant.run()
                second = "ran"
            except ElevateError as error:
                second = error.code
            return {
                "status": outcome.exit_status,
                "out": outcome.stdout.decode(),
                "err": outcome.stderr.decode(),
                "second": second,
                "receipt": outcome.receipt,
            }
    except ElevateError as error:
        return {"error": error.code, "message": error.message}


def main(folder: Path, user: str) -> None:
    """Serve as root, ask as the user."""
    entry = pwd.getpwnam(user)
    state = folder / "state"
    make_state(state, entry.pw_uid)
    tasks = json.load(sys.stdin)
    argv = [sys.executable, "-m", "elevate", "serve", "--state", str(state), "--socket", "/run/elevate/broker.sock"]
    daemon = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        child = os.fork()
        if child == 0:
            as_user(entry, tasks)
        os.waitpid(child, 0)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=60)
        with Broker.open(state) as broker:
            host = broker.parts.host
            assert isinstance(host, LinuxHost)
            for pair in host.accounts.pairs():
                host.accounts.remove(pair.user)


def load_setup() -> ModuleType:
    """Load the user's half of the demo's installer, where that may still be read."""
    spec = importlib.util.spec_from_file_location("contoso_setup", shipped("demo/installer/setup.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_user(entry: pwd.struct_passwd, tasks: list[dict[str, Any]]) -> NoReturn:
    """Become the user for good, and ask."""
    setup = load_setup()
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    try:
        for task in tasks:
            sys.stdout.write(json.dumps(ask(task, setup)) + "\n")
            sys.stdout.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
