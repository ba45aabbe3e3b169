"""Pages of the log: together the whole answer, each a bounded piece of work, and of one's own entries what one was told."""

from collections.abc import Callable
from pathlib import Path

import pytest

from elevate.audit import query
from elevate.audit.entry import Entry
from elevate.audit.own import own_view
from elevate.audit.query import parse
from elevate.canonical import Json
from elevate.errors import AuditError
from elevate.lifecycle import State
from elevate.store import SqliteStore, pages
from elevate.store.pages import Found, Span, Wanted, Whose, life, page
from elevate.store.reader import LedgerReader
from elevate.store.searching import search
from elevate.testing import SeededEntropy
from tests.biglog import BEGIN_US, make_log
from tests.ledgers import draft, issue, request_id, row

NOW_US = BEGIN_US + 10**9
ALICE = Whose(user="alice", uid=1000)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "ledger.sqlite"
    make_log(path, 5000).close()
    return path


def walk(reader: LedgerReader, wanted: Wanted, span: Span) -> list[list[Found]]:
    """Give all pages."""
    made = []
    left: Span | None = span
    while left is not None:
        found = page(reader, wanted, left)
        made.append(found.found)
        left = found.rest
    return made


def positions(made: list[list[Found]]) -> list[int]:
    return [found.entry.seq for each in made for found in each]


@pytest.mark.parametrize("words", ["", "outcome:denied", "user:bob tool-7", "event:requested -user:bob", "nothing-of-it"])
def test_pages_are_the_whole_answer(ledger: Path, words: str) -> None:
    """In both orders, whatever a page holds, and with an index that is behind."""
    with LedgerReader(ledger) as reader:
        wanted = parse(words, NOW_US)
        expected = [entry.seq for entry in search(reader, wanted)]
        for limit in (256, 97):
            newest = positions(walk(reader, Wanted(query=wanted, limit=limit), Span(start=0, stop=reader.size())))
            oldest = walk(reader, Wanted(query=wanted, limit=limit), Span(start=0, stop=reader.size(), oldest_first=True))
            assert newest == expected
            assert positions(oldest) == expected[::-1]


