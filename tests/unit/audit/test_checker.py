"""Many proofs under one checkpoint: its signature is verified once, and only for the very same note."""

import pytest

from elevate.audit.notes import Note, Signer, VerifierKey, signature_line
from elevate.audit.proof import MAX_KNOWN, Checker, Proof, check
from elevate.errors import AuditError
from elevate.store.memory import MemoryStore
from elevate.testing import SeededEntropy
from tests.ledgers import draft


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore(entropy=SeededEntropy(4))
    for number in range(9):
        made.append(draft(f"e{number}"))
    return made


def key_of(store: MemoryStore) -> VerifierKey:
    return VerifierKey.parse(store.verifier_key)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The notes whose signatures were verified, in order."""
    found: list[str] = []
    verify = Note.verify

    def listening(note: Note, key: VerifierKey) -> int:
        found.append(note.text)
        return verify(note, key)

    monkeypatch.setattr(Note, "verify", listening)  # still verifies; counted here because nothing else shows it
    return found


def test_a_shared_checkpoint_is_verified_once(store: MemoryStore, verified: list[str]) -> None:
    """And every proof gives what it gives alone."""
    checker = Checker(key_of(store))
    proofs = [store.prove(number) for number in range(9)]
    assert [checker.check(text) for text in proofs] == [check(text, key_of(store)) for text in proofs]
    assert len(verified) == 1 + 9


def test_42_a_note_that_differs_in_anything_is_verified_anew(store: MemoryStore) -> None:
    """Another signature under the same text, another text under the same signature, a line more."""
    checker = Checker(key_of(store))
    text = store.prove(3)
    checker.check(text)
    note = Proof.parse(text).note
    other = Signer.make("x", b"x" * 32).sign(Note.parse(note).text).rpartition("\n\n")[2]
    forged = note.replace("\n9\n", "\n8\n"), note[:-8] + "AAA" + note[-5:], note.rpartition("\n\n")[0] + "\n\n" + other
    for one in forged:
        assert one != note
        with pytest.raises(AuditError):
            checker.check(text.replace(note, one))
    with pytest.raises(AuditError, match="not signed"):
        Checker(Signer.make(key_of(store).name, b"y" * 32).verifier).check(text)


def test_42_no_note_that_differs_in_one_character_is_known(store: MemoryStore, verified: list[str]) -> None:
    """Text, line ends, dash, name, key hash and signature: each changed, left out or twice is refused."""
    checker, text = Checker(key_of(store)), store.prove(3)
    checker.check(text)
    note = Proof.parse(text).note
    head = text.removesuffix(note)
    for at, char in enumerate(note):
        for put in sorted({"A", "\n", "", char * 2, chr(ord(char) ^ 1)} - {char}):
            with pytest.raises(AuditError):
                checker.check(f"{head}{note[:at]}{put}{note[at + 1 :]}")
    assert list(checker._known) == [note]
    verified.clear()
    assert checker.check(text).entry.seq == 3
    assert verified == []


def test_42_a_known_text_under_another_key_is_refused(store: MemoryStore) -> None:
    """Also with our name and our key's hash before the signature, in place of the right one and beside it."""
    checker, text, key = Checker(key_of(store)), store.prove(3), key_of(store)
    checker.check(text)
    note = Proof.parse(text).note
    said, other = Note.parse(note).text, Signer.make(key.name, b"y" * 32)
    forged = signature_line(key, other.key.sign(said.encode()))
    for one in (other.sign(said), f"{said}\n{forged}", note + forged):
        with pytest.raises(AuditError):
            checker.check(text.replace(note, one))
    assert list(checker._known) == [note]


def test_42_a_refused_checkpoint_is_refused_again(store: MemoryStore) -> None:
    """It is not kept."""
    checker = Checker(key_of(store), witnesses=[Signer.make("w", b"w" * 32).verifier])
    for _ in range(2):
        with pytest.raises(AuditError, match="not signed once by w"):
            checker.check(store.prove(1))


def test_a_known_checkpoint_proves_no_other_entry(store: MemoryStore) -> None:
    """Only the signature is known; entry, position and path are checked each time."""
    checker = Checker(key_of(store))
    text = store.prove(3)
    checker.check(text)
    with pytest.raises(AuditError, match="lead to the root"):
        checker.check(text.replace("\nindex 3\n", "\nindex 2\n"))


def test_few_checkpoints_are_kept(store: MemoryStore, verified: list[str]) -> None:
    """Whoever hands in proofs under ever new checkpoints fills no memory."""
    checker = Checker(key_of(store))
    texts = []
    for number in range(3 * MAX_KNOWN):
        store.append(draft(f"more-{number}"))
        texts.append(store.prove(0))
        checker.check(texts[-1])
    assert len(checker._known) <= MAX_KNOWN
    assert checker.check(texts[0]).entry.seq == 0
    assert len(verified) == 3 * MAX_KNOWN + 1
