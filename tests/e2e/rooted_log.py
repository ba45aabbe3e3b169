"""A root daemon on the machine's socket and several ordinary users, in a mount namespace with a /run of its own.

A program: ``python -m tests.e2e.rooted_log FOLDER GROUP`` makes the state, in whose settings the group may read the log, starts
``elevate serve``, and does what standard input says: a list of steps as JSON, each by a user (``as``, a name). It prints one
JSON object for each: what came back, or the error. All is imported before: a user may not be able to read where it lies.
"""

import contextlib
import io
import json
import os
import pwd
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elevate.audit.consistency
import elevate.audit.export
import elevate.audit.page
import elevate.audit.report
import elevate.store.checking  # noqa: F401 - see above
from elevate.audit.notes import VerifierKey
from elevate.audit.proof import check
from elevate.broker.home import create
from elevate.cli.audit import app
from elevate.cli.running import run
from elevate.errors import ElevateError
from elevate.library import connect
from elevate.tasks import Task

ROOT = Path(__file__).resolve().parents[2]


def ask(words: list[str]) -> dict[str, Any]:
    """Ask for a task that is denied, or fails: nobody is enrolled."""
    seen: list[str] = []
    try:
        with connect() as broker:
            broker.elevate(Task.run(words, cwd="/"), interactive=False, on_state=lambda request, _: seen.append(request))
    except ElevateError as error:
        return {"error": error.code, "request": seen[0] if seen else ""}
    return {}


def search(words: str) -> dict[str, Any]:
    """Ask for all that words mean."""
    with connect() as broker:
        found = list(broker.search(words))
    return {"found": found, "seq": found[0]["seq"] if found else -1}


def show(name: str) -> dict[str, Any]:
    """Ask for one request."""
    with connect() as broker:
        return broker.show(name)


def prove(position: int) -> dict[str, Any]:
    """Ask for a proof; give what it opens, once it was checked."""
    with connect() as broker:
        text, keys = broker.prove(position), broker.log_keys()
    proven = check(text, VerifierKey.parse(keys[-1]))
    return {"event": proven.entry.event, "body": dict(proven.entry.body), "text": text, "size": proven.checkpoint.size}


def consistency(old: int, new: int) -> dict[str, Any]:
    """Ask what leads from one size to another."""
    with connect() as broker:
        return {"hashes": [one.hex() for one in broker.consistency(old, new)]}


def checkpoint() -> dict[str, Any]:
    """Ask for a checkpoint."""
    with connect() as broker:
        return {"note": broker.checkpoint()}


def follow(start: int) -> dict[str, Any]:
    """Follow from a position on; give the first page."""
    with connect() as broker:
        entries, after = next(broker.pages(position=start))
        return {"found": entries, "next": after}


def hang(count: int) -> dict[str, Any]:
    """Follow so many times at once, and read no more than the first page; the connections stay open as long as this process."""
    told = []
    for _ in range(count):
        broker = connect()
        broker._wire.send("AuditFollow", {"position": 0}, flag="more")
        told.append(broker)
    refused = 0
    for broker in told:
        try:
            broker._wire.receive()
        except ElevateError:
            refused += 1
    with connect() as other:
        return {"refused": refused, "protected": other.status()["protected"]}


def erase(subject: str) -> dict[str, Any]:
    """Erase somebody."""
    with connect() as broker:
        return broker.erase(subject)


def rotate() -> dict[str, Any]:
    """Rotate the log's key."""
    with connect() as broker:
        return {"key": broker.rotate_log_key()}


def cli(words: list[str]) -> dict[str, Any]:
    """Run ``elevate audit`` as a person does."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = run(app, words, "elevate audit")
    return {"status": status, "out": out.getvalue()}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {
    "ask": ask,
    "search": search,
    "show": show,
    "prove": prove,
    "consistency": consistency,
    "checkpoint": checkpoint,
    "follow": follow,
    "hang": hang,
    "erase": erase,
    "rotate": rotate,
    "cli": cli,
}


def act(step: dict[str, Any]) -> dict[str, Any]:
    """Do one step in a process of the user's own."""
    entry = pwd.getpwnam(step["as"])
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            told = json.dumps(_done(step))
            with os.fdopen(writable, "w") as file:
                file.write(told)
        except BaseException:  # noqa: BLE001 - said where it can be seen
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable) as file:
        told = file.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(told)
    return found


def _done(step: dict[str, Any]) -> dict[str, Any]:
    try:
        return STEPS[step["do"]](*step.get("with", []))
    except ElevateError as error:
        return {"error": error.code, "message": error.message, "hint": error.hint}


def main(folder: Path, group: str) -> None:
    """Serve as root, act as the users."""
    home = create(folder / "state", simulated=True)
    home.settings.write_text(home.settings.read_text().replace("log_readers = []", f'log_readers = ["{group}"]'))
    steps = json.load(sys.stdin)
    argv = [sys.executable, "-m", "elevate", "serve", "--state", str(home.folder), "--socket", "/run/elevate/broker.sock"]
    daemon = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        results: list[dict[str, Any]] = []
        for step in steps:
            # A step can name what an earlier one gave: {"of": [NUMBER, MEMBER]}.
            given = [results[one["of"][0]][one["of"][1]] if isinstance(one, dict) else one for one in step.get("with", [])]
            results.append(act({**step, "with": given}))
            sys.stdout.write(json.dumps(results[-1]) + "\n")
    finally:
        daemon.terminate()
        daemon.communicate(timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
