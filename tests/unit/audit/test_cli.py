"""The audit commands read the file, with a broker beside them or without, and never change it."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit.notes import Signer
from elevate.broker.home import Home
from elevate.cli.audit import app
from elevate.cli.audit_verify import _help, _Work
from elevate.cli.audit_verify import run as verify_plan
from elevate.errors import AuditError, ElevateError, StoreError, StoreForeignError
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.store.checking import Part, Plan
from elevate.testing import SeededEntropy
from tests.ledgers import draft, issue, redeem, request_id, row

ROOT = Path(__file__).resolve().parents[3]
ONE = request_id(1)
TWO = request_id(2)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    for request in (ONE, TWO):
        made.open_request(row(request), draft("requested", request, actor={"user": "al\x1b[2Jice", "uid": 1000}))
        made.step(issue(request))
    made.step(redeem(ONE))
    yield made
    made.close()


def run(store: SqliteStore, *words: str) -> tuple[int, str]:
    """Give exit status and standard output; an error of ours is raised."""
    result = CliRunner().invoke(app, [*words, "--state", str(store.path.parent)])
    if isinstance(result.exception, ElevateError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_tail_gives_the_last_entries(store: SqliteStore) -> None:
    """Into a pipe as JSON lines."""
    code, output = run(store, "tail", "-n", "2")
    assert code == 0
    assert [json.loads(text)["event"] for text in output.splitlines()] == ["issued", "redeemed"]


@pytest.mark.parametrize("name", [ONE, ONE[:8]])
def test_show_gives_one_life(store: SqliteStore, name: str) -> None:
    """By the request's id, by its beginning, or by the token's id."""
    code, output = run(store, "show", name)
    assert code == 0
    assert [json.loads(text)["event"] for text in output.splitlines()] == ["requested", "issued", "redeemed"]


@pytest.mark.parametrize("name", ["ffffffff", "abc", ""])
def test_show_says_when_nothing_has_that_name(store: SqliteStore, name: str) -> None:
    """Or when the name is too short to mean one thing."""
    with pytest.raises(AuditError):
        run(store, "show", name)


def test_37_a_terminal_is_not_driven_by_what_the_log_holds(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control characters in a name are shown, not sent."""
    monkeypatch.setattr("elevate.cli.audit.as_json", lambda *, json: json)
    for command in (["tail"], ["show", ONE]):
        _, output = run(store, *command)
        assert "\x1b" not in output
        assert "al\\u{1b}[2Jice" in output


