"""The log through the broker: who sees what, in pages, and that somebody looked is written down first."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.broker import Broker, Cancellation
from elevate.broker import questions as asking
from elevate.broker.asking import Asked
from elevate.broker.care import Care
from elevate.broker.logbook import Logbook
from elevate.broker.sight import sight
from elevate.canonical import Json
from elevate.errors import AuditError, BusyError, DeniedError, ElevateError, StoreUnwritableError, TaskInvalidError
from elevate.lifecycle import State
from elevate.model import ProcessIdentity, Requester
from elevate.ports import Step
from elevate.store.pages import Whose
from elevate.store.reader import LedgerReader
from elevate.testing import ManualClock
from tests.ledgers import draft, request_id, row

OWNER = 999_999
"""As whom the broker in these tests says that it runs: nobody who asks."""
LIVES = 20


def person(user: str, uid: int, *groups: str) -> Requester:
    return Requester(
        user=user,
        sid=f"S-1-{uid}",
        groups=groups,
        machine="m",
        process=ProcessIdentity(uid=uid, pid=7, start_time=1, boot_id="b"),
        executable="/usr/bin/elevate",
        chain=(),
    )


# Far from the uids of whoever runs this: to the broker's own user other bounds apply.
ALICE, BOB, ROOT = person("alice", 610_000), person("bob", 610_001), person("root", 0)
AUDITOR = person("carol", 610_002, "auditors")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A broker's folder whose log has requests of alice and bob, each asked and denied."""
    folder = tmp_path_factory.mktemp("made") / "state"
    with Broker.embedded(folder, clock=ManualClock()) as broker:
        for number in range(LIVES):
            ask(broker, (ALICE, BOB)[number % 2], number)
    return folder


def ask(broker: Broker, who: Requester, number: int) -> None:
    """Ask as somebody, and be denied."""
    store, request = broker.parts.store, request_id(number)
    actor: dict[str, Json] = {"user": who.user, "uid": who.process.uid}
    record = replace(row(request, user=who.user), uid=who.process.uid)
    store.open_request(record, draft("requested", request, actor=actor, task={"kind": "k", "display": f"task {number}"}))
    refused = draft("denied", request, reason={"code": "denied", "text": "the full reason"})
    store.step(Step(request=request, before=State.REQUESTED, after=State.DENIED, entry=refused))


@pytest.fixture
def broker(made: Path, tmp_path: Path, clock: ManualClock) -> Iterator[Broker]:
    shutil.copytree(made, tmp_path / "state")
    with Broker.open(tmp_path / "state", clock=clock) as one:
        yield one


@pytest.fixture
def log(broker: Broker) -> Iterator[Logbook]:
    """Its logbook, where members of a group may read."""
    parts = replace(broker.parts, settings=replace(broker.parts.settings, log_readers=("auditors",)))
    opened = Logbook(parts, broker.home.ledger, owner_uid=OWNER)
    yield opened
    opened.close()


def entries(told: dict[str, Json]) -> list[dict[str, Json]]:
    found = told["entries"]
    assert isinstance(found, list)
    return [one for one in found if isinstance(one, dict)]


def everything(log: Logbook, who: Requester, asked: Asked) -> list[dict[str, Json]]:
    """Walk all pages."""
    found: list[dict[str, Json]] = []
    while True:
        told = log.search(asked, who)
        found += entries(told)
        if "cursor" not in told:
            return found
        asked = replace(asked, cursor=str(told["cursor"]))


def written(broker: Broker, event: str) -> list[dict[str, Json]]:
    """Give the bodies of all entries of an event, as far as they stand in the entry."""
    return [dict(entry.body) for entry in map(parse, broker.parts.store.entries()) if entry.event == event]


@pytest.mark.parametrize("limit", [1, 7, 512])
def test_a_user_sees_own_requests_only(log: Logbook, broker: Broker, limit: int) -> None:
    """Whatever the words are; nothing is written down for it."""
    before = broker.parts.store.head()[0]
    found = everything(log, ALICE, Asked(limit=limit))
    assert {one["user"] for one in found} == {"alice"}
    assert len(found) == LIVES
    assert everything(log, ALICE, Asked(words="user:bob", limit=limit)) == []
    assert everything(log, person("alice", 610_001), Asked(limit=limit)) == []
    assert broker.parts.store.head()[0] == before