def test_a_page_is_bounded_even_when_nothing_is_found(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So much is looked at, then the caller may go on; between the pieces others get their turn."""
    monkeypatch.setattr(pages, "MAX_LOOKED", 512)
    rests: list[object] = []
    with LedgerReader(ledger) as reader:
        span = Span(start=0, stop=4096)
        found = page(reader, Wanted(query=parse("no-such-word", NOW_US)), span, rest=lambda: rests.append(None))
        assert (found.found, found.rest) == ([], Span(start=0, stop=4096 - 512))
        assert len(rests) == 8 + pages.CATCH_UP


def test_a_page_has_no_more_bytes_than_its_bound(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry is always given, however large it is."""
    monkeypatch.setattr(pages, "MAX_BYTES", 1)
    with LedgerReader(ledger) as reader:
        made = walk(reader, Wanted(query=parse("", NOW_US)), Span(start=0, stop=20))
    assert [len(each) for each in made] == [1] * 20


def test_36_a_page_reads_no_more_bytes_than_its_bound(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large entries that are not meant end a page sooner; it always goes forward."""
    monkeypatch.setattr(pages, "MAX_LOOKED_BYTES", 1)
    with LedgerReader(ledger) as reader:
        made = walk(reader, Wanted(query=parse("no-such-word", NOW_US)), Span(start=0, stop=640))
    assert made == [[]] * 10


def test_empty_stretches_of_a_long_log_are_bounded_too(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends after so many blocks in which nothing is."""
    monkeypatch.setattr(pages, "MAX_BLOCKS", 1)
    with LedgerReader(ledger) as reader:
        for oldest_first in (False, True):
            made = walk(
                reader,
                Wanted(query=parse("user:nobody", NOW_US)),
                Span(start=0, stop=reader.size(), oldest_first=oldest_first),
            )
            assert positions(made) == []
            assert len(made) > 1


def test_a_user_gets_the_entries_of_own_requests_and_nothing_else(ledger: Path) -> None:
    """By name and uid of the ledger's rows; a word that names another finds nothing."""
    with LedgerReader(ledger) as reader:
        everything = Span(start=0, stop=reader.size())
        own = [found for each in walk(reader, Wanted(query=parse("", NOW_US), whose=ALICE), everything) for found in each]
        expected = [entry.seq for entry in search(reader, parse("user:alice", NOW_US))]
        assert [found.entry.seq for found in own] == expected
        assert {found.user for found in own} == {"alice"}
        for whose in (Whose(user="alice", uid=1001), Whose(user="", uid=1000), Whose(user="root", uid=0)):
            assert positions(walk(reader, Wanted(query=parse("", NOW_US), whose=whose), everything)) == []
        assert positions(walk(reader, Wanted(query=parse("user:bob", NOW_US), whose=ALICE), everything)) == []


@pytest.mark.parametrize("name", [request_id, lambda number: request_id(number)[:8]])
def test_a_life_is_found_by_whom_it_concerns(ledger: Path, name: Callable[[int], str]) -> None:
    """A foreign id and an unknown one are answered alike."""
    alice, bob = name(0), name(3)
    with LedgerReader(ledger) as reader:
        request, found = life(reader, alice, ALICE)
        assert (request, found[0][0].event) == (request_id(0), "requested")
        said = []
        for other in (bob, "f" * len(bob)):
            with pytest.raises(AuditError) as caught:
                life(reader, other, ALICE)
            said.append((caught.value.message.replace(other, ""), caught.value.hint))
        assert said[0] == said[1]
        assert life(reader, bob, None)[0] == request_id(3)


@pytest.mark.parametrize("name", ["", "a", "%", "x" * 64, request_id(0)[:5]])
def test_a_name_that_is_too_short_names_nothing(ledger: Path, name: str) -> None:
    """As for those who see all."""
    with LedgerReader(ledger) as reader, pytest.raises(AuditError):
        life(reader, name, ALICE)


def test_a_life_is_looked_for_among_own_rows_only(ledger: Path) -> None:
    """By the index on users: no other row is touched, so that no time tells whether it is there."""
    with LedgerReader(ledger) as reader:
        plan = [str(row) for row in reader.rows(f"EXPLAIN QUERY PLAN {pages._MINE}", "alice", 1000, "x", "x", -1, "x")]
    assert len(plan) == 1
    assert "SEARCH requests USING INDEX requests_user (user=?)" in plan[0]


def test_first_entries_are_known(tmp_path: Path) -> None:
    """A reader who begins in the middle learns for which requests something came before."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    store.append(draft("heartbeat"))
    store.open_request(row(request_id(1)), draft("requested", request_id(1)))
    store.step(issue(request_id(1)))
    store.close()
    with LedgerReader(tmp_path / "ledger.sqlite") as reader:
        made = page(reader, Wanted(query=parse("", 0)), Span(start=0, stop=3, oldest_first=True))
    assert [found.first for found in made.found] == [True, True, False]


def entry(event: str, **body: Json) -> Entry:
    return Entry(seq=0, event=event, request="r", unix_us=0, mono_us=0, body=body, was="")


def test_own_entries_leave_out_what_the_requester_was_not_told() -> None:
    """The full reason, what was found out of a file before a refusal, who exactly acted on it, and whatever is new."""
    found: Json = [{"kind": "process.run", "path": "/root/x", "sha256": "ab"}]
    task: Json = {
        "kind": "process.run",
        "display": "cat /root/x",
        "digest": "d",
        "path": "/root/x",
        "sha256": "ab",
        "steps": found,
    }
    told = {"kind": "process.run", "display": "cat /root/x"}
    denied = own_view(entry("denied", task=task, reason={"code": "denied", "text": "secret"}, question={"a": 1}), 1000)
    assert denied.body == {"task": told, "reason": {"code": "denied"}}
    assert own_view(entry(State.PROMPTING, task=task), 1000).body == {"task": task}
    actor: Json = {"user": "root", "uid": 0, "executable": "/root/tool"}
    assert own_view(entry("revoked", actor=actor), 1000).body == {"actor": {"user": "root", "uid": 0}}
    assert own_view(entry("requested", actor=actor), 0).body == {"actor": actor}


def test_no_word_of_a_search_is_the_term_of_ownership() -> None:
    """Whose entries they are is never a word."""
    with pytest.raises(AuditError, match="nothing can be searched by"):
        parse(query.own_term("alice", 1000), NOW_US)


def test_own_words_look_only_at_what_is_shown(tmp_path: Path) -> None:
    """The hash of a file that the user can't read is not found by its digits."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    task: Json = {"kind": "process.run", "display": "cat /root/x", "sha256": "ab12cd34"}
    store.open_request(row(request_id(1)), draft("requested", request_id(1), task=task))
    store.close()
    with LedgerReader(tmp_path / "ledger.sqlite") as reader:
        for words, mine, everyone in (("ab12", 0, 1), ("/root", 1, 1)):
            for whose, expected in ((ALICE, mine), (None, everyone)):
                made = page(reader, Wanted(query=parse(words, 0), whose=whose), Span(start=0, stop=1))
                assert len(made.found) == expected
