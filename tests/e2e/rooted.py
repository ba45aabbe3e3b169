"""A root daemon with host linux, and a client that is an ordinary user: both in a mount namespace with a /run of its own.

A program: ``python -m tests.e2e.rooted FOLDER USER`` makes the state, starts ``elevate serve``, becomes the user, and does what
standard input says, a list of tasks as JSON. It prints one JSON object for each: what came back, or the error's code.
"""

import base64
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from elevate.broker import Broker
from elevate.broker.home import create
from elevate.errors import ElevateError
from elevate.hello import Proof
from elevate.host.linux import LinuxHost
from elevate.library import connect
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


def ask(task: dict[str, Any]) -> dict[str, Any]:
    """Ask for one task as the user; run it twice."""
    payload = base64.b64decode(task["payload"]) if "payload" in task else None
    try:
        with (
            connect() as broker,
            broker.elevate(Task.parse(task["kind"], task["params"], payload=payload), interactive=False) as grant,
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


def as_user(entry: pwd.struct_passwd, tasks: list[dict[str, Any]]) -> NoReturn:
    """Become the user for good, and ask."""
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    try:
        for task in tasks:
            sys.stdout.write(json.dumps(ask(task)) + "\n")
            sys.stdout.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
