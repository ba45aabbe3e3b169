"""What others read: every format is well formed whatever the log holds, and finds the same entries."""

import csv
import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from elevate.audit import Entry, leaf_hash
from elevate.audit.body import Body
from elevate.audit.context import Context
from elevate.audit.export import COLUMNS, WRITERS
from elevate.audit.page import page
from elevate.audit.report import report
from elevate.cli.audit import app
from elevate.cli.audit_source import FileSource
from elevate.cli.audit_verify import run
from elevate.errors import AuditError
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import AT, draft, request_id
from tests.schema import errors
from tests.vectors import vectors

NASTY = "a\x1b[2J\n<script>alert(1)</script>]\"',=1+1\u202e&\\"
CLASSES = {3002: "authentication", 3003: "authorize_session", 1007: "process_activity"}
EVENT = "{http://schemas.microsoft.com/win/2004/08/events/event}"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log, with one request whose texts attack whoever shows them."""
    folder = tmp_path_factory.mktemp("export")
    store = make_log(folder / "ledger.sqlite", 100)
    request = request_id(9999)
    who: Body = {"user": NASTY, "uid": 7, "sid": NASTY, "executable": NASTY, "pid": 3}
    for event in ("requested", "prompting", "declined"):
        store.append(draft(event, request, actor=who, task={"kind": "process.run", "display": NASTY, "path": NASTY}))
    store.append(draft("policy-changed", "", setting={"name": "policy", "digest": "d"}))
    store.close()
    return folder / "ledger.sqlite"


def exported(path: Path, form: str) -> list[tuple[Entry, str]]:
    with LedgerReader(path) as reader:
        context = Context(reader.opened_of)
        hashes = [leaf_hash(data) for data, _ in reader.pairs()]
        entries = list(reader.opened())
        return [(entry, WRITERS[form](entry, context.feed(entry), hashes[entry.seq])) for entry in entries]


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_37_every_entry_is_one_line_without_control_characters(path: Path, form: str) -> None:
    """Nothing in a name can start a line, drive a terminal or turn the reading direction."""
    lines = [text for _, text in exported(path, form) if text]
    assert lines
    for text in lines:
        assert text.endswith("\n")
        assert text.count("\n") == 1
        assert "\x1b" not in text


def test_ocsf_events_fit_the_published_schemas(path: Path) -> None:
    """Authentication, authorisation and process activity, with the profile record_integrity."""
    schemas = {number: json.loads(vectors(f"ocsf/{name}.schema.json").read_text()) for number, name in CLASSES.items()}
    seen = set()
    for entry, text in exported(path, "ocsf"):
        event = json.loads(text)
        seen.add(event["class_uid"])
        schema = schemas[event["class_uid"]]
        assert list(errors(event, schema, schema)) == []
        assert list(errors({**event, "colour": 1, "severity_id": 7}, schema, schema)) != []
        assert event["attestation_list"][0]["prev_event"]["fingerprint"]["value"] == entry.was
    assert seen == set(CLASSES)


def test_json_lines_carry_what_proves_them(path: Path) -> None:
    """Position, hash, and the hash of the entry before."""
    found = [json.loads(text) for _, text in exported(path, "jsonl")]
    assert [one["seq"] for one in found] == list(range(len(found)))
    assert all(later["was"] == earlier["hash"] for earlier, later in pairwise(found))


def test_windows_events_are_one_per_outcome(path: Path) -> None:
    """15031 approved, 15032 not; with the requester's SID, application, outcome, hidden account and method."""
    events = [(entry, ET.fromstring(text)) for entry, text in exported(path, "windows") if text]  # noqa: S314 - our own
    numbers = [(entry.event, event.findtext(f".//{EVENT}EventID")) for entry, event in events]
    assert set(numbers) == {("issued", "15031"), ("denied", "15032"), ("declined", "15032")}
    provider = events[0][1].find(f".//{EVENT}Provider")
    assert provider is not None
    assert provider.get("Guid") == "{93c05d69-51a3-485e-877f-1806a8731346}"
    data = {field.get("Name"): field.text for field in events[0][1].iter(f"{EVENT}Data")}
    assert data["UserSid"] == "S-1-5-21-1-2-3-1001"
    assert (data["ApplicationPath"], data["AuthenticationMethod"], data["Outcome"]) == ("/usr/bin/apt-get", "pin", "Approved")


def test_syslog_lines_are_those_of_rfc_5424(path: Path) -> None:
    """Priority, version, time, structured data with its escapes, and text."""
    form = re.compile(
        r'<\d{1,3}>1 \S+Z \S+ elevate - \S{1,32} \[elevate@32473(?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*\] \ufeff.*\n'
    )
    for entry, text in exported(path, "rfc5424"):
        assert form.fullmatch(text), (entry.event, text)


def test_csv_runs_nothing_in_a_spreadsheet(path: Path) -> None:
    """Every row has all columns, and no cell begins as a formula."""
    rows = list(csv.reader([text for _, text in exported(path, "csv")]))
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_an_export_goes_on_where_it_ended(path: Path, tmp_path: Path) -> None:
    """The cursor is durable; nothing is left out and nothing comes twice."""
    cursor = tmp_path / "cursor"
    words = ["export", "--cursor", str(cursor), "--state", str(path.parent)]
    first = CliRunner().invoke(app, words).output.splitlines()
    size = len(exported(path, "jsonl"))
    assert (len(first), cursor.read_text()) == (size, f"{size}\n")
    assert CliRunner().invoke(app, words).output == ""
    cursor.write_text("junk")
    assert isinstance(CliRunner().invoke(app, words).exception, AuditError)
    assert isinstance(CliRunner().invoke(app, ["export", "-F", "pdf", "--state", str(path.parent)]).exception, AuditError)


def test_a_context_that_begins_in_the_middle_knows_the_beginning(path: Path) -> None:
    """An outcome names who asked, also where the export begins after the request."""
    with LedgerReader(path) as reader:
        context = Context(reader.opened_of)
        entry = next(one for one in reader.opened(1) if one.event == "issued")
        known = context.feed(entry)
    assert "actor" in known


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_no_line_says_what_only_later_entries_say(path: Path, form: str) -> None:
    """Whole batches are written at once; a request's first line still has neither its outcome nor its exit status."""
    at_once = [text for _, text in exported(path, form)]
    with LedgerReader(path) as reader:
        batches = list(FileSource(reader).batches(0, follow=False))
    assert [WRITERS[form](*line) for lines, _ in batches for line in lines] == at_once
    asked = json.loads(next(text for entry, text in exported(path, "ocsf") if entry.event == "requested"))
    assert asked["status_detail"] == "requested"
    assert asked["policy"]["name"] == "default"


def test_37_the_page_runs_nothing(path: Path) -> None:
    """No script, no address of another place, and what the log holds is text."""
    verdict = run(Plan(path))
    with LedgerReader(path) as reader:
        found = [(entry, NASTY) for entry in reader.opened()]
    text = page(found, report(found), verdict, "key")
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert "\x1b" not in text
    assert "default-src 'none'" in text
    assert text.count("<section") == 5


def test_what_is_erased_is_exported_without_it(tmp_path: Path) -> None:
    """The rest of the entry stays."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    store.append(draft("requested", "", actor={"user": "alice", "sid": "S-1"}, task={"kind": "process.run", "display": "x"}))
    store.erase("alice", AT)
    store.close()
    for form in WRITERS:
        assert "alice" not in "".join(text for _, text in exported(tmp_path / "ledger.sqlite", form))
    assert '"name":"erased"' in exported(tmp_path / "ledger.sqlite", "ocsf")[0][1]
