"""Bad input through the real command line: one clear error, one hint, the right exit status, and nothing lost."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.cli.app import app
from elevate.cli.policy_tools import CVTSUDOERS
from elevate.errors import LockedOutError, NoBrokerError, StoreUnwritableError, TaskKindUnknownError, TokenRevokedError
from elevate.library import connect
from elevate.tasks import Task
from tests.e2e.daemon import PIN, ROOT, Daemon, command
from tests.e2e.private import inside
from tests.transcripts.terminal import Terminal

RULE = '[[rule]]\nid = "{id}"\neffect = "allow"\ntask = {{ kind = "process.run", path = "/usr/bin/id" }}\nwhy = "w"\n'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("daemon")) as made:
        yield made


def one_error(err: str) -> str:
    """Give the error's text; there must be one, with one hint."""
    lines = [line for line in err.splitlines() if line.startswith("elevate: ")]
    assert [line.split(": ")[1] for line in lines] == ["error", "hint"], err
    assert "Traceback" not in err
    return lines[0].removeprefix("elevate: error: ")


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["explain"], 125, "the command is empty"),
        (["explain", "--kind", "file.write", "path"], 125, "a parameter is NAME=VALUE"),
        (["explain", "--kind", "file.write", "path=x", "mode=rwx"], 125, "the parameter mode is not a number"),
        (["explain", "--kind", "file.write", "paht=x"], 125, "file.write has no parameter paht"),
        (["explain", "--kind", "service.control", "service=a b", "action=start"], 125, "the parameter service can't be 'a b'"),
        (["explain", "--kind", "service.control", "service=x", "action=eat"], 125, "the parameter action can't be eat"),
        (
            ["explain", "--kind", "file.write", "path=" + "x" * 5000],
            125,
            "the parameter path is empty, has a NUL or is over 4095 bytes",
        ),
        (["nonsense"], 125, "no such command 'nonsense'"),
        (["status", "--nonsense"], 125, "no such option: --nonsense"),
        (["token", "inspect", "eyJhbGciOiJub25lIn0"], 126, "a token is read from standard input"),
        (["audit", "verify", "--state", "/nonexistent"], 125, "no log is there: /nonexistent/ledger.sqlite"),
        (["serve", "--state", "/nonexistent"], 125, "no broker was made in /nonexistent"),
        (["serve", "--nonsense"], 125, "unknown or incomplete option --nonsense"),
        (["init", "--remove", "--state", "/nonexistent"], 125, "no broker's folder is there: /nonexistent"),
        (["init", "--policy", "no-such", "--state", "/nonexistent/x"], 125, "no policy set is called no-such"),
    ],
)
def test_command_lines(words: list[str], status: int, error: str) -> None:
    """What can't be meant is said."""
    given = command(words)
    assert (given[0], given[1]) == (status, "")
    assert one_error(given[2]) == error


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("policy check /dev/zero", "/dev/zero is over 4 MB"),
        ("policy import sudoers /dev/zero", "/dev/zero can't be read: it is over 64 MB"),
        ("audit export -F jsonl --cursor /dev/zero", "the cursor can't be read: /dev/zero"),
        ("audit verify --anchor /dev/zero", "the note is too long or holds control characters"),
    ],
)
def test_file_that_never_ends(words: str, error: str) -> None:
    """It is read up to a bound, with the memory that a small machine has."""
    bounded = ["/bin/sh", "-c", 'ulimit -v 1500000; exec "$@"', "sh", sys.executable, "-m", "elevate", *words.split()]
    done = subprocess.run(bounded, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, one_error(done.stderr)) == (125, error)


@pytest.mark.parametrize("words", ["--version", "run --help", "policy schema", "audit", "doctor --json"])
def test_output_that_is_full(words: str) -> None:
    """One error, and neither a traceback nor one of the interpreter's end."""
    with Path("/dev/full").open("w") as full:
        called = [sys.executable, "-m", "elevate", *words.split()]
        done = subprocess.run(called, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, one_error(done.stderr)) == (125, "the output can't be written: No space left on device")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("words", ["--version", "policy schema", "audit --help"])
