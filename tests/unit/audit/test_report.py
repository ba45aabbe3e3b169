"""What a report names for a person to look at, and what it must not name though it does not see all of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from elevate.audit import Entry, Outcome, Verdict
from elevate.audit.body import Body
from elevate.audit.page import KEPT, page
from elevate.audit.report import Around, Hours, Reporter, report
from elevate.cli.audit import app
from elevate.cli.audit_report import report_of
from elevate.cli.audit_source import FileSource
from elevate.errors import AuditError
from elevate.store import SqliteStore
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import draft, request_id

MONDAY_NOON = int(datetime(2026, 9, 21, 12, tzinfo=UTC).timestamp())


def test_anomalies_are_named() -> None:
    """Never redeemed, used twice, run without a token, out of order, first time, bursts, off hours, silence."""
    reporter = Reporter(Around(heartbeat_us=1_000_000))
    events = ["requested", "issued", "second-use", "running", "requested", *["denied"] * 5, "expired", "broker-stopped", "late"]
    for number, event in enumerate(events):
        at = 1_790_000_000_000_000 + number * 1_000_000
        request = "b" if event == "running" else "a"
        mono = number * 1_000_000 + (10_000_000 if event == "running" else 0)
        body: Body = {"task": {"kind": "process.run"}}
        reporter.feed(Entry(seq=number, event=event, request=request, unix_us=at, mono_us=mono, body=body, was=""), "alice")
    anomalies = reporter.finish().anomalies
    assert [one.position for one in anomalies if one.kind == "out-of-order"] == [4, 6, 7, 8, 9, 10]
    assert [(one.kind, one.position) for one in anomalies if one.kind != "out-of-order"] == [
        ("first-time", 0),
        ("second-use", 2),
        ("silence", 3),
        ("process-without-token", 3),
        ("denial-burst", 9),
        ("never-redeemed", 10),
    ]


def test_off_hours_are_nights_and_weekends() -> None:
    """Hours are UTC."""
    for unix, named in ((1_790_000_000, False), (1_790_000_000 + 8 * 3600, True), (1_790_000_000 + 5 * 86_400, True)):
        entry = Entry(seq=0, event="issued", request="r", unix_us=unix * 1_000_000, mono_us=0, body={}, was="")
        kinds = {one.kind for one in report([(entry, "alice")]).anomalies}
        assert ("off-hours" in kinds) is named


def entry(seq: int, event: str, request: str = "r", *, at: int = MONDAY_NOON, mono_us: int = 0, **body: Body) -> Entry:
    return Entry(seq=seq, event=event, request=request, unix_us=at * 1_000_000, mono_us=mono_us, body=dict(body), was="")


def kinds(entries: Sequence[Entry], around: Around | None = None) -> list[tuple[str, int]]:
    return [(one.kind, one.position) for one in report([(one, "alice") for one in entries], around).anomalies]


@pytest.mark.parametrize("after", ["redeemed", "expired", "revoked"])
def test_a_token_that_was_used_behind_the_stretch_is_not_named(after: str) -> None:
    """What became of it is asked of the log; where that knows nothing it was not used."""
    asked, issued = entry(6, "requested"), entry(7, "issued", token={"exp": MONDAY_NOON + 30})
    over = Around(now_us=(MONDAY_NOON + 31) * 1_000_000)
    assert kinds([issued], replace(over, life=lambda _: [asked, issued, entry(8, after)])) == []
    assert kinds([issued], replace(over, life=lambda _: [asked, issued])) == [("never-redeemed", 7)]
    assert kinds([issued], over) == [("never-redeemed", 7)]


def test_a_token_that_can_still_be_used_is_not_named() -> None:
    """Its end is in its entry."""
    issued = entry(7, "issued", token={"exp": MONDAY_NOON + 30})
    assert kinds([issued], Around(now_us=(MONDAY_NOON + 29) * 1_000_000)) == []


def test_a_process_whose_token_was_used_before_the_stretch_is_not_named() -> None:
    """The stretch cuts its request in two."""
    running = entry(7, "running")
    assert kinds([running], Around(life=lambda _: [entry(6, "redeemed"), running])) == []
    named = [("process-without-token", 7), ("out-of-order", 7)]
    assert kinds([running], Around(life=lambda _: [entry(6, "issued"), running])) == named


@pytest.mark.parametrize(
    ("events", "named"),
    [
        (["requested", "prompting", "issued", "redeemed", "running", "second-use", "destroyed"], []),
        (["requested", "issued", "redeemed", "redeemed", "running", "destroyed"], [3]),
        (["requested", "issued", "redeemed", "destroyed", "redeemed", "destroyed"], [4]),
        (["requested", "prompting", "redeemed", "running", "destroyed"], [2]),
        (["requested", "issued", "running", "redeemed", "destroyed"], [2, 3]),
        (["requested", "issued", "redeemed", "issued"], [3]),
        (["redeemed", "running", "destroyed"], [0]),
    ],
)
def test_what_no_request_goes_through_is_named(events: list[str], named: list[int]) -> None:
    """However good its hashes are; the same where the stretch begins in the middle, for what is in it."""
    whole = [entry(number, event) for number, event in enumerate(events)]
    for begin in range(len(whole)):
        found = kinds(whole[begin:], Around(life=lambda _: whole))
        assert [at for kind, at in found if kind == "out-of-order"] == [at for at in named if at >= begin]
    assert [at for kind, at in kinds(whole[1:]) if kind == "out-of-order"] == [at for at in named if at > 1]


def test_few_lives_are_asked_for() -> None:
    """A reader's questions are counted; behind the bound the stretch's own word counts."""
    asked = []

    def life(request: str) -> Iterable[Entry]:
        asked.append(request)
        return [entry(0, "redeemed")]

    running = [entry(number, "running", f"r{number}") for number in range(1, 101)]
    assert len(kinds(running, Around(life=life))) == 68
    assert len(asked) == 32


def test_silence_is_between_neighbours_only() -> None:
    """Whoever sees some entries does not see those in between."""
    for after, named in ((4, [("silence", 4)]), (5, [])):
        entries = [entry(3, "destroyed"), entry(after, "requested", mono_us=700_000_000)]
        found = kinds(entries, Around(heartbeat_us=300_000_000, earlier=lambda _: [_asked(0, "ls -l")]))
        assert [one for one in found if one[0] == "silence"] == named


def _asked(seq: int, display: str) -> Entry:
    return entry(seq, "requested", f"r{seq}", actor={"user": "alice"}, task={"kind": "process.run", "display": display})


def test_the_first_time_is_the_first_of_all() -> None:
    """Not of the stretch; by the program, whatever its arguments; the log is read no further than needed."""
    read = []

    def earlier(position: int) -> Iterable[Entry]:
        assert position == 10
        for seq, display in ((9, "id"), (8, "ls -l"), (7, "never looked at")):
            read.append(seq)
            yield _asked(seq, display)

    assert kinds([_asked(10, "ls -a"), _asked(11, "id")], Around(earlier=earlier)) == []
    assert read == [9, 8]
    assert kinds([_asked(10, "ls -a"), _asked(11, "cat x"), _asked(12, "cat y")], Around(earlier=earlier)) == [
        ("first-time", 11)
    ]


@pytest.mark.parametrize(
    ("hours", "hour", "off"),
    [
        (Hours(), 6, False),
        (Hours(), 20, True),
        (Hours(begin=22, end=6), 23, False),
        (Hours(begin=22, end=6), 5, False),
        (Hours(begin=22, end=6), 6, True),
        (Hours(begin=8, end=18, zone=ZoneInfo("Asia/Tokyo")), 0, False),
        (Hours(begin=8, end=18, zone=ZoneInfo("Asia/Tokyo")), 10, True),
    ],
)
def test_working_hours_are_those_of_a_place(hours: Hours, hour: int, off: bool) -> None:  # noqa: FBT001 - a parameter
    """Over midnight, too; days are that place's."""
    assert hours.off(datetime(2026, 9, 21, hour, tzinfo=UTC).astimezone(hours.zone)) is off
    assert hours.off(datetime(2026, 9, 19, 12, tzinfo=UTC).astimezone(hours.zone))


