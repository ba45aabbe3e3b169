"""Row 42 on the ledger's rows, each field of them, and on what stands in its tables and belongs to no log."""

import shutil
from pathlib import Path

import apsw
import pytest

from elevate.audit import EMPTY, Outcome, Tampering, Verdict
from elevate.audit.entry import leaf_hash, load
from elevate.canonical import Json
from elevate.cli.audit_verify import run
from elevate.errors import StoreForeignError
from elevate.lifecycle import State
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.rows import BLANK, COLUMNS
from elevate.testing import SeededEntropy
from tests.biglog import make_log
from tests.ledgers import AT, draft, issue, redeem, request_id, row, sealed, step

LIVES = ("requested", "issued", "redeemed", "running", "destroyed", "denied")
"""Requests of the log, by the state in which each stands."""
OTHER = {
    "position": "position + 1",
    "state": "'prompting'",
    "result": "'{\"exit_status\":1}'",
    "request": f"'{request_id(77)}'",
}
"""How a field is edited; a text gets a letter more, a number is one more."""
COPY = (
    "INSERT INTO requests SELECT {}, 'f' || substr(request, 2), state, user, uid, session, host, epoch, request_digest, '', "
    "expires_at, deadline_ns, redeem_id, position, result, {}, last FROM requests WHERE n = 2"
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short log with a request in each of `LIVES`, closed."""
    folder = tmp_path_factory.mktemp("rows", numbered=True)
    store = SqliteStore(folder / "ledger.sqlite", entropy=SeededEntropy(5))
    for number, last in enumerate(LIVES):
        request = request_id(number)
        store.open_request(row(request, user=f"user-{number}"), draft("requested", request, actor={"user": f"user-{number}"}))
        if last == "denied":
            store.step(step(request, State.REQUESTED, State.DENIED))
            continue
        fields: dict[str, Json] = {"result": {"exit_status": 0}}
        way = [issue(request), redeem(request), step(request, State.REDEEMED, State.RUNNING)]
        way.append(step(request, State.RUNNING, State.DESTROYED, fields=fields))
        for one in way[: LIVES.index(last)]:
            store.step(one)
    store.close()
    return folder


@pytest.fixture
def path(good: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(good, copy)
    return copy / "ledger.sqlite"


def verify(path: Path, *, since: int = 0) -> Verdict:
    return run(Plan(path, since=since))


def change(path: Path, *queries: str) -> None:
    connection = apsw.Connection(str(path))
    for query in queries:
        connection.execute(query)
    connection.close()


def ask(path: Path, query: str) -> str | int:
    connection = apsw.Connection(str(path))
    found = connection.execute(query).get
    connection.close()
    assert isinstance(found, str | int)
    return found


def tampered(path: Path) -> Verdict:
    verdict = verify(path)
    assert verdict.outcome is Outcome.TAMPERED
    return verdict


def named(path: Path) -> tuple[int, Tampering | None]:
    verdict = tampered(path)
    return verdict.position, verdict.kind


def other(column: str) -> str:
    return OTHER.get(column, f"{column} + 1" if column in {"uid", "expires_at", "deadline_ns"} else f"{column} || 'x'")


@pytest.mark.parametrize("state", LIVES)
@pytest.mark.parametrize("column", [*COLUMNS, "last"])
def test_42_every_field_of_a_row_is_held_against_the_log(path: Path, column: str, state: str) -> None:
    """Who redeemed it, how long it holds, whose it is, what it was for, what it left: named by entry and request."""
    request = request_id(LIVES.index(state))
    at = ask(path, f"SELECT last FROM requests WHERE request = '{request}'")
    assert verify(path).outcome is Outcome.INCOMPLETE
    change(
        path, f"UPDATE requests SET {column} = {other(column) if column != 'last' else 'last - 1'} WHERE request = '{request}'"
    )
    verdict = tampered(path)
    assert verdict.kind is Tampering.INDEX
    if column not in {"request", "last"}:
        assert (verdict.position, request in verdict.message) == (at, True)


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in {"uid", "expires_at", "deadline_ns", "position"}])
def test_42_a_field_of_another_type_is_named(path: Path, column: str) -> None:
    """The same bytes, but no text: whoever asks by the text does not find the row."""
    change(path, f"UPDATE requests SET {column} = CAST({column} AS BLOB) WHERE n = 5")
    assert tampered(path).kind is Tampering.INDEX


@pytest.mark.parametrize("state", LIVES)
def test_42_a_row_that_is_blanked_without_an_erasure_is_named(path: Path, state: str) -> None:
    """As an erasure leaves it; but no entry tells of one."""
    blank = ", ".join(f"{name} = {value!r}" for name, value in BLANK.items())
    change(path, f"UPDATE requests SET {blank} WHERE n = {LIVES.index(state) + 1}")
    assert tampered(path).kind is Tampering.INDEX


def erased(path: Path) -> Path:
    """Erase whose request has ended."""
    store = SqliteStore(path, entropy=SeededEntropy(9))
    store.erase("user-4", AT)
    store.close()
    assert verify(path).outcome is Outcome.INCOMPLETE
    return path


def test_no_false_alarm_for_a_row_that_was_erased(path: Path) -> None:
    """Its request stands in the log with the digest of a row that nobody has any more."""
    assert "not what" not in verify(erased(path)).message


@pytest.mark.parametrize("column", [name for name in COLUMNS if name != "request"])
def test_42_every_field_of_an_erased_row_is_still_held_against_the_log(path: Path, column: str) -> None:
    """What an erasure leaves is known, too: token, state and position as logged, all else blank."""
    change(erased(path), f"UPDATE requests SET {column} = {other(column)} WHERE n = 5")
    assert tampered(path).kind is Tampering.INDEX


def test_42_one_row_more_blank_than_was_erased_is_named(path: Path) -> None:
    """An erasure under way explains what it says, as it does with openings."""
    blank = ", ".join(f"{name} = {value!r}" for name, value in BLANK.items())
    change(erased(path), f"UPDATE requests SET {blank} WHERE n = 6")
    verdict = tampered(path)
    assert "rows are blank" in verdict.message
    change(path, "INSERT INTO meta VALUES('erasing', '{\"entries\":0,\"requests\":1}')")
    assert verify(path).outcome is Outcome.INCOMPLETE


@pytest.mark.parametrize(
    "query",
    [
        COPY.format("-5", "positions"),
        COPY.format("99", "''"),
        "UPDATE requests SET positions = '2 1' WHERE n = 2",
        "UPDATE requests SET positions = '4 3 5' WHERE n = 3",
        "UPDATE requests SET n = -n, user = 'x'",
    ],
    ids=["before the first row", "without entries", "other end", "other order", "all rows before the first"],
)
def test_42_a_row_that_the_log_does_not_know_is_named(path: Path, query: str) -> None:
    """Wherever it stands in the table, and in whatever order it names entries."""
    change(path, query)
    assert tampered(path).kind is Tampering.INDEX


def aside(path: Path, number: int, first: int) -> int:
    """Let a request's entries, but for the first of them, stand where those of requests without a row do; give the next one."""
    request = request_id(number)
    rest = str(ask(path, f"SELECT positions FROM requests WHERE request = '{request}'")).split()[first:]
    change(path, *(f"INSERT INTO loose VALUES('{request}', {seq})" for seq in rest))
    return int(rest[0])


@pytest.mark.parametrize("state", ["redeemed", "running"])
def test_42_a_used_token_that_is_set_back_with_its_steps_put_aside_is_named(path: Path, state: str) -> None:
    """As it was issued, it is as a true entry says, and every entry has one place."""
    number = LIVES.index(state)
    at = aside(path, number, 2)
    kept = "substr(positions, 1, instr(positions, ' ' || position) + length(position))"
    back = f"state = 'issued', redeem_id = '', last = position, positions = {kept}"
    change(path, f"UPDATE requests SET {back} WHERE request = '{request_id(number)}'")
    assert named(path) == (at, Tampering.INDEX)


@pytest.mark.parametrize("number", range(len(LIVES)))
def test_42_a_row_that_is_gone_with_its_steps_put_aside_is_named(path: Path, number: int) -> None:
    """A token that may no more be known, or a request that nobody made."""
    at = aside(path, number, 0)
    change(path, f"DELETE FROM requests WHERE request = '{request_id(number)}'")
    assert named(path) == (at, Tampering.INDEX)


@pytest.mark.parametrize("number", range(len(LIVES)))
def test_42_a_row_that_is_gone_is_named_by_its_first_entry(path: Path, number: int) -> None:
    """No row says whose it is."""
    at = ask(path, f"SELECT CAST(positions AS INTEGER) FROM requests WHERE n = {number + 1}")
    change(path, f"DELETE FROM requests WHERE n = {number + 1}")
    assert named(path) == (at, Tampering.INDEX)


def test_42_what_is_noted_of_one_request_and_put_to_another_is_named(path: Path) -> None:
    """Neither has a row."""
    store = SqliteStore(path, entropy=SeededEntropy(9))
    at = store.append(draft("second-use", "nobody"))
    store.close()
    assert verify(path).outcome is Outcome.INCOMPLETE
    change(path, "UPDATE loose SET request = 'x'")
    assert named(path) == (at, Tampering.INDEX)


def test_no_false_alarm_while_the_log_is_pruned(tmp_path: Path) -> None:
    """What was to be read is gone, so it is read again from where the log begins now."""
    store = make_log(tmp_path / "ledger.sqlite", 2000)
    plan = Plan(store.path)
    store.prune(1000, AT)
    verdict = run(plan)
    store.close()
    assert (verdict.outcome, "from 768 on" in verdict.message) == (Outcome.INCOMPLETE, True)


@pytest.mark.parametrize(
    ("query", "at", "kind"),
    [
        ("INSERT INTO entries SELECT -3, data FROM entries WHERE seq = 3", -3, Tampering.INSERTED),
        ("INSERT INTO openings SELECT 5000, data FROM openings WHERE seq = 1", 5000, Tampering.OPENING),
        ("INSERT INTO openings SELECT -1, data FROM openings WHERE seq = 1", -1, Tampering.OPENING),
        ("INSERT INTO checkpoints SELECT -1, note FROM checkpoints", -1, Tampering.CHECKPOINT),
        ("INSERT INTO loose VALUES('a', -4)", -4, Tampering.INDEX),
        ("INSERT INTO rotations VALUES(3, 'a', 'b', 'c')", 3, Tampering.INDEX),
        ("INSERT INTO rotations VALUES(5000, 'a', 'b', 'c')", 5000, Tampering.INDEX),
        ("INSERT INTO rotations VALUES(-3, 'a', 'b', 'c')", -3, Tampering.INDEX),
        ("INSERT INTO tiles VALUES(281474976710656, zeroblob(8192), zeroblob(32))", 0, Tampering.INDEX),
        ("INSERT INTO meta VALUES('stray', '1')", 0, Tampering.INDEX),
        ("INSERT INTO meta VALUES('erased', '1')", 0, Tampering.INDEX),
        ("UPDATE meta SET value = 'x' WHERE name = 'key'", 0, Tampering.INDEX),
        ("DELETE FROM meta WHERE name = 'key'", 0, Tampering.INDEX),
        ("UPDATE meta SET value = 'x' WHERE name = 'generation'", 0, Tampering.INDEX),
    ],
)
def test_42_what_belongs_to_no_log_is_named(path: Path, query: str, at: int, kind: Tampering) -> None:
    """Nobody reads it as part of the log, so nothing else would say that it is there."""
    change(path, query)
    assert named(path) == (at, kind)


AS_OURS = "CREATE TRIGGER erasing_changed AFTER UPDATE ON requests BEGIN UPDATE requests SET state = 'issued'; END"
FOREIGN = (
    "CREATE TRIGGER once_more AFTER UPDATE ON requests BEGIN UPDATE requests SET state = 'issued'; END",
    AS_OURS,
    f"INSERT INTO meta VALUES('erasing', '1'); {AS_OURS}",
    "CREATE VIEW seen AS SELECT * FROM requests",
    "ALTER TABLE loose RENAME TO requests_old; CREATE VIEW loose AS SELECT * FROM requests_old",
    "CREATE TABLE requests_old AS SELECT * FROM requests",
    "CREATE INDEX more ON requests(state)",
    "DROP INDEX requests_user; CREATE INDEX requests_user ON requests(user, n) WHERE state <> 'issued'",
    "ALTER TABLE rotations ADD COLUMN more TEXT DEFAULT 'x'",
)
"""What somebody who can write the file puts in it; some of it by a name that the ledger uses."""


@pytest.mark.parametrize("script", FOREIGN)
def test_42_what_is_no_part_of_a_ledger_is_named(path: Path, script: str) -> None:
    """A trigger would run whenever the broker writes."""
    change(path, script)
    assert "is no part of a ledger" in tampered(path).message


def test_42_what_a_ledger_lacks_is_named(path: Path) -> None:
    """Without that index two requests could have one token."""
    change(path, "DROP INDEX requests_jti")
    assert "'index requests_jti' of the ledger is missing" in tampered(path).message


@pytest.mark.parametrize("script", [*FOREIGN, "DROP INDEX requests_jti", "DROP TABLE loose"])
def test_42_a_broker_does_not_start_with_a_changed_ledger(path: Path, script: str) -> None:
    """It says so at once, and has written nothing."""
    change(path, script)
    before = path.read_bytes()
    with pytest.raises(StoreForeignError, match="somebody changed the ledger: '"):
        SqliteStore(path, entropy=SeededEntropy(9))
    assert path.read_bytes() == before


def test_42_a_rotation_that_the_ledger_forgets_or_tells_otherwise_is_named(path: Path) -> None:
    """Its table is a copy of what the entry says."""
    store = SqliteStore(path, entropy=SeededEntropy(9))
    at = store.head()[0]
    store.rotate_key(AT)
    store.close()
    assert verify(path).outcome is Outcome.INCOMPLETE
    change(path, "UPDATE rotations SET signature = 'x'")
    assert named(path) == (at, Tampering.INDEX)
    change(path, "DELETE FROM rotations")
    assert named(path) == (at, Tampering.INDEX)


def test_42_an_inserted_last_entry_is_named_in_its_own_place(path: Path) -> None:
    """It fits as well as the one that it pushes back: that one says where it stood."""
    last = int(ask(path, "SELECT max(seq) FROM entries"))
    connection = apsw.Connection(str(path))
    (before,) = (leaf_hash(data) for (data,) in connection.execute("SELECT data FROM entries WHERE seq = ?", (last - 1,)))
    for table in ("entries", "openings"):
        connection.execute(f"UPDATE {table} SET seq = seq + 1 WHERE seq = ?", (last,))
    connection.execute("INSERT INTO entries VALUES(?, ?)", (last, sealed(draft("other"), last, before).data))
    connection.close()
    assert named(path) == (last, Tampering.INSERTED)


def test_42_a_last_entry_that_fits_nowhere_is_named_in_its_own_place(path: Path) -> None:
    """It follows neither the last one nor the one before that."""
    size = int(ask(path, "SELECT max(seq) + 1 FROM entries"))
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO entries VALUES(?, ?)", (size, sealed(draft("other"), size - 1, EMPTY).data))
    connection.close()
    assert named(path) == (size, Tampering.INSERTED)


@pytest.mark.parametrize("number", [1, 100, 400, 474])
def test_42_a_field_is_named_in_whatever_share_of_the_work_it_is(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long log is divided among processes, its rows with it."""
    monkeypatch.setattr("elevate.cli.audit_verify.ALONE", 0)
    path = tmp_path / "ledger.sqlite"
    make_log(path, 1900).close()
    request = str(ask(path, f"SELECT request FROM requests WHERE n = {number}"))
    at = int(ask(path, f"SELECT last FROM requests WHERE n = {number}"))
    change(path, f"UPDATE requests SET expires_at = expires_at + 600 WHERE n = {number}")
    verdict = tampered(path)
    assert (verdict.position, request in verdict.message) == (at, True)
    read = at >= 1792
    assert verify(path, since=1792).outcome is (Outcome.TAMPERED if read else Outcome.INCOMPLETE)


def test_the_entry_of_a_step_holds_the_digest_of_its_row(path: Path) -> None:
    """So that this is what a checkpoint signs; entries that change no row hold none."""
    connection = apsw.Connection(str(path))
    bodies = [load(data)["body"] for (data,) in connection.execute("SELECT data FROM entries")]
    connection.close()
    assert all(len(body["_row"][0]) == 64 for body in bodies)
    assert len({body["_row"][0] for body in bodies}) == len(bodies)
