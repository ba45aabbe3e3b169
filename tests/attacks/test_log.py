"""Row 42 on the stored log: who can write the file can't change it unseen, and what is no attack raises no alarm."""

import shutil
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from elevate.audit import Outcome, Tampering, Verdict
from elevate.audit.notes import Checkpoint, Note, Signer, VerifierKey
from elevate.audit.ranges import TILE
from elevate.audit.verify import Known
from elevate.canonical import Json
from elevate.cli.audit_verify import run
from elevate.errors import AuditError, StoreError
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import AT, draft, issue, request_id, row

SIZE = 1900
END = "instr(data, x'0a')"
"""Where the first of several openings ends."""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of many tiles, closed."""
    folder = tmp_path_factory.mktemp("good", numbered=True)
    store = make_log(folder / "ledger.sqlite", 2000)
    assert store.head()[0] == SIZE
    store.close()
    return folder


@pytest.fixture
def path(good: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(good, copy)
    return copy / "ledger.sqlite"


@pytest.fixture(params=["one process", "two processes"], autouse=True)
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long log is divided; here a short one is, too."""
    if request.param == "two processes":
        monkeypatch.setattr("elevate.cli.audit_verify.ALONE", 0)


def verify(path: Path, *known: Known, since: int = 0, key: VerifierKey | None = None) -> Verdict:
    return run(Plan(path, since=since, known=known, key=key))


def change(path: Path, *queries: str) -> None:
    connection = apsw.Connection(str(path))
    for query in queries:
        connection.execute(query)
    connection.close()


def anchor(path: Path) -> Known:
    """The last checkpoint, as somebody kept it."""
    connection = apsw.Connection(str(path))
    note = str(connection.execute("SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1").get)
    connection.close()
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    return Known(size=checkpoint.size, root=checkpoint.root, source="kept")


def named(verdict: Verdict) -> tuple[int, Tampering | None]:
    assert verdict.outcome is Outcome.TAMPERED
    return verdict.position, verdict.kind


def test_a_good_log_is_whole(path: Path) -> None:
    """Incomplete without an anchor, verified with one."""
    assert verify(path).outcome is Outcome.INCOMPLETE
    verdict = verify(path, anchor(path))
    assert (verdict.outcome, verdict.size, verdict.anchored) == (Outcome.VERIFIED, SIZE, SIZE)


@pytest.mark.parametrize("at", [1, 255, 256, 700, 1023, 1024, SIZE - 2])
def test_42_an_edited_entry_is_named(path: Path, at: int) -> None:
    """A byte of the stored entry."""
    edit = f"SET data = CAST(replace(CAST(data AS TEXT), '\"mono_us\":1', '\"mono_us\":2') AS BLOB) WHERE seq = {at}"
    change(path, f"UPDATE entries {edit}")
    assert named(verify(path)) == (at, Tampering.EDITED)


@pytest.mark.parametrize("at", [1, 256, 700])
def test_42_a_deleted_entry_is_named(path: Path, at: int) -> None:
    """Also where those behind it were moved up."""
    change(path, f"DELETE FROM entries WHERE seq = {at}")
    assert named(verify(path)) == (at, Tampering.DELETED)
    change(path, f"UPDATE entries SET seq = -seq WHERE seq > {at}", "UPDATE entries SET seq = -seq - 1 WHERE seq < 0")
    assert named(verify(path)) == (at, Tampering.DELETED)


@pytest.mark.parametrize("at", [700, 767])
def test_42_two_swapped_entries_are_named(path: Path, at: int) -> None:
    """Each in the other's place, be it across the border between two shares of the work."""
    change(
        path,
        f"UPDATE entries SET seq = -1 WHERE seq = {at}",
        f"UPDATE entries SET seq = {at} WHERE seq = {at + 1}",
        f"UPDATE entries SET seq = {at + 1} WHERE seq = -1",
    )
    assert named(verify(path)) == (at, Tampering.SWAPPED)


def test_42_an_inserted_entry_is_named(path: Path) -> None:
    """Those behind it moved down."""
    change(
        path,
        "UPDATE entries SET seq = -seq WHERE seq >= 700",
        "UPDATE entries SET seq = 1 - seq WHERE seq < 0",
        "INSERT INTO entries SELECT 700, data FROM entries WHERE seq = 699",
    )
    assert named(verify(path)) == (700, Tampering.INSERTED)