def test_days_are_those_of_the_place() -> None:
    """Monday noon UTC is Tuesday in Auckland."""
    found = report([(entry(1, "issued"), "alice")], Around(hours=Hours(zone=ZoneInfo("Pacific/Auckland"))))
    assert dict(found.days) == {"2026-09-22": 1}
    assert dict(found.heat["alice"]) == {0: 1}
    assert found.zone == "Pacific/Auckland"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of good lives, and in it one request that somebody else has ended."""
    folder = tmp_path_factory.mktemp("report")
    make_log(folder / "ledger.sqlite", 400).close()
    store = SqliteStore(folder / "ledger.sqlite", entropy=SeededEntropy(3))
    store.append(draft("declined", request_id(0), actor={"user": "aaron", "uid": 1}))
    store.close()
    return folder


def told(state: Path, *words: str) -> dict[str, object]:
    result = CliRunner().invoke(app, ["report", "--json", "--state", str(state), *words])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def test_words_that_mean_some_entries_name_nothing_more(state: Path) -> None:
    """What was issued was redeemed, in entries that are not asked for."""
    whole = told(state, "since:2000-01-01")
    issued = told(state, "outcome:issued", "since:2000-01-01")
    assert issued["outcomes"] == {"issued": whole["outcomes"]["issued"]}  # type: ignore[index]  # as printed
    assert issued["entries"] == whole["outcomes"]["issued"]  # type: ignore[index]  # the same
    assert {one["kind"] for one in issued["anomalies"]} <= {"off-hours"}  # type: ignore[attr-defined]  # the same
    for kind in ("never-redeemed", "process-without-token", "silence"):
        assert kind not in {one["kind"] for one in whole["anomalies"]}  # type: ignore[attr-defined]  # the same


def test_a_user_is_whose_request_it_is(state: Path) -> None:
    """Not whoever acts in an entry of it, here by declining."""
    assert "aaron" not in told(state, "since:2000-01-01")["users"]  # type: ignore[operator]  # as printed


@pytest.mark.parametrize(
    "words", [["--hours", "8"], ["--hours", "7-7"], ["--hours", "8-25"], ["--zone", "Mars"], ["--zone", "../x"]]
)
def test_what_are_no_hours_is_refused(state: Path, words: list[str]) -> None:
    """With an example of what to write."""
    result = CliRunner().invoke(app, ["report", "--state", str(state), *words])
    assert isinstance(result.exception, AuditError)
    assert result.exception.hint.startswith("write ")


def test_the_page_of_a_long_log_keeps_its_end_only(tmp_path: Path) -> None:
    """The last rows are those that the whole would show, and all are counted."""
    make_log(tmp_path / "ledger.sqlite", 6000).close()
    with LedgerReader(tmp_path / "ledger.sqlite") as reader:
        told, kept = report_of(FileSource(reader), "since:2000-01-01", Hours(), keep=KEPT)
        _, whole = report_of(FileSource(reader), "since:2000-01-01", Hours(), keep=10_000)
    verdict = Verdict(outcome=Outcome.INCOMPLETE, size=0, head="")
    assert (len(kept), len(whole)) == (KEPT, 5700)
    assert page(kept, told, verdict, "key") == page(whole, told, verdict, "key")
    assert "The last 500; 5200 earlier ones are left out." in page(kept, told, verdict, "key")