def test_reader_that_has_gone(words: str) -> None:
    """The status is the signal's, as of any program; 1 and 2 would say something of the log or the rules."""
    ours, theirs = os.pipe()
    os.close(ours)
    called = [sys.executable, "-m", "elevate", *words.split()]
    with os.fdopen(theirs, "wb") as pipe:
        done = subprocess.run(called, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (141, "")


def test_output_that_is_closed() -> None:
    """What there is to say is not said, and nothing else fails."""
    called = [
        "/bin/sh",
        "-c",
        'exec "$@" >&-',
        "sh",
        sys.executable,
        "-m",
        "elevate",
        "audit",
        "key",
        "--state",
        "/nonexistent",
    ]
    done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, one_error(done.stderr)) == (125, "no log is there: /nonexistent/ledger.sqlite")


def test_proof_on_standard_output(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash names no file."""
    monkeypatch.setattr("elevate.cli.audit_source.connect", daemon.connect)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["audit", "checkpoint", "-o", "-"])
    assert result.stdout.startswith("elevate.log/")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("audit verify --anchor {}/binary", "that is no text, so neither a checkpoint nor a proof: {}/binary"),
        ("policy import sudoers {}/lines", "cvtsudoers refuses the file: {}/lines:1:"),
    ],
)
def test_file_that_is_no_such_thing(tmp_path: Path, words: str, error: str) -> None:
    """One line says which file, and what it is not."""
    if "sudoers" in words and not Path(CVTSUDOERS).exists():
        pytest.skip("cvtsudoers is not installed")
    (tmp_path / "binary").write_bytes(b"\xff\x00\x80")
    (tmp_path / "lines").write_text("no sense\nno sense\n")
    status, out, err = command(words.format(tmp_path).split())
    assert (status, out) == (125, "")
    assert one_error(err).startswith(error.format(tmp_path))
    assert len(err.splitlines()) == 2


def test_cursor_that_can_not_be_written(daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export ends with an error that names the file."""
    monkeypatch.setattr("elevate.cli.audit_source.connect", daemon.connect)
    result = CliRunner().invoke(app, ["audit", "export", "--cursor", str(tmp_path / "none" / "cursor")])
    assert isinstance(result.exception, StoreUnwritableError)
    assert result.exception.message == f"the cursor can't be written: No such file or directory: {tmp_path}/none/cursor"


@pytest.mark.parametrize(
    ("given", "status", "error"), [("", 125, "nobody answered; nothing was done"), ("n\n", 126, "declined")]
)
def test_question_that_nobody_agrees_to(tmp_path: Path, given: str, status: int, error: str) -> None:
    """With nobody to ask, or with a no, nothing is destroyed, and it is said."""
    words = [sys.executable, "-m", "elevate", "hello", "reset"]
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(words, cwd=ROOT, env=env, input=given, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, one_error(done.stderr)) == (status, error)


def test_kind_that_the_machine_does_not_have(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the broker knows what kinds of its own it has."""
    monkeypatch.setattr("elevate.cli.broker.connect", daemon.connect)
    result = CliRunner().invoke(app, ["explain", "--kind", "no.such"])
    assert isinstance(result.exception, TaskKindUnknownError)
    assert result.exception.message == "this machine has no kind of task called no.such"


@pytest.mark.parametrize("given", [b"", b"x", b"a.b.c", b"e30.e30.x.y", b"\xff.\xff.\xff", b"x" * 20_000, b"e30.WzFd.x"])
def test_what_is_no_token(given: bytes) -> None:
    """Standard input is taken apart strictly."""
    status, out, err = command(["token", "inspect", "-"], given=given)
    assert (status, out, one_error(err)) == (126, "", "standard input is not a token")


def test_token_is_shown_and_not_called_verified() -> None:
    """What can't be checked here is not claimed."""
    status, out, _ = command(["token", "inspect", "-", "--json"], given=b"eyJhbGciOiJFZDI1NTE5In0.eyJqdGkiOiJ4In0.AA\n")
    assert (status, '"verified": false' in out, '"jti": "x"' in out) == (0, True, True)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[[rule]\nid = "x"\n', ":1:"),
        (RULE.format(id="a") + "nonsense = 1\n", ":6:"),
        (RULE.format(id="a").replace('"w"', "7"), ":5:"),
        (RULE.format(id="a") + RULE.format(id="a"), ":7:"),
    ],
)  # fmt: skip
def test_bad_policy_names_file_line_and_column(tmp_path: Path, text: str, where: str) -> None:
    """Syntax, unknown key, wrong type, duplicate id."""
    file = tmp_path / "rules.toml"
    file.write_text(text)
    status, out, err = command(["policy", "check", str(file)])
    assert status != 0
    assert f"rules.toml{where}" in out + err
    assert "Traceback" not in err


def test_bad_policy_does_not_replace_the_good_one(tmp_path: Path) -> None:
    """Reload refuses it with its place; the broker goes on with what it had, and so after SIGHUP."""
    with Daemon(tmp_path) as own, own.connect() as broker:
        before = broker.status()["policy"]
        bad = own.state / "policy" / "zz.toml"
        bad.write_text("[[rule]]\nid = 7\n")
        bad.chmod(0o600)
        own.hup()
        assert own.process.stderr is not None
        assert own.process.stderr.readline().startswith("elevate: error: ")
        assert broker.status()["policy"] == before
        assert own.run("true")[0] == 0


def test_state_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    """A foreign ledger and one of a newer elevate: refused, and byte for byte as they were."""
    with Daemon(tmp_path) as own:
        own.stop()
    ledger = tmp_path / "state" / "ledger.sqlite"
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        ledger.with_name(name).unlink(missing_ok=True)
    with sqlite3.connect(ledger) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    for data in (ledger.read_bytes(), b"not a database at all, but precious" * 100):
        ledger.write_bytes(data)
        status, _, err = command(["serve", "--state", str(tmp_path / "state"), "--socket", str(own.socket)])
        assert (status, bool(one_error(err)), ledger.read_bytes()) == (125, True, data)


def test_tampered_log_is_told(tmp_path: Path) -> None:
    """One changed byte: exit status 1, and the entry is named."""
    with Daemon(tmp_path) as own:
        own.run("true")
        own.stop()
    ledger = tmp_path / "state" / "ledger.sqlite"
    ledger.write_bytes(ledger.read_bytes().replace(b'"event":"redeemed"', b'"event":"redeemeD"'))
    status, out, err = command(["audit", "verify", "--state", str(tmp_path / "state")])
    assert (status, '"outcome":"tampered"' in out, err) == (1, True, "")


def test_revoked_token_is_refused(daemon: Daemon) -> None:
    """A token that was taken back is not used any more, and saying so twice is an error."""
    with daemon.connect() as broker, daemon.connect() as other:
        grant = broker.elevate(Task.run(["true"]), interactive=False)
        other.revoke(str(grant.claims["jti"]))
        with pytest.raises(TokenRevokedError):
            grant.run()


def test_wrong_pins_lock_the_pin(tmp_path: Path) -> None:
    """After the last try there is no further one, and the right PIN does not help either."""
    with Daemon(tmp_path, sensor=False) as own:
        with Terminal(own.argv("true")) as person:
            for shown, typed in [*[("PIN: ", "111222")] * 3, ("type A1B2C3 to go on: ", "A1B2C3"), ("PIN: ", "111222")]:
                person.read_until(shown)
                person.type(typed + "\n")
            assert person.finish() == LockedOutError.exit_code
        with Terminal(own.argv("true")) as person:
            assert person.finish() == LockedOutError.exit_code
        assert "too many wrong PINs" in person.shown
        assert PIN.decode() not in person.shown


def test_broker_that_does_not_listen_is_told(tmp_path: Path) -> None:
    """A path with nothing, and a socket that nobody serves."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    for path in (tmp_path / "nothing.sock", tmp_path / "dead.sock", Path("/" + "x" * 200)):
        with pytest.raises(NoBrokerError):
            connect(path)


@pytest.mark.skipif(os.getuid() != 0, reason="needs a second user")
def test_24_false_broker_of_another_user_is_found_out(tmp_path: Path) -> None:
    """Another user squats the fixed place: the client says whose it is, and the squatter reads nothing."""
    squat = """
import os, socket
os.makedirs("/run/user/0/elevate"); os.chmod("/run/user/0", 0o755); os.chown("/run/user/0/elevate", 65534, 65534)
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX); sock.bind("/run/user/0/elevate/broker.sock"); sock.listen()
os.chmod("/run/user/0/elevate/broker.sock", 0o666)
if os.fork() == 0:
    connection, _ = sock.accept()
    os.write(1, b"heard: %d bytes" % len(connection.recv(100)))
    os._exit(0)
"""
    script = f'{sys.executable} -c "$1"; {sys.executable} -m elevate run -- true; echo "status $?"; wait'
    argv = inside(tmp_path, ["/bin/sh", "-c", script, "sh", squat])
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert one_error(done.stderr) == "the socket /run/user/0/elevate/broker.sock belongs to uid 65534, not to 0"
    assert "status 125" in done.stdout