def test_42_a_torn_entry_is_named(path: Path) -> None:
    """Half of it is there, or it is of another type."""
    for query in ("substr(data, 1, 100)", "CAST('x' AS TEXT)", "4"):
        change(path, f"UPDATE entries SET data = {query} WHERE seq = 700")
        assert named(verify(path)) == (700, Tampering.TORN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"body":{', b'"body": {'),
        (b'"body":{', b'"body":{"x":{"y":1.0},'),
        (b'"body":{', b'"body":{"x":{"y":1e20},'),
        (b'"body":{', b'"body":{"x":{"y":9007199254740992},'),
        (b'"body":{', b'"body":{"\xc3\xa9":{},'),
        (b'"body":{', b'"body":{"A":' + b"[" * 40 + b"]" * 40 + b","),
        (b'"body":{', b'"body":{"A":{},"A":{},'),
        (b'"body":{', b'"body":{"z":{},'),
        (b'"body":{', b'"body":{x,'),
        (b'"v":1', b'"v":2'),
        (b'"machine":"', b'"machine":"\\u0041'),
    ],
)
def test_42_an_entry_that_is_not_written_as_entries_are_is_named(path: Path, old: bytes, new: bytes) -> None:
    """The last one, behind the last checkpoint, so that its hash is not signed yet and anybody can make it up."""
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM checkpoints WHERE size > 1800")
    data = connection.execute("SELECT data FROM entries WHERE seq = ?", (SIZE - 1,)).get
    assert isinstance(data, bytes)
    assert old in data
    connection.execute("UPDATE entries SET data = ? WHERE seq = ?", (data.replace(old, new, 1), SIZE - 1))
    connection.close()
    assert named(verify(path)) == (SIZE - 1, Tampering.TORN)


def test_42_an_opening_of_another_entry_is_named(path: Path) -> None:
    """It opens something, but not what this entry commits to."""
    change(path, "UPDATE openings SET data = (SELECT data FROM openings WHERE seq = 701) WHERE seq = 700")
    assert named(verify(path)) == (700, Tampering.OPENING)


def test_42_text_that_is_no_text_is_an_error_and_no_crash(path: Path) -> None:
    """SQLite keeps any bytes as text; reading them says that the file is damaged."""
    change(path, "UPDATE requests SET positions = CAST(x'ff' AS TEXT) WHERE n = 100")
    with pytest.raises((StoreError, AuditError), match="damaged"):
        verify(path)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("UPDATE openings SET data = CAST(replace(CAST(data AS TEXT), 'erin', 'alic') AS BLOB)", Tampering.OPENING),
        ("UPDATE requests SET state = 'denied' WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET jti = 'x' WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET position = -1 WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET position = 3 WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET position = 'x', last = 'y' WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET state = 'issued', redeem_id = '', last = position WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET state = 'requested', last = CAST(positions AS INTEGER) WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET last = 3 WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET last = position, positions = positions || ' 9223372036854775808' WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET positions = positions || ' 5000' WHERE n = 100", Tampering.INDEX),
        ("INSERT INTO loose VALUES('a', 5000)", Tampering.INDEX),
        ("UPDATE requests SET position = 5000 WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET positions = '1 x' WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET positions = x'00', state = 4 WHERE n = 100", Tampering.INDEX),
        ("UPDATE requests SET positions = positions || ' 3' WHERE n = 100", Tampering.INDEX),
        ("DELETE FROM requests WHERE n = 100", Tampering.INDEX),
        ("UPDATE tiles SET hashes = zeroblob(8192), root = zeroblob(32) WHERE id = 3", Tampering.INDEX),
        ("DELETE FROM tiles WHERE id = 6", Tampering.INDEX),
        ("DELETE FROM checkpoints WHERE size BETWEEN 300 AND 1500", Tampering.CHECKPOINT),
        ("DELETE FROM checkpoints", Tampering.CHECKPOINT),
        ("UPDATE checkpoints SET note = (SELECT note FROM checkpoints LIMIT 1) WHERE size > 1000", Tampering.CHECKPOINT),
        ("UPDATE checkpoints SET note = 'x' WHERE size > 1000", Tampering.CHECKPOINT),
        ("UPDATE checkpoints SET note = replace(note, substr(note, -9, 4), 'AAAA') WHERE size > 1000", Tampering.CHECKPOINT),
    ],
)
def test_42_what_stands_beside_the_log_is_checked(path: Path, query: str, kind: Tampering) -> None:
    """Openings, rows, tiles and checkpoints, without an anchor."""
    change(path, query)
    assert named(verify(path))[1] is kind


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ("DELETE FROM openings WHERE {}", "seq = 700"),
        ("DELETE FROM openings WHERE {}", "seq >= 0"),
        (f"UPDATE openings SET data = substr(data, 1, {END} - 1) WHERE {{}}", f"seq > 600 AND {END}"),
        (f"UPDATE openings SET data = substr(data, 1, {END}) || substr(data, 1, {END} - 1) WHERE {{}}", f"seq > 600 AND {END}"),
    ],
    ids=["all of one", "all", "one of several", "one in place of another"],
)
def test_42_an_opening_that_was_taken_away_is_named(path: Path, query: str, which: str) -> None:
    """Who did it would be forgotten, and no erasure is in the log."""
    first = kept(path, which)
    change(path, query.format(which))
    assert named(verify(path)) == (first, Tampering.OPENING)


