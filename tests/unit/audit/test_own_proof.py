"""A proof for a requester opens what that person is told of the entry, and nothing else; it proves what it proved."""

from pathlib import Path

import pytest

from elevate.audit.notes import VerifierKey
from elevate.audit.own import own_proof
from elevate.audit.proof import Proof, check
from elevate.canonical import Json
from elevate.store import SqliteStore
from elevate.testing import SeededEntropy
from tests.ledgers import draft

MINE: Json = {"user": "alice", "uid": 1000}
REASON: Json = {"code": "denied", "text": "the hash of /root/secret is not listed"}
TASK: Json = {"kind": "process.run", "display": "x", "why": "INC-1", "cwd": "/", "path": "/root/secret"}


@pytest.mark.parametrize(
    ("event", "hidden"),
    [("failed", {"text", "path", "display"}), ("issued", {"text"})],
)
def test_an_opening_is_left_out_that_says_more_than_was_told(tmp_path: Path, event: str, hidden: set[str]) -> None:
    """Before the person was asked to agree the path is not told, so the part that holds it stays closed as a whole."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    store.append(draft(event, "", actor=MINE, reason=REASON, task=TASK, lockout={"layer": "failures", "user": "bob"}))
    whole, key = store.prove(0), VerifierKey.parse(store.verifier_key)
    store.close()
    proven = check(own_proof(whole, 1000), key)
    said = {name for part in proven.entry.body.values() if isinstance(part, dict) for name in part}
    assert proven.checkpoint == check(whole, key).checkpoint
    assert proven.entry.body["actor"] == MINE
    assert not said & hidden
    assert b"bob" in Proof.parse(whole).openings
    assert b"bob" not in Proof.parse(own_proof(whole, 1000)).openings
    assert "user" not in str(proven.entry.body["lockout"])


def test_somebody_else_who_acted_is_not_opened(tmp_path: Path) -> None:
    """Root that takes a token back: the requester is told the name, and the opening holds more than that."""
    store = SqliteStore(tmp_path / "ledger.sqlite", entropy=SeededEntropy())
    store.append(draft("revoked", "", actor={"user": "root", "uid": 0, "executable": "/root/bin/tool"}))
    whole, key = store.prove(0), VerifierKey.parse(store.verifier_key)
    store.close()
    assert "actor" in check(whole, key).entry.body
    assert "actor" not in check(own_proof(whole, 1000), key).entry.body