def test_a_user_is_not_told_the_full_reason(log: Logbook) -> None:
    """Nor found by it."""
    (denied,) = everything(log, ALICE, Asked(words=f"{request_id(0)} event:denied"))
    assert denied["body"] == {"reason": {"code": "denied"}}
    assert everything(log, ALICE, Asked(words="full")) == []
    assert len(everything(log, AUDITOR, Asked(words="full"))) == LIVES


@pytest.mark.parametrize("who", [ROOT, AUDITOR, person("owner", OWNER)])
def test_who_may_sees_all(log: Logbook, who: Requester) -> None:
    """Root, the owner, and members of a group that the settings name; with ``mine`` they are as everybody."""
    assert {one.get("user") for one in everything(log, who, Asked(words="event:denied"))} == {"alice", "bob"}
    assert everything(log, who, Asked(mine=True)) == []


@pytest.mark.parametrize(
    ("who", "owner", "mine", "expected"),
    [
        (ALICE, 0, False, (False, False)),
        (ALICE, 610_000, False, (True, False)),
        (ALICE, 610_000, True, (False, False)),
        (ROOT, 0, False, (True, True)),
        (ROOT, 610_000, False, (True, True)),
        (AUDITOR, 0, False, (True, True)),
        (AUDITOR, 0, True, (False, False)),
    ],
)
def test_what_is_seen_and_written(who: Requester, owner: int, expected: tuple[bool, bool], *, mine: bool) -> None:
    """The owner of a personal broker looks at the own log; everybody else who sees all is written down."""
    seen = sight(who, ("auditors",), owner_uid=owner, mine=mine)
    assert (seen.whose is None, seen.logged) == expected
    assert seen.whose in {None, Whose(user=who.user, uid=who.process.uid)}