def test_42_more_openings_gone_than_were_erased_are_named(path: Path) -> None:
    """An erasure explains its own, and those that an erasure under way has taken; not one more."""
    store = SqliteStore(path, entropy=SeededEntropy(3))
    store.erase("carol", AT)
    store.close()
    assert verify(path).outcome is Outcome.INCOMPLETE
    assert verify(path, anchor(path)).outcome is Outcome.VERIFIED
    change(path, "INSERT INTO meta VALUES('erasing', '{\"entries\":1}')", f"DELETE FROM openings WHERE seq = {kept(path)}")
    verdict = verify(path, anchor(path))
    assert (verdict.outcome, "by an erasure that had not ended" in verdict.message) == (Outcome.INCOMPLETE, True)
    change(path, "UPDATE meta SET value = 'x' WHERE name = 'erasing'")
    assert named(verify(path))[1] is Tampering.OPENING
    change(path, "UPDATE meta SET value = '{\"entries\":1}' WHERE name = 'erasing'")
    change(path, f"DELETE FROM openings WHERE seq = {kept(path)}")
    assert named(verify(path))[1] is Tampering.OPENING


def kept(path: Path, which: str = "seq >= 0") -> int:
    """Give the first entry that has openings, of those that are meant."""
    with LedgerReader(path) as reader:
        return int(reader.rows(f"SELECT min(seq) FROM openings WHERE {which}")[0][0])


def test_42_a_log_rewritten_with_its_own_key_needs_an_anchor(path: Path, tmp_path: Path) -> None:
    """Every entry another one, the tree and the signatures made anew: a good log, but not the one that the anchor saw."""
    rewritten = tmp_path / "rewritten" / "ledger.sqlite"
    rewritten.parent.mkdir(mode=0o700)
    make_log(rewritten, 2000, step_us=3_000_000).close()
    with LedgerReader(path) as ours, LedgerReader(rewritten) as theirs:
        assert ours.keys() == theirs.keys()
        assert ours.size() == theirs.size() == SIZE
        key = VerifierKey.parse(ours.keys()[0])
    assert verify(rewritten, key=key).outcome is Outcome.INCOMPLETE
    assert named(verify(rewritten, anchor(path), key=key))[1] is Tampering.REWRITTEN


def test_42_a_cut_tail_needs_an_anchor(path: Path) -> None:
    """With the tree and its checkpoints cut, too, the rest is a good log: incomplete. With an anchor: cut."""
    known = anchor(path)
    cut(path, 900)
    assert verify(path).outcome is Outcome.INCOMPLETE
    assert named(verify(path, known)) == (900, Tampering.CUT)


def test_42_a_log_that_was_cut_and_went_on_needs_an_anchor(path: Path) -> None:
    """Its own key signs the new end; the anchor saw another."""
    known = anchor(path)
    cut(path, 900)
    store = SqliteStore(path, entropy=SeededEntropy(3))
    for number in range(SIZE):
        store.append(draft(f"other-{number}"))
    store.close()
    assert verify(path).outcome is Outcome.INCOMPLETE
    assert named(verify(path, known))[1] is Tampering.REWRITTEN


