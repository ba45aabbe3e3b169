"""Rows 33, 34 and 42: policy and log, mounted by a user against the root daemon."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from elevate.audit import Outcome
from elevate.cli.audit_verify import run as verify
from elevate.host.sealed import seal
from elevate.store.checking import Plan
from tests.attacks.real.arena import Arena
from tests.attacks.real.sides import Side, elevate, naive
from tests.attacks.test_log import change

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
DENIED = ["/usr/bin/nproc"]
THEN = 'then = { prompt = "credential" }\n'
NEGATED = '[[rule]]\nid = "all-but-root"\neffect = "allow"\nwho = { user = "!root" }\ntask = { kind = "file.write" }\n' + THEN
GRANT = '[[rule]]\nid = "mine"\neffect = "allow"\ntask = { kind = "file.write", directory = "/srv" }\n' + THEN
WRITE = {"kind": "file.write", "params": {"path": "/srv/elevate-of-mine", "cwd": "/"}}


@pytest.fixture
def opened(arena: Arena) -> Iterator[Path]:
    """The administrator's mistake: a rule file that others can write, in folders that they can enter."""
    extra = arena.state / "policy" / "extra.toml"
    extra.write_text("format = 1\n")
    extra.chmod(0o666)
    for folder in (arena.state, arena.state / "policy"):
        folder.chmod(0o755)
    yield extra
    for folder in (arena.state, arena.state / "policy"):
        folder.chmod(0o700)
    extra.unlink()
    arena.reload()


def appends(path: Path) -> None:
    with path.open("a") as file:
        file.write(GRANT)


def asks() -> str:
    """Ask for what only the rule in question would allow; say why not."""
    return elevate().elevate(WRITE, (seal(b"x"),), payload_fd=0).refused.partition(":")[0]


def test_33_rule_file_that_others_can_write(arena: Arena, opened: Path) -> None:
    """It is not loaded, and what was in force stays; once it is root's alone, the same text counts."""
    arena.act(appends, opened, user="mallory")
    assert "can be written by others" in arena.reload()
    assert arena.act(asks) == "denied"
    opened.chmod(0o600)
    assert (arena.reload(), arena.act(asks)) == ("", "")


def test_33_naive_rule_file_that_others_can_write(arena: Arena) -> None:
    """There whoever can write it decides."""
    path = arena.naive / "policy" / "rules.json"
    before = path.read_text()
    arena.act(lambda: path.write_text(json.dumps({"allow": ["/"], "deny": [], "run_as": []})), user="mallory")
    try:
        assert arena.act(lambda: naive().run(DENIED).status) == 0
    finally:
        path.write_text(before)


def test_34_everybody_but_root(arena: Arena) -> None:
    """There is no such rule: the file that says it is refused. With a name in its place it is one."""
    rule = arena.state / "policy" / "negated.toml"
    rule.write_text("format = 1\n" + NEGATED)
    rule.chmod(0o600)
    try:
        assert "negated.toml:5" in arena.reload()
        assert arena.act(asks) == "denied"
        rule.write_text(rule.read_text().replace("!root", arena.users["alice"].pw_name))
        assert (arena.reload(), arena.act(asks)) == ("", "")
    finally:
        rule.unlink()
        arena.reload()


def test_34_naive_everybody_but_root(arena: Arena) -> None:
    """There the negated name is passed by a number that is root all the same."""
    told = arena.act(lambda: [naive().run(["/usr/bin/id", "-u"], run_as=uid) for uid in (0, -1)][1].out)
    assert told == "0\n"
    assert arena.act(lambda: naive().ask(["/usr/bin/id", "-u"], run_as=0).refused) == "PermissionError: not as root"


def unwrites(path: Path, mark: str) -> bool:
    """Take one's own line out of a log; say whether that was possible."""
    try:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if mark not in line))
    except OSError:
        return False
    return True


def test_42_entry_taken_out(arena: Arena, tmp_path: Path) -> None:
    """The user reaches no file of the log; and whoever does is named."""
    mark = f"mark-{os.getpid()}"
    arena.act(lambda: elevate().run(["/usr/bin/id"], reason=mark).out)
    names = [path for path in arena.state.iterdir() if path.name.startswith("ledger")]
    assert names
    assert not any(arena.act(unwrites, path, mark) for path in names)
    copy = tmp_path / "log"
    copy.mkdir(mode=0o700)
    for path in names:
        shutil.copy(path, copy)
    change(copy / "ledger.sqlite", "DELETE FROM entries WHERE seq = 2")
    verdict = verify(Plan(copy / "ledger.sqlite", since=0, known=(), key=None))
    assert (verdict.outcome, verdict.position) == (Outcome.TAMPERED, 2)


def test_42_naive_entry_taken_out(arena: Arena) -> None:
    """There it is gone, and nobody can tell."""
    mark = f"mark-{os.getpid()}"
    arena.act(lambda: naive().run(["/usr/bin/id"], reason=mark).out)
    assert mark in (arena.naive / "log").read_text()
    assert arena.act(unwrites, arena.naive / "log", mark)
    assert mark not in (arena.naive / "log").read_text()