def test_a_terminal_gets_a_table_and_hears_that_nothing_was_found(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headings stand once above the lines; into a pipe goes neither."""
    for place in ("audit", "audit_search"):
        monkeypatch.setattr(f"elevate.cli.{place}.as_json", lambda *, json: json)
    for command in (["tail"], ["search", "event:issued"]):
        heading, *lines = run(store, *command)[1].splitlines()
        assert heading.split() == ["entry", "time,", "UTC", "request", "event", "who", "what"]
        assert all(line.split()[0].isdecimal() for line in lines)
    assert run(store, "search", "user:zed")[1] == "elevate: hint: no entry that you may see is meant by that\n"
    assert run(store, "search", "user:zed", "--json")[1] == ""


def test_verify_says_what_it_can_not_tell(store: SqliteStore) -> None:
    """Without an anchor the verdict is incomplete: exit status 2."""
    code, output = run(store, "verify")
    assert code == 2
    assert json.loads(output)["outcome"] == "incomplete"


def test_verify_with_an_anchor(store: SqliteStore) -> None:
    """Exit status 0, also when the log has grown since and the broker is gone."""
    size, (_, before) = store.head()[0], run(store, "verify")
    store.append(draft("more"))
    store.close()
    code, output = run(store, "verify", "--anchor", f"{size}:{json.loads(before)['root']}")
    assert code == 0
    assert json.loads(output)["anchored"] == size


def test_a_checkpoint_or_a_proof_is_an_anchor(store: SqliteStore, tmp_path: Path) -> None:
    """What was kept in a file; the log has grown since."""
    (tmp_path / "note").write_text(store.checkpoint())
    (tmp_path / "proof").write_text(store.prove(0))
    store.append(draft("more"))
    for name in ("note", "proof"):
        assert run(store, "verify", "--anchor", str(tmp_path / name))[0] == 0


def test_prove_and_check(store: SqliteStore, tmp_path: Path) -> None:
    """A proof printed by one holds for the other, with the key alone."""
    store.checkpoint()
    (tmp_path / "proof").write_text(run(store, "prove", "0")[1])
    keys = json.loads(run(store, "key")[1])
    result = CliRunner().invoke(app, ["check", str(tmp_path / "proof"), "--key", keys["first"]])
    assert result.exit_code == 0
    assert json.loads(result.output)["entry"]["event"] == "requested"
    other = CliRunner().invoke(app, ["check", str(tmp_path / "proof"), "--key", str(Signer.make("x", b"x" * 32).verifier)])
    assert isinstance(other.exception, AuditError)


def test_several_proofs_are_checked_and_each_is_named(store: SqliteStore, tmp_path: Path) -> None:
    """One that does not hold is said, and the others are checked all the same."""
    store.checkpoint()
    key = store.verifier_key
    names = [str(tmp_path / name) for name in ("a", "b", "c")]
    for position, name in enumerate(names):
        Path(name).write_text(store.prove(position))
    assert CliRunner().invoke(app, ["check", *names, "--key", key]).exit_code == 0
    Path(names[1]).write_text(Path(names[1]).read_text().replace("\nindex 1\n", "\nindex 2\n"))
    result = CliRunner().invoke(app, ["check", *names, str(tmp_path / "none"), "--key", key])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["file"], "error" in line) for line in lines[:3]] == [*zip(names, (False, True, False), strict=True)]
    assert "no such file" in lines[3]["error"]
    assert str(result.exception) == "2 of 4 proofs do not hold"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"junk", "not a checkpoint"), (b"", "not a checkpoint"), (b"\xff", "no text")],
)
def test_consistency_says_what_is_wrong_with_a_file(
    store: SqliteStore, tmp_path: Path, content: bytes | None, message: str
) -> None:
    """A file that is missing and one that is no checkpoint are two things; the hint says where checkpoints are from."""
    good, other = tmp_path / "good", tmp_path / "other"
    good.write_text(store.checkpoint())
    if content is not None:
        other.write_bytes(content)
    for order in ((good, other), (other, good)):
        error = CliRunner().invoke(app, ["consistency", *map(str, order), "--state", str(store.path.parent)]).exception
        assert isinstance(error, AuditError)
        assert message in error.message
        assert str(other) in error.message
        assert "elevate audit checkpoint" in error.hint


def test_bytes_that_are_no_text_are_no_proof(tmp_path: Path) -> None:
    """One clear error, as for any other file that is none."""
    (tmp_path / "proof").write_bytes(b"\xff\xfe")
    result = CliRunner().invoke(app, ["check", str(tmp_path / "proof"), "--key", str(Signer.make("x", b"x" * 32).verifier)])
    assert isinstance(result.exception, AuditError)


def test_42_verify_names_the_first_bad_entry(store: SqliteStore) -> None:
    """A byte edited in the file: exit status 1."""
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE entries SET data = replace(CAST(data AS TEXT), 'issued', 'denied') WHERE seq = 1")
    connection.close()
    code, output = run(store, "verify")
    assert code == 1
    assert (json.loads(output)["position"], json.loads(output)["kind"]) == (1, "edited")


@pytest.mark.parametrize("anchor", ["1", "x:" + "0" * 64, "1:" + "g" * 64, "-1:" + "0" * 64])
def test_a_bad_anchor_is_refused(store: SqliteStore, anchor: str) -> None:
    """With what it should be."""
    with pytest.raises(AuditError, match="SIZE:ROOT"):
        run(store, "verify", "--anchor", anchor)


def test_no_log_is_said_plainly(tmp_path: Path) -> None:
    """And where it was looked for."""
    result = CliRunner().invoke(app, ["tail", "--state", str(tmp_path)])
    assert isinstance(result.exception, AuditError)
    assert str(tmp_path) in result.exception.message


@pytest.mark.parametrize(
    ("content", "kind"), [(b"text, and some more of it" * 99, StoreForeignError), (b"", StoreForeignError)]
)
def test_a_file_that_is_no_ledger_is_said_plainly(tmp_path: Path, content: bytes, kind: type[StoreError]) -> None:
    """Nothing is read from it."""
    (tmp_path / "ledger.sqlite").write_bytes(content)
    result = CliRunner().invoke(app, ["verify", "--state", str(tmp_path)])
    assert isinstance(result.exception, kind)


def test_the_commands_load_little() -> None:
    """Not the broker, nor what only a verification or a connection needs: the shell waits for it."""
    code = "import sys, elevate.cli.audit; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(found.stdout.split())
    assert "elevate.cli.audit" in loaded
    assert not loaded & {
        "elevate.broker.broker",
        "elevate.library",
        "elevate.host",
        "msgspec",
        "jwt",
        "multiprocessing",
        "rich",
    }


def test_reading_changes_nothing(store: SqliteStore) -> None:
    """Not even a file beside it, once the broker is gone and the folder can't be written."""
    store.step(type(redeem(TWO))(request=TWO, before=State.ISSUED, after=State.REVOKED, entry=draft("revoked", TWO)))
    store.close()
    before = {path.name: path.read_bytes() for path in store.path.parent.iterdir()}
    run(store, "verify")
    run(store, "show", TWO)
    after = {path.name: path.read_bytes() for path in store.path.parent.iterdir()}
    assert {name: data for name, data in after.items() if not name.endswith(("-wal", "-shm"))} == before


def test_root_finds_the_machines_log_where_it_has_none_of_its_own(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others see their own only, and are told where it was looked for."""
    for place in ("elevate.cli.whose.MACHINE", "elevate.cli.audit_common.MACHINE"):
        monkeypatch.setattr(place, store.path.parent)
    machine = Home(store.path.parent)
    machine.settings.touch()
    machine.policy.mkdir()
    monkeypatch.setattr("elevate.wire.home", lambda _uid: str(tmp_path / "home"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert CliRunner().invoke(app, ["tail", "-n", "1"]).exit_code == 0
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    error = CliRunner().invoke(app, ["tail"]).exception
    assert isinstance(error, AuditError)
    assert "root's" in error.hint


class Terminal(StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_verify_shows_how_far_it_is_where_somebody_looks_on(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that is written over, and wiped at the end; the work of both processes counts."""
    plan = Plan(store.path)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("elevate.cli.audit_verify.ALONE", 0)
    verdict = verify_plan(plan)
    shown = terminal.getvalue()
    assert verdict.size == store.head()[0]
    assert " %" in shown
    assert shown.endswith("\r" + " " * 32 + "\r")
    assert "\n" not in shown


class _Interrupted(_Work):
    """Ctrl-C comes while a share is checked."""

    def __init__(self) -> None:
        """Nothing is needed."""

    def take(self, tell: Callable[[], None]) -> dict[int, Part]:
        tell()
        os.kill(os.getpid(), signal.SIGINT)
        return {}


def test_the_helping_process_leaves_ctrl_c_to_the_other() -> None:
    """It would print a traceback beside what the command says."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    helper = context.Process(target=_help, args=(_Interrupted(), theirs))
    helper.start()
    theirs.close()
    assert ours.recv() == {}
    helper.join()
    assert helper.exitcode == 0
