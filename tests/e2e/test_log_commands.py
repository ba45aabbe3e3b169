"""The audit commands against a running broker: they say what its file says, follow, and care for the log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit.export import WRITERS
from elevate.cli import audit_source
from elevate.cli.audit import app
from elevate.cli.audit_export import read_cursor
from elevate.cli.audit_source import BrokerSource
from elevate.errors import ElevateError, NoBrokerError, StoreError, StoreUnwritableError
from elevate.library import connect
from elevate.tasks import Task
from tests.e2e.daemon import Daemon


@pytest.fixture
def here(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The commands find this daemon; the fixed place is somebody's own."""
    monkeypatch.setattr(audit_source, "connect", lambda: connect(daemon.socket))
    return daemon


@pytest.fixture(scope="module", autouse=True)
def lives(daemon: Daemon) -> list[str]:
    """Some requests: run, left, and refused."""
    requests = []
    with daemon.connect() as broker:
        for words in (["true"], ["false"], ["sh", "-c", "exit 3"]):
            with broker.elevate(Task.run(words), reason="why", interactive=False) as grant:
                requests.append(grant.request)
                if words != ["false"]:
                    grant.run(capture=True)
        with pytest.raises(ElevateError):
            broker.elevate(Task.run(["/no/such/file"]), interactive=False)
    return requests


def run(*words: str) -> str:
    result = CliRunner().invoke(app, [*words])
    if isinstance(result.exception, ElevateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def lines(text: str) -> list[object]:
    """Give lines, those of JSON as values: their members have no order."""
    return [json.loads(line) if line.startswith("{") else line for line in text.splitlines()]


@pytest.mark.parametrize(
    "words",
    [
        ["tail", "-n", "7"],
        ["tail", "-n", "600"],
        ["search", "outcome:issued"],
        ["search", "-n", "2", "kind:process.run"],
        ["search", "--before", "9", "event:issued", "since:1h"],
        ["report"],
        ["report", "outcome:issued", "--hours", "0-1"],
        *(["export", "-F", form] for form in WRITERS),
        ["export", "--from", "7", "-F", "ocsf"],
    ],
    ids=" ".join,
)
def test_broker_and_file_say_the_same(here: Daemon, words: list[str]) -> None:
    """Line by line, for who may see all; what is exported is in its request's context, wherever the export begins."""
    file: list[object] = []
    told: list[object] = [None]
    for _ in range(5):
        file, told = lines(run(*words, "--state", str(here.state))), lines(run(*words))
        if told == file:  # else something was written in between, as a heartbeat, or that an earlier test's reader has gone
            break
    assert told == file
    assert file


def test_show_is_the_same(here: Daemon, lives: list[str]) -> None:
    """By the beginning of its id."""
    for request in lives:
        assert lines(run("show", request[:12])) == lines(run("show", request, "--state", str(here.state)))


def test_an_export_goes_on_where_it_ended(here: Daemon, tmp_path: Path) -> None:
    """The cursor is a file; what came since is the next export."""
    cursor = tmp_path / "cursor"
    first = run("export", "--cursor", str(cursor)).splitlines()
    assert read_cursor(cursor) == json.loads(first[-1])["seq"] + 1
    with here.connect() as broker:
        broker.elevate(Task.run(["true"]), interactive=False).release()
    second = [json.loads(line) for line in run("export", "--cursor", str(cursor)).splitlines()]
    assert second[0]["seq"] == json.loads(first[-1])["seq"] + 1
    assert "revoked" in {line["event"] for line in second}


def batches(source: BrokerSource, start: int) -> Iterator[tuple[list[str], int]]:
    for lines, after in source.batches(start, follow=True):
        yield [entry.event for entry, _, _ in lines], after


def test_a_followed_export_survives_the_broker(own: Daemon) -> None:
    """It ends with the broker, and goes on at its cursor with the next one."""
    with own.connect() as broker:
        found = batches(BrokerSource(broker), 0)
        events, after = next(found)
        assert events[0] == "broker-started"
        with own.connect() as other:
            other.elevate(Task.run(["true"]), interactive=False).release()
        seen: list[str] = []
        while "revoked" not in seen:
            events, after = next(found)
            seen += events
        assert own.stop() == 0
        rest = [event for events, _ in found for event in events]
        assert "requested" not in rest
    own.restart()
    with own.connect() as broker:
        events, _ = next(batches(BrokerSource(broker), after))
        assert "broker-started" in events


def test_a_lone_follower_sees_a_line_at_once(here: Daemon) -> None:
    """The last lines first."""
    with here.connect() as broker:
        assert len(next(BrokerSource(broker).follow(3))) == 3
    with here.connect() as broker, pytest.raises(ElevateError, match="at most 512"):
        BrokerSource(broker).follow(513)


def test_a_live_log_is_cared_for(here: Daemon, tmp_path: Path) -> None:
    """The commands do it through the broker; with the folder named they need it stopped."""
    archive = tmp_path / "archive"
    assert run("rotate-key").startswith("now: elevate.log/")
    assert run("prune", "--before", "0", "--archive", str(archive)).startswith("nothing was moved: the log begins at entry 0")
    assert not archive.exists()
    archive.touch()
    with pytest.raises(StoreUnwritableError, match="exists"):
        run("prune", "--before", "0", "--archive", str(archive))
    with pytest.raises(StoreError, match="another broker"):
        run("rotate-key", "--state", str(here.state))


def test_a_reader_of_the_log_delays_no_elevation(here: Daemon) -> None:
    """Followers that read nothing and a search that goes on and on: a task still runs, and at once."""
    deaf = [here.connect() for _ in range(4)]
    for one in deaf:
        one._wire.send("AuditFollow", {"position": 0}, flag="more")
    with here.connect() as asking, here.connect() as broker:
        for _ in range(3):
            assert len(list(asking.search("kind:process.run"))) > 3
            with broker.elevate(Task.run(["true"]), interactive=False) as grant:
                assert grant.run(capture=True).exit_status == 0
    for one in deaf:
        one.close()


def test_without_a_broker_the_file_is_read(here: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the owner may; a broker that is not to be trusted is not passed over."""

    def nobody() -> None:
        raise NoBrokerError("no broker listens")

    monkeypatch.setattr(audit_source, "connect", nobody)
    monkeypatch.setattr(audit_source, "ledger_path", lambda _state: here.state / "ledger.sqlite")
    assert "requested" in run("tail", "-n", "600")
