"""A key that was kept before rotations still checks what is signed after them, and a later one nothing from before it."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit.body import rotation_text
from elevate.audit.notes import Note, Signer, VerifierKey
from elevate.audit.own import own_proof
from elevate.audit.proof import Checker, Proof, check
from elevate.audit.rotation import Rotation, leads_to
from elevate.cli.audit import app
from elevate.errors import AuditError
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledgers import AT, draft


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    for number in range(5):
        made.append(draft(f"e{number}", actor={"user": "alice", "uid": 7}))
    yield made
    made.close()


@pytest.fixture
def keys(store: SqliteStore) -> list[VerifierKey]:
    """Three, one after the other."""
    texts = [store.verifier_key, store.rotate_key(AT), store.rotate_key(AT)]
    return [VerifierKey.parse(text) for text in texts]


def test_every_key_checks_what_is_signed_after_it(store: SqliteStore, keys: list[VerifierKey]) -> None:
    """Of one proof, and of several that share a checkpoint."""
    proofs = [store.prove(position) for position in (3, 6)]
    for key in keys:
        assert check(proofs[0], key).entry.seq == 3
        checker = Checker(key)
        assert [checker.check(text).entry.seq for text in proofs] == [3, 6]


def test_a_later_key_vouches_for_nothing_before_it(store: SqliteStore) -> None:
    """The proof is from before it was there; the hint says what to do."""
    before = store.prove(3)
    first, later = VerifierKey.parse(store.verifier_key), VerifierKey.parse(store.rotate_key(AT))
    assert check(before, first).entry.seq == 3
    with pytest.raises(AuditError, match="not signed by this key") as refused:
        check(before, later)
    assert "earlier one" in str(refused.value.hint)


def test_a_checkpoint_from_before_a_rotation_needs_none(store: SqliteStore) -> None:
    """What comes after it is left out, so that the key that signed it is the last."""
    early = store.checkpoint()
    first = VerifierKey.parse(store.verifier_key)
    store.rotate_key(AT)
    (store.path.parent / "early").write_text(early)
    told = CliRunner().invoke(
        app, ["prove", "3", "--note", str(store.path.parent / "early"), "--state", str(store.path.parent)]
    )
    assert check(told.stdout, first).entry.seq == 3


def test_42_no_changed_rotation_is_taken(store: SqliteStore, keys: list[VerifierKey]) -> None:
    """Another key in it, another signature, one that is missing, two that changed places."""
    proof = Proof.parse(store.prove(3))
    evil = Signer.make(keys[0].name, b"e" * 32)
    note = evil.sign(Note.parse(proof.note).text)
    one, two = proof.rotations
    forged = b64encode(evil.key.sign(rotation_text(str(keys[1]), str(evil.verifier), 6))).decode()
    for rotations in (
        [one, {**two, "new": str(evil.verifier)}],
        [one, {**two, "new": str(evil.verifier), "signature": forged}],
        [{**one, "new": str(evil.verifier)}],
        [{"old": str(evil.verifier), "new": str(keys[2]), "signature": forged, "position": 5}],
        [],
    ):
        with pytest.raises(AuditError):
            check(replace(proof, note=note, rotations=rotations).text(), keys[0])
    for rotations in ([one], [two, one], [one, {**two, "position": 7}], [one, {**two, "signature": "%"}]):
        with pytest.raises(AuditError):
            check(replace(proof, rotations=rotations).text(), keys[0])


def test_42_a_key_hands_over_within_its_log_only() -> None:
    """Else the other log's checkpoints would count as this one's."""
    ours, other = Signer.make("log/a", b"a" * 32), Signer.make("log/b", b"b" * 32)
    names = str(ours.verifier), str(other.verifier)
    signature = b64encode(ours.key.sign(rotation_text(*names, 3))).decode()
    said: Rotation = {"position": 3, "old": names[0], "new": names[1], "signature": signature}
    with pytest.raises(AuditError, match="another log"):
        leads_to(ours.verifier, [said])


@pytest.mark.parametrize(("rotations", "damaged"), [(5, True), (["x"], True), ([5], True), (None, True), ([{"old": 5}], False)])
def test_odd_rotations_are_no_crash(store: SqliteStore, rotations: object, *, damaged: bool) -> None:
    """They lead nowhere, or the proof is damaged."""
    text, key = store.prove(3), VerifierKey.parse(store.verifier_key)
    proof = Proof.parse(text)
    extra = {"entry": proof.entry.decode(), "openings": proof.openings.decode(), "rotations": rotations}
    changed = text.replace(text.split("\n")[1], f"extra {b64encode(json.dumps(extra).encode()).decode()}")
    if not damaged:
        assert check(changed, key).entry.seq == 3
        return
    with pytest.raises(AuditError, match="damaged"):
        check(changed, key)


def test_own_proofs_lead_on_too(store: SqliteStore, keys: list[VerifierKey]) -> None:
    """They are made of whole ones."""
    assert check(own_proof(store.prove(3), 7), keys[0]).entry.seq == 3


def test_all_keys_are_printed(store: SqliteStore, keys: list[VerifierKey]) -> None:
    """Those in between, too: whoever kept one of them, or checks an older proof, needs it."""
    told = CliRunner().invoke(app, ["key", "--state", str(store.path.parent)])
    assert json.loads(told.stdout) == {"first": str(keys[0]), "now": str(keys[2]), "keys": [str(key) for key in keys]}
