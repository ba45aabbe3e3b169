"""Rotation, erasure and pruning: each is an entry, and none of them breaks verification or a proof."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from elevate.audit import Outcome, Verdict, body, opened, parse
from elevate.audit.notes import Checkpoint, Note, VerifierKey
from elevate.audit.proof import check
from elevate.audit.verify import Known
from elevate.canonical import Json
from elevate.cli.audit_verify import run
from elevate.errors import AuditError
from elevate.lifecycle import State
from elevate.ports import Step
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.biglog import make_log, requester
from tests.ledgers import AT, draft, issue, request_id, row

SIZE = 950


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = make_log(tmp_path / "ledger.sqlite", 1000)
    assert made.head()[0] == SIZE
    yield made
    made.close()


def verified(store: SqliteStore, *known: Known) -> Verdict:
    store.checkpoint()
    return run(Plan(store.path, known=known))


def anchor(store: SqliteStore) -> Known:
    checkpoint = Checkpoint.parse(Note.parse(store.checkpoint()).text)
    return Known(size=checkpoint.size, root=checkpoint.root, source="kept")


def test_a_rotated_key_is_vouched_for_by_the_old_one(store: SqliteStore) -> None:
    """Checkpoints before and after verify from the first key on, across restarts."""
    first, known = store.verifier_key, anchor(store)
    second = store.rotate_key(AT)
    store.append(draft("more"))
    third = store.rotate_key(AT)
    assert len({first, second, third}) == 3
    assert store.verifier_key == third
    assert verified(store, known).outcome is Outcome.VERIFIED
    assert check(store.prove(3), VerifierKey.parse(third)).entry.seq == 3
    store.close()
    again = SqliteStore(store.path, entropy=SeededEntropy(5))
    assert again.verifier_key == third
    again.close()


def test_a_rotation_that_a_crash_broke_off_is_finished(store: SqliteStore) -> None:
    """The ledger names the new key, which lies beside the old one."""
    place = store.path.with_name(store.path.name + "-key")
    old = place.read_text()
    store.rotate_key(AT)
    store.close()
    place.rename(place.with_name(place.name + "-next"))
    place.write_text(old)
    place.chmod(0o600)
    again = SqliteStore(store.path, entropy=SeededEntropy(5))
    again.append(draft("more"))
    assert verified(again).outcome is Outcome.INCOMPLETE
    again.close()


def test_a_forged_rotation_is_tampering(store: SqliteStore) -> None:
    """A key that the old one did not sign for."""
    forged = {"old": store.verifier_key, "new": store.verifier_key, "signature": "AAAA"}
    store.append(draft("log-key-rotated", "", log_key={**forged}))
    assert verified(store).outcome is Outcome.TAMPERED


def test_erasure_leaves_nothing_of_a_person_in_any_file(store: SqliteStore) -> None:
    """Neither name nor SID nor hidden account, in ledger, write-ahead log or side files; a copy made before still has them."""
    words = (b"alice", b"S-1-5-21-1-2-3-1001")
    assert any(word in data for data in files(store).values() for word in words)
    erased = store.erase("alice", AT)
    store.append(draft("after"))
    assert erased.entries > 0 < erased.requests
    left = {name: word for name, data in files(store).items() for word in words if word in data}
    assert left == {}
    store.close()
    assert not [name for name, data in files(store).items() if words[0] in data]


def test_erasure_breaks_no_proof(store: SqliteStore) -> None:
    """Entries, hashes and checkpoints stay; only what opened them is gone, and that it is gone is an entry."""
    known, proof, key = anchor(store), store.prove(0), VerifierKey.parse(store.verifier_key)
    requests = [found for found in map(parse, store.entries()) if found.event == "requested"]
    store.erase("alice", AT)
    assert verified(store, known).outcome is Outcome.VERIFIED
    assert "actor" in check(proof, key).entry.body
    assert "actor" not in check(store.prove(0), key).entry.body
    others = [
        opened(store.entries_of(found.request)[0], store.openings_of(found.request)[0]).body["actor"]
        for found in requests
        if store.openings_of(found.request)[0]
    ]
    assert len(others) == len(requests) * 4 // 5
    last = parse(list(store.entries())[-1])
    assert (last.event, "alice" in str(last.body)) == ("erased", False)


def test_erasure_by_sid_finds_the_same_requests(store: SqliteStore) -> None:
    """Whichever is known of the person."""
    erased = store.erase("S-1-5-21-1-2-3-1002", AT)
    assert erased.requests == sum(1 for number in range(250) if number * 7 % 5 == 1)
    assert not any(b'"user":"bob"' in data for data in files(store).values())


def names(store: SqliteStore, position: int) -> dict[str, Json]:
    """Give what is still open of an entry."""
    with LedgerReader(store.path) as reader:
        return dict(next(reader.opened(position)).body)


def test_erasure_leaves_others_known(store: SqliteStore) -> None:
    """Who looked for a person's entries, and what an administrator did, are not the person's to take along."""
    root: Json = {"user": "root", "sid": "S-1-0"}
    asked = store.append(
        draft("access", actor=root, access={"kind": "search", "named": [{"user": "alice"}], "question": "alice"})
    )
    own = store.append(draft("access", actor={"user": "alice"}, access={"kind": "search", "question": "bob"}))
    revoked = store.append(draft("note", request_id(1), actor=root))
    store.erase("alice", AT)
    assert names(store, asked) == {"actor": root, "access": {"kind": "search"}}
    assert names(store, own) == {"access": {"kind": "search"}}
    assert names(store, revoked) == {"actor": root}
    store.erase("root", AT)
    assert names(store, revoked) == {}
    assert b'"user":"carol"' in store.openings_of(request_id(1))[0]
    assert not [name for name, data in files(store).items() if b"alice" in data or b'"root"' in data]
    assert verified(store).outcome is Outcome.INCOMPLETE


def test_erasing_an_administrator_takes_nobody_elses_requests_along(store: SqliteStore) -> None:
    """What root did to a request does not make the request root's."""
    request = request_id(9999)
    store.open_request(row(request, user="bob"), draft("requested", request, actor={"user": "bob"}))
    by_root = Step(
        request=request,
        before=State.REQUESTED,
        after=State.CANCELLED,
        entry=draft("cancelled", request, actor={"user": "root"}),
    )
    store.step(by_root)
    assert store.erase("root", AT).requests == 0
    first, last = (opened(*pair).body for pair in zip(store.entries_of(request), store.openings_of(request), strict=True))
    assert (first, last) == ({"actor": {"user": "bob"}}, {})