def test_42_an_older_copy_needs_an_anchor(path: Path, tmp_path: Path) -> None:
    """It is a good log that ends too early."""
    older = tmp_path / "older"
    shutil.copytree(path.parent, older)
    store = SqliteStore(path, entropy=SeededEntropy(3))
    store.append(draft("more"))
    store.close()
    assert named(verify(older / path.name, anchor(path))) == (SIZE, Tampering.CUT)


def test_42_a_log_rewritten_with_another_key_shows_with_the_pinned_one(path: Path, tmp_path: Path) -> None:
    """The first key, kept outside, did not sign this."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    make_log(other / "ledger.sqlite", 2000).close()
    with_key = SqliteStore(path, entropy=SeededEntropy())
    key = VerifierKey.parse(with_key.verifier_key)
    with_key.close()
    assert verify(path, key=key).outcome is Outcome.INCOMPLETE
    pinned = VerifierKey(name=key.name, kind=key.kind, key=Signer.make("x", b"p" * 32).verifier.key)
    assert named(verify(other / "ledger.sqlite", key=pinned))[1] is Tampering.CHECKPOINT


def test_42_two_views_of_one_log_show_when_they_meet(path: Path, tmp_path: Path) -> None:
    """Each has an anchor that the other can't hold."""
    fork = tmp_path / "fork"
    shutil.copytree(path.parent, fork)
    for place, word in ((path, "left"), (fork / path.name, "right")):
        store = SqliteStore(place, entropy=SeededEntropy(3))
        store.append(draft(word))
        store.close()
    assert named(verify(path, anchor(fork / path.name)))[1] is Tampering.REWRITTEN
    assert verify(path, anchor(path)).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("anchored", [False, True])
def test_42_entries_that_are_gone_as_if_they_had_been_pruned_are_named(path: Path, *, anchored: bool) -> None:
    """The first tiles are taken away, and the ledger says that it was pruned: the log says nothing of it."""
    known = [anchor(path)] * anchored
    gone = [f"DELETE FROM {table} WHERE seq < 512" for table in ("entries", "openings")]
    change(path, *gone, "DELETE FROM requests WHERE last < 512", "INSERT INTO meta VALUES('pruned', '512')")
    assert named(verify(path, *known)) == (0, Tampering.DELETED)


@pytest.mark.parametrize("begins", ["x", "-1", "99999999999999999999"])
def test_42_a_beginning_that_is_no_number_is_an_error_and_no_crash(path: Path, begins: str) -> None:
    """Whoever writes the file may have put anything there."""
    change(path, f"INSERT INTO meta VALUES('pruned', '{begins}')")
    with pytest.raises(AuditError, match="pruned"):
        verify(path)


def test_no_false_alarm_while_the_log_grows(path: Path) -> None:
    """What comes after a verification has begun is not part of it: requests that go on, new ones, notes without one."""
    store = SqliteStore(path, entropy=SeededEntropy(8))
    store.open_request(row(request_id(5000)), draft("requested", request_id(5000)))
    plan = Plan(path)
    store.step(issue(request_id(5000)))
    store.append(draft("second-use", request_id(99)))
    store.append(draft("policy-changed", "nobody's"))
    store.open_request(row(request_id(5001)), draft("requested", request_id(5001)))
    verdict = run(plan)
    store.close()
    assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, SIZE + 1)


def test_no_false_alarm_for_more_shares_than_rows(tmp_path: Path) -> None:
    """Notes of requests that have no row are added up once."""
    store = SqliteStore(tmp_path / "ledger", entropy=SeededEntropy(8))
    store.open_request(row(request_id(1)), draft("requested", request_id(1)))
    for number in range(2 * TILE):
        store.append(draft("policy-changed", f"nobody-{number}"))
    store.close()
    assert verify(tmp_path / "ledger").outcome is Outcome.INCOMPLETE


def test_no_false_alarm_for_what_is_noted_after_the_end(path: Path) -> None:
    """A second use is written behind the end of a request, and changes nothing of its row."""
    with_alarm = SqliteStore(path, entropy=SeededEntropy(8))
    with_alarm.append(draft("second-use", request_id(99)))
    with_alarm.close()
    assert verify(path).outcome is Outcome.INCOMPLETE


def test_42_hashes_of_a_tile_that_are_not_those_of_its_entries_are_named(path: Path) -> None:
    """Proofs and published tiles are made of them; that the tile's root is right is not enough."""
    change(path, "UPDATE tiles SET hashes = zeroblob(8192) WHERE id = 2")
    assert named(verify(path)) == (512, Tampering.INDEX)
    assert named(verify(path, anchor(path))) == (512, Tampering.INDEX)


