"""Tree, notes and proofs agree with the published vectors, and with themselves at every size."""

import json
from base64 import b64decode
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevate.audit import merkle
from elevate.audit.notes import COSIGNATURE, ED25519, Checkpoint, Note, Signer, VerifierKey, cosigned, signature_line
from elevate.errors import AuditError
from tests.vectors import vectors

LEAVES = [merkle.leaf(str(number).encode()) for number in range(600)]
SIGNER = Signer.make("elevate.log/test", b"k" * 32)


def subtree(level: int, index: int) -> bytes:
    return merkle.perfect(LEAVES[index << level : (index + 1) << level])


def root(size: int) -> bytes:
    frontier = merkle.Frontier()
    frontier.extend(LEAVES[:size])
    return frontier.root()


def load(path: Path) -> Any:  # noqa: ANN401 - data of others
    return json.loads(path.read_text())


def test_roots_are_those_of_the_reference_tree() -> None:
    """RFC 6962, all sizes of the published tree."""
    data = load(vectors("merkle/rfc6962_tree.json"))
    leaves = [merkle.leaf(bytes.fromhex(text)) for text in data["leaf_inputs"]]
    for size, expected in enumerate(data["roots_by_size"]):
        frontier = merkle.Frontier()
        frontier.extend(leaves[:size])
        assert frontier.root().hex() == expected


def test_inclusion_vectors() -> None:
    """All 98: the good verify and the bad do not."""
    wrong = [case["name"] for case in load(vectors("merkle/inclusion.json")) if _verifies(case) is case["wantErr"]]
    assert wrong == []


def _verifies(case: dict[str, Any]) -> bool:
    digest, expected = (b64decode(case[name] or "") for name in ("leafHash", "root"))
    proof = [b64decode(found) for found in case["proof"] or []]
    try:
        merkle.check_inclusion(digest, case["leafIdx"], case["treeSize"], proof, expected)
    except AuditError:
        return False
    return True


@given(size=st.integers(1, 600), data=st.data())
def test_every_entry_can_be_proven_and_no_other(size: int, data: st.DataObject) -> None:
    """And one flipped bit anywhere never verifies."""
    index = data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion(subtree, index, size)
    merkle.check_inclusion(LEAVES[index], index, size, proof, root(size))
    for bad in LEAVES[:1] if index else LEAVES[1:2]:
        with pytest.raises(AuditError):
            merkle.check_inclusion(bad, index, size, proof, root(size))
    for other in ([*proof, LEAVES[0]], proof[1:], proof[:-1]):
        with pytest.raises(AuditError, match="too few hashes, or too many") if proof or other else nullcontext():
            merkle.check_inclusion(LEAVES[index], index, size, other, root(size))
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        broken = [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]]
        with pytest.raises(AuditError):
            merkle.check_inclusion(LEAVES[index], index, size, broken, root(size))


@given(new=st.integers(0, 600), data=st.data())
def test_every_tree_is_the_beginning_of_the_next(new: int, data: st.DataObject) -> None:
    """And of no other."""
    old = data.draw(st.integers(0, new))
    proof = merkle.consistency(subtree, old, new)
    merkle.check_consistency(old, new, root(old), root(new), proof)
    with pytest.raises(AuditError):
        merkle.check_consistency(old, new, b"\1" * 32, root(new), proof)
    if old not in {0, new}:
        for bad in (proof[:-1], [*proof, proof[0]], []):
            with pytest.raises(AuditError):
                merkle.check_consistency(old, new, root(old), root(new), bad)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0)])
def test_what_is_not_there_can_not_be_proven(index: int, size: int) -> None:
    """Nor can a tree that was never smaller."""
    with pytest.raises(AuditError):
        merkle.inclusion(subtree, index, size)
    with pytest.raises(AuditError):
        merkle.consistency(subtree, size + 1, size)
    with pytest.raises(AuditError):
        merkle.check_consistency(size + 1, size, b"", b"", [])


def test_published_notes_verify() -> None:
    """All of C2SP, Go and Tessera; with one byte changed, none."""
    for case in load(vectors("notes/signed_notes.json")):
        key = VerifierKey.parse(case["vkey"])
        Note.parse(case["note"]).verify(key)
        text = case["note"].replace("\n", "!\n", 1)
        with pytest.raises(AuditError):
            Note.parse(text).verify(key)


def test_gos_note_is_ours() -> None:
    """The same key and text give the same bytes; its bad keys and malformed notes are refused."""
    data = load(vectors("notes/go_note.json"))
    signer = Signer.parse(data["peter_skey"])
    assert str(signer.verifier) == data["peter_vkey"]
    assert data["good_note"].startswith(signer.sign(data["text"]))
    assert signer.secret() == data["peter_skey"]
    for key in data["bad_vkeys"]:
        with pytest.raises(AuditError):
            VerifierKey.parse(key)
    for note in [*data["malformed"], data["too_many_sigs"], data["invalid_sig"]]:
        with pytest.raises(AuditError):
            Note.parse(note).verify(signer.verifier)


def test_a_checkpoint_reads_back() -> None:
    """Origin, size and root."""
    checkpoint = Checkpoint(origin=SIGNER.name, size=7, root=root(7))
    note = Note.parse(SIGNER.sign(checkpoint.text()))
    assert note.verify(SIGNER.verifier) == 0
    assert Checkpoint.parse(note.text) == checkpoint


@pytest.mark.parametrize(
    "text", ["", "a\n", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "\n1\nAAAA\n", "a\n1\nAAAA\n", "a\n1\nx"]
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Short, unsigned numbers with zeroes before them, roots of another length."""
    with pytest.raises(AuditError):
        Checkpoint.parse(text)


def test_a_witness_cosigns_with_the_time() -> None:
    """The cosignature covers the checkpoint and when it was seen."""
    text = Checkpoint(origin=SIGNER.name, size=7, root=root(7)).text()
    witness = Signer.make("witness.example", b"w" * 32)
    key = VerifierKey(name=witness.name, kind=COSIGNATURE, key=witness.verifier.key)
    signature = (1234).to_bytes(8, "big") + witness.key.sign(cosigned(text, 1234))
    note = Note.parse(SIGNER.sign(text) + signature_line(key, signature))
    assert note.verify(key) == 1234
    assert note.signed_by(SIGNER.verifier)
    late = Note.parse(SIGNER.sign(text) + signature_line(key, (1235).to_bytes(8, "big") + signature[8:]))
    with pytest.raises(AuditError):
        late.verify(key)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb"])
def test_a_name_that_no_note_can_carry_is_refused(name: str) -> None:
    """It would read as something else."""
    with pytest.raises(AuditError):
        VerifierKey(name=name, kind=ED25519, key=b"k" * 32)