@pytest.mark.parametrize(("subject", "kept"), [("alice", False), ("bob", True), ("S-1-5-21-1-2-3-1001", False)])
def test_who_erases_is_written_but_never_whom(store: SqliteStore, subject: str, *, kept: bool) -> None:
    """Where it is the same person, nothing of them stays, and the entry says that."""
    store.erase(subject, AT, body.actor(requester("alice")))
    said = names(store, store.head()[0] - 1)
    assert ("actor" in said, said["erasure"]["by_subject"]) == (kept, not kept)  # type: ignore[index,call-overload]
    words = [subject.encode(), b'"alice"'] if not kept else [subject.encode()]
    assert not [name for name, data in files(store).items() if any(word in data for word in words)]


def test_who_prunes_and_rotates_is_written(store: SqliteStore) -> None:
    """As every action of a person."""
    by = body.actor(requester("carol"))
    store.rotate_key(AT, by)
    store.prune(512, AT, by)
    for position in (SIZE, SIZE + 1):
        assert names(store, position)["actor"] == by["actor"]
    assert verified(store).outcome is not Outcome.TAMPERED


def test_nobody_and_the_busy_are_not_erased(store: SqliteStore) -> None:
    """Nothing is deleted then."""
    with pytest.raises(AuditError, match="nobody"):
        store.erase("mallory", AT)
    store.open_request(row(request_id(9999), user="alice"), draft("requested", request_id(9999), actor={"user": "alice"}))
    size = store.head()[0]
    with pytest.raises(AuditError, match="not ended"):
        store.erase("alice", AT)
    assert store.head()[0] == size
    assert any(b"alice" in data for data in files(store).values())


def test_pruned_entries_leave_their_hashes(store: SqliteStore) -> None:
    """Anchors hold, what is left verifies, and an archived copy still proves."""
    known, proof = anchor(store), store.prove(100)
    assert store.prune(700, AT) == 512
    assert verified(store, known).outcome is Outcome.VERIFIED
    assert next(iter(map(parse, store.entries()))).seq == 512
    assert check(proof, VerifierKey.parse(store.verifier_key)).entry.seq == 100
    with pytest.raises(AuditError, match="archive"):
        store.prove(100)
    store.close()
    again = SqliteStore(store.path, entropy=SeededEntropy(5))
    again.append(draft("more"))
    assert verified(again, known).outcome is Outcome.VERIFIED
    assert again.prune(600, AT) == 512
    again.close()


def test_no_false_alarm_for_what_was_noted_behind_the_end_of_a_pruned_request(tmp_path: Path) -> None:
    """A second use of its token, months later: the request is gone, and whose the note is stays known."""
    log = make_log(tmp_path / "ledger.sqlite", 900)
    log.append(draft("second-use", request_id(3)))
    assert log.prune(512, AT) == 512
    log.close()
    assert run(Plan(log.path)).outcome is Outcome.INCOMPLETE
    with LedgerReader(log.path) as reader:
        assert [entry.event for entry in reader.opened_of(request_id(3))] == ["second-use"]


def test_an_open_request_is_not_pruned(store: SqliteStore) -> None:
    """Nor anything behind its first entry."""
    store.open_request(row(request_id(9999)), draft("requested", request_id(9999)))
    store.step(issue(request_id(9999)))
    for number in range(600):
        store.append(draft(f"e{number}"))
    assert store.prune(10_000, AT) == 768
    assert len(store.entries_of(request_id(9999))) == 2


def test_a_pruned_log_without_a_tile_is_tampering(store: SqliteStore) -> None:
    """The hashes that were kept are checked against what was signed."""
    known = anchor(store)
    store.prune(700, AT)
    store.checkpoint()
    store.close()
    connection = apsw.Connection(str(store.path))
    connection.execute("UPDATE tiles SET root = zeroblob(32) WHERE id = 0")
    connection.close()
    assert run(Plan(store.path, known=[known])).outcome is Outcome.TAMPERED


def files(store: SqliteStore) -> dict[str, bytes]:
    return {found.name: found.read_bytes() for found in store.path.parent.iterdir()}