def test_42_tiles_of_a_higher_level_are_compared_with_those_below(tmp_path: Path) -> None:
    """So long a log that it has one: 65,536 entries."""
    place = tmp_path / "long" / "ledger.sqlite"
    place.parent.mkdir(mode=0o700)
    make_log(place, 69_000).close()
    assert verify(place).outcome is Outcome.INCOMPLETE
    for column in ("hashes = zeroblob(8192)", "root = zeroblob(32)"):
        copy = Path(shutil.copytree(place.parent, tmp_path / column.split()[0])) / place.name
        change(copy, f"UPDATE tiles SET {column} WHERE id >= {1 << 48}")
        assert named(verify(copy)) == (0, Tampering.INDEX)


def test_verification_goes_on_where_it_ended(path: Path) -> None:
    """From a size on: what lies before is not read again, so it is not called verified, anchor or not."""
    verdict = verify(path, anchor(path), since=1000)
    assert (verdict.outcome, verdict.anchored) == (Outcome.INCOMPLETE, SIZE)
    assert "before entry 768 was not read this time" in verdict.message
    change(path, "DELETE FROM entries WHERE seq = 700")
    assert verify(path, since=1000).outcome is Outcome.INCOMPLETE
    assert named(verify(path)) == (700, Tampering.DELETED)


def test_verification_goes_on_where_nothing_is_new(tmp_path: Path) -> None:
    """At the end of a log that ends with a tile nothing is read; what lies before is no reason for an alarm."""
    with closing(SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy(7))) as store:
        while store.head()[0] < TILE:
            store.append(draft("note"))
            if store.head()[0] == TILE // 2:
                store.checkpoint()
        store.checkpoint()
        for since in (TILE, TILE + 4):
            verdict = verify(store.path, anchor(store.path), since=since)
            assert (verdict.outcome, verdict.anchored) == (Outcome.INCOMPLETE, TILE)


@pytest.mark.parametrize("kind", ["größe", ["a", {"b": [1, True, None]}], {"x": {"y": []}}])
def test_no_false_alarm_for_what_is_not_read_in_bulk(tmp_path: Path, kind: Json) -> None:
    """Text beyond ASCII, and what the quick reader's schema does not know: read one by one, and good."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    for value in ("plain", kind, "plain"):
        store.append(draft("note", task={"kind": value}))
    store.close()
    verdict = verify(tmp_path / "ledger.sqlite")
    assert (verdict.outcome, verdict.size) == (Outcome.INCOMPLETE, 3)


def test_no_false_alarm_after_a_clock_step(tmp_path: Path) -> None:
    """Times are not positions."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    for unix_us in (2_000_000, 1_000_000, 3_000_000):
        entry = draft("tick")
        store.append(type(entry)(event="tick", request="", at=type(entry.at)(unix_us=unix_us, mono_ns=unix_us)))
    store.close()
    assert verify(tmp_path / "ledger.sqlite").outcome is Outcome.INCOMPLETE


def cut(path: Path, size: int) -> None:
    """Cut a log off, with all that stands beside it: what an attacker with the file would do."""
    change(
        path,
        f"DELETE FROM entries WHERE seq >= {size}",
        f"DELETE FROM openings WHERE seq >= {size}",
        f"DELETE FROM checkpoints WHERE size > {size}",
        f"DELETE FROM tiles WHERE id >= {size // 256}",
        f"DELETE FROM requests WHERE last >= {size}",
    )
    keep_whole_requests(path)


def keep_whole_requests(path: Path) -> None:
    """Put the rows of requests whose end was cut off back to where the log now leaves them."""
    connection = apsw.Connection(str(path))
    size = int(connection.execute("SELECT max(seq) + 1 FROM entries").get)
    known = {str(word) for (found,) in connection.execute("SELECT positions FROM requests") for word in str(found).split()}
    for position in (at for at in range(size) if str(at) not in known):
        connection.execute("DELETE FROM loose WHERE seq = ?", (position,))
        request = str(
            connection.execute(
                "SELECT json_extract(CAST(data AS TEXT), '$.request') FROM entries WHERE seq = ?", (position,)
            ).get
        )
        connection.execute("INSERT INTO loose VALUES(?, ?)", (request, position))
    connection.close()