def test_a_look_at_others_is_one_entry(log: Logbook, broker: Broker) -> None:
    """Who, how many, and what in words that only an opening tells; of more than one page the end is said too."""
    assert len(everything(log, AUDITOR, Asked(words="user:bob event:denied", limit=3))) == LIVES // 2
    (began,), (ended,) = written(broker, "access"), written(broker, "access-ended")
    position = [entry.event for entry in map(parse, broker.parts.store.entries())].index("access")
    assert began["access"] == {"kind": "search", "entries": 3, "complete": False}
    assert ended["access"] == {"kind": "search", "entries": LIVES // 2, "complete": True, "began": position}
    assert b"bob" not in next(broker.parts.store.entries(position, 1))
    (told,) = everything(log, ROOT, Asked(words="event:access"))
    body = told["body"]
    assert isinstance(body, dict)
    assert (body["actor"]["user"], body["actor"]["executable"]) == ("carol", "/usr/bin/elevate")  # type: ignore[index,call-overload]
    assert body["access"]["named"] == [{"user": "bob"}]  # type: ignore[index,call-overload]
    log.search(Asked(words="event:denied", limit=512), AUDITOR)
    assert [one["access"] for one in written(broker, "access")][2] == {"kind": "search", "entries": LIVES, "complete": True}
    assert len(written(broker, "access-ended")) == 1


def test_41_what_can_not_be_written_down_is_not_shown(log: Logbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """As nothing is granted that can't be."""

    def full(_draft: object) -> int:
        raise StoreUnwritableError("no room is left to record it")

    monkeypatch.setattr(log._questions._store, "append", full)  # a full disk can't be had for one file
    with pytest.raises(StoreUnwritableError):
        log.search(Asked(), ROOT)
    with pytest.raises(StoreUnwritableError):
        log.show(request_id(0), AUDITOR)
    assert log.search(Asked(), ALICE)["entries"]


def test_a_foreign_id_is_an_unknown_one(log: Logbook, broker: Broker) -> None:
    """For a user; whoever sees all is shown it, and what they looked for is written down in any case."""
    said: list[tuple[str, str, int]] = []
    for name in (request_id(1), "f" * 32):
        with pytest.raises(ElevateError) as caught:
            log.show(name, ALICE)
        said.append((caught.value.message.replace(name, ""), caught.value.hint, len(written(broker, "access"))))
    assert said[0] == said[1]
    assert [one["event"] for one in entries(log.show(request_id(0)[:9], ALICE))] == ["requested", "denied"]
    assert len(entries(log.show(request_id(0), AUDITOR))) == 2
    with pytest.raises(AuditError):
        log.show("f" * 32, AUDITOR)
    shown = [one["access"] for one in written(broker, "access")]
    assert shown == [{"kind": "show", "entries": count, "complete": True} for count in (2, 0)]


@pytest.mark.parametrize(
    "text", ["x", "..", "0.0.0", "-1.0.0.0", "a.1.2.3", f"{'a' * 33}.1.2.3", "\u0661.1.2.3", ".1.2.3\n", "." * 99]
)
def test_a_bad_cursor_is_refused(log: Logbook, text: str) -> None:
    """Alike for everybody, and whatever is wrong with it."""
    for who in (ALICE, AUDITOR):
        with pytest.raises(AuditError, match="not one of this question's"):
            log.search(Asked(cursor=text), who)


def test_no_cursor_leads_around_the_entry(log: Logbook, broker: Broker) -> None:
    """Those who see all need one of a question that was written down, of their own and with the same words."""
    told = log.search(Asked(words="event:denied", limit=1), AUDITOR)
    cursor = str(told["cursor"])
    for who, asked in (
        (AUDITOR, Asked(words="user:bob", cursor=cursor)),
        (AUDITOR, Asked(words="event:denied", cursor=cursor, oldest_first=True)),
        (ROOT, Asked(words="event:denied", cursor=cursor)),
        (ALICE, Asked(words="event:denied", cursor=cursor)),
        (AUDITOR, Asked(words="event:denied", cursor="." + cursor.split(".", 1)[1])),
    ):
        with pytest.raises(AuditError, match="not one of this question's"):
            log.search(asked, who)
    question, start, stop, now = cursor.split(".")
    for changed in (f"{start}.{int(stop) + 9}.{now}", f"{start}.{stop}.0"):
        with pytest.raises(AuditError, match="not one of this question's"):
            log.search(Asked(words="event:denied", cursor=f"{question}.{changed}"), AUDITOR)
    assert len(written(broker, "access")) == 1
    assert entries(log.search(Asked(words="event:denied", cursor=cursor), AUDITOR))


def test_a_changed_cursor_shows_no_more(log: Logbook) -> None:
    """It only says where to look; far outside is nowhere."""
    assert {one["user"] for one in everything(log, ALICE, Asked(cursor=".0.999999999999999.0"))} == {"alice"}
    assert everything(log, ALICE, Asked(cursor=".999999999999999.999999999999999.99999999999")) == []
    assert everything(log, ALICE, Asked(position=2**53 - 1, oldest_first=True)) == []
    assert len(everything(log, ALICE, Asked(position=2**53 - 1))) == LIVES


def test_pages_stay_the_answer_while_the_log_grows(log: Logbook, broker: Broker, clock: ManualClock) -> None:
    """What comes meanwhile is not on them, and times in the words count from the first page."""
    for oldest_first in (False, True):
        asked = Asked(words="until:1s", limit=9, oldest_first=oldest_first)
        whole = [one["seq"] for one in everything(log, ALICE, asked)]
        told = log.search(asked, ALICE)
        found = [one["seq"] for one in entries(told)]
        while "cursor" in told:
            broker.parts.store.append(draft("heartbeat"))
            clock.advance(3600)
            told = log.search(replace(asked, cursor=str(told["cursor"])), ALICE)
            found += [one["seq"] for one in entries(told)]
        assert found == whole
        assert len(found) == LIVES


def test_context_tells_what_was_before(log: Logbook) -> None:
    """With the first entry of a request on a page that is not its first; of the own in their own form."""
    first = everything(log, AUDITOR, Asked(words="event:requested"))[-1]
    position = first["seq"]
    assert isinstance(position, int)
    for who, kept in ((AUDITOR, {"code": "denied", "text": "the full reason"}), (ALICE, {"code": "denied"})):
        asked = Asked(oldest_first=True, context=True, limit=4, position=position + 1)
        shown = entries(log.search(asked, who))
        known = shown[0]["known"]
        assert isinstance(known, dict)
        assert known["task"] == {"kind": "k", "display": "task 0"}
        assert ("reason" in known, shown[0]["body"]) == (False, {"reason": kept})
        assert all("known" not in one for one in shown[1:])
    with pytest.raises(TaskInvalidError):
        Asked(context=True)


def test_too_much_context_is_cut_into_pages(log: Logbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has its bound; the rest comes on the next page."""
    monkeypatch.setattr("elevate.broker.asking.MAX_BYTES", 1)
    asked = Asked(words="event:denied", oldest_first=True, context=True)
    assert len(entries(log.search(asked, ALICE))) == 1
    assert [one["event"] for one in everything(log, ALICE, asked)] == ["denied"] * (LIVES // 2)


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 513}, {"lines": 513}])
def test_questions_are_bounded(bad: dict[str, int]) -> None:
    """Before anything is looked at."""
    with pytest.raises(TaskInvalidError):
        Asked(**bad)  # type: ignore[arg-type]  # numbers are what is wrong here
    with pytest.raises(AuditError):
        Asked(words="x" * 1025)


def test_a_follower_is_told_what_comes(log: Logbook, broker: Broker) -> None:
    """The last lines first; a user only of own requests."""
    cancel = Cancellation()
    pages = log.follow(Asked(lines=3, oldest_first=True), ALICE, cancel=cancel)
    told = next(pages)
    assert [one["user"] for one in entries(told)] == ["alice"] * 3
    assert told["next"] == broker.parts.store.head()[0]
    for who in (BOB, ALICE):
        ask(broker, who, who.process.uid)
    assert {one["request"] for one in entries(next(pages))} == {request_id(ALICE.process.uid)}
    cancel.cancel()
    assert list(pages) == []
    cancel.close()


def test_a_follower_who_may_not_see_it_any_more_is_told_no_more(log: Logbook, broker: Broker) -> None:
    """Taken out of the group, it gets nothing of what comes then."""
    cancel = Cancellation()
    now = [AUDITOR]
    pages = log.follow(Asked(position=0, oldest_first=True), AUDITOR, cancel=cancel, again=lambda: now[-1])
    assert entries(next(pages))
    now.append(person("carol", 610_002))
    broker.parts.store.append(draft("heartbeat"))
    assert list(pages) == []
    cancel.close()


def test_following_is_one_entry_and_one_for_its_end(log: Logbook, broker: Broker) -> None:
    """However many pages there were."""
    cancel = Cancellation()
    pages = log.follow(Asked(position=0, limit=10, oldest_first=True), AUDITOR, cancel=cancel)
    count = sum(len(entries(next(pages))) for _ in range(5))
    pages.close()
    (began,), (ended,) = written(broker, "access"), written(broker, "access-ended")
    assert (began["access"]["kind"], ended["access"]["entries"]) == ("follow", count)  # type: ignore[index,call-overload]
    cancel.close()


def test_49_readers_are_bounded(log: Logbook) -> None:
    """Each user's followers and all of theirs together; root has room of its own."""
    cancel = Cancellation()
    held = []

    def follow(who: Requester) -> None:
        pages = log.follow(Asked(oldest_first=True), who, cancel=cancel)
        held.append(pages)
        next(pages)

    for number in range(8):
        follow(person("u", 2000 + number))
        follow(person("u", 2000 + number))
    for full in (2000, 3000):
        with pytest.raises(BusyError):
            follow(person("u", full))
    for _ in range(8):
        follow(ROOT)
    with pytest.raises(BusyError):
        follow(ROOT)
    held[0].close()
    follow(person("u", 3000))
    held[1].close()
    with pytest.raises(BusyError):  # many uids of one person: each of them answers for the same
        next(log.follow(Asked(oldest_first=True), person("v", 4000), cancel=cancel, answers=2001))
    for pages in held:
        pages.close()
    cancel.close()


def test_41_asking_about_others_can_not_fill_the_disk(log: Logbook, broker: Broker, clock: ManualClock) -> None:
    """A member of the group has so many questions and gets new ones with time; own entries are not concerned, nor is root."""
    for _ in range(asking.BURST):
        log.search(Asked(limit=512), AUDITOR)
    size = broker.parts.store.head()[0]
    cancel = Cancellation()
    asked: tuple[Callable[[], object], ...] = (
        lambda: log.search(Asked(), AUDITOR),
        lambda: log.show(request_id(0), AUDITOR),
        lambda: next(log.follow(Asked(oldest_first=True), AUDITOR, cancel=cancel)),
    )
    for question in asked:
        with pytest.raises(BusyError):
            question()
    assert broker.parts.store.head()[0] == size
    assert log.search(Asked(mine=True), AUDITOR)["entries"] == []
    assert log.search(Asked(), ROOT)["entries"]
    clock.advance(asking.SECONDS_EACH)
    assert log.search(Asked(), AUDITOR)["entries"]
    cancel.close()


def test_questions_that_are_left_open_end(log: Logbook, broker: Broker) -> None:
    """When the same user opens many others, and with the broker; a cursor of one that ended is refused."""
    first = str(log.search(Asked(limit=1), ROOT)["cursor"])
    for _ in range(asking.MAX_OPEN_PER_UID):
        log.search(Asked(limit=1), ROOT)
    with pytest.raises(AuditError):
        log.search(Asked(limit=1, cursor=first), ROOT)
    assert len(written(broker, "access-ended")) == 1
    log.close()
    assert len(written(broker, "access-ended")) == asking.MAX_OPEN_PER_UID + 1


@pytest.fixture
def care(log: Logbook, broker: Broker) -> Care:
    return Care(broker.parts.ledger, broker.parts.clock, log.gate, owner_uid=OWNER)


def test_the_log_is_cared_for_while_it_is_used(care: Care, log: Logbook, broker: Broker, tmp_path: Path) -> None:
    """Erased, rotated and pruned, each with who did it; readers find what is left."""
    assert care.erase("alice", ROOT) == {
        "entries": LIVES,
        "requests": LIVES // 2,
        "before": broker.parts.store.head()[0] - 1,
        "later": 0,
    }
    assert everything(log, ALICE, Asked()) == []
    assert everything(log, ROOT, Asked(words="user:alice")) == []
    assert care.rotate_key(person("owner", OWNER))["key"] == broker.parts.store.verifier_key
    done = bodies(broker)
    beat(broker)
    with (tmp_path / "archive").open("wb") as file:
        assert care.prune(256, file.fileno(), ROOT) == {"began": 256}
    archived = (tmp_path / "archive").read_bytes().splitlines()
    assert [parse(data).seq for data in archived] == list(range(256))
    done |= bodies(broker)
    for event, user in (("erased", "root"), ("log-key-rotated", "owner"), ("log-pruned", "root")):
        assert done[event]["actor"]["user"] == user  # type: ignore[index,call-overload]


def bodies(broker: Broker) -> dict[str, Mapping[str, Json]]:
    """Give what is open of the last entry of each event."""
    with LedgerReader(broker.home.ledger) as reader:
        return {entry.event: entry.body for entry in reader.opened()}


def beat(broker: Broker) -> None:
    """Fill more than a tile, in few commits."""
    ledger = broker.parts.ledger
    ledger._writer.submit(lambda owned: [owned.append(draft("heartbeat")) for _ in range(300)]).result()


def test_nobody_is_nobody(care: Care, broker: Broker) -> None:
    """An empty name is none, whatever stands in the log; and a word that was asked for is no person's for being empty."""
    broker.parts.store.append(draft("access", access={"named": [{"user": ""}]}))
    with pytest.raises(AuditError):
        care.erase("", ROOT)


@pytest.mark.parametrize("who", [ALICE, AUDITOR])
def test_others_do_not_care_for_the_log(care: Care, broker: Broker, who: Requester, tmp_path: Path) -> None:
    """Not even who may read it."""
    size = broker.parts.store.head()
    with (tmp_path / "archive").open("wb") as file:
        acts: tuple[Callable[[], object], ...] = (
            lambda: care.erase("alice", who),
            lambda: care.prune(256, file.fileno(), who),
            lambda: care.rotate_key(who),
        )
        for act in acts:
            with pytest.raises(DeniedError):
                act()
    assert broker.parts.store.head() == size


def test_an_archive_is_an_empty_file(care: Care, broker: Broker, tmp_path: Path) -> None:
    """What is there is not written over; where the archive can't be written nothing is taken out."""
    beat(broker)
    (tmp_path / "full").write_text("something")
    with (tmp_path / "full").open("r+b") as file, pytest.raises(AuditError, match="empty file"):
        care.prune(256, file.fileno(), ROOT)
    (tmp_path / "new").touch()
    with (tmp_path / "new").open("rb") as read_only, pytest.raises(StoreUnwritableError):
        care.prune(256, read_only.fileno(), ROOT)
    assert parse(next(broker.parts.store.entries())).seq == 0


def test_a_broker_inside_has_the_same_words(broker: Broker, tmp_path: Path) -> None:
    """Search, show, follow, and what is done to the log as it ages."""
    from elevate import Task

    with broker.elevate(Task.run(["true"])) as grant:
        grant.run()
    found = list(broker.search(f"{grant.request} event:issued"))
    assert [one["event"] for one in found] == ["issued"]
    assert next(one["event"] for one in entries(broker.show(grant.request))) == "requested"
    events = (one["event"] for one in broker.follow(position=0))
    assert next(events) == "broker-started"
    assert broker.rotate_log_key() == broker.parts.store.verifier_key
    assert broker.prune(0, tmp_path / "archive") == {"began": 0}
    with pytest.raises(StoreUnwritableError):
        broker.prune(0, tmp_path / "archive")
    assert broker.erase(str(found[0]["user"]))["requests"] == 1
