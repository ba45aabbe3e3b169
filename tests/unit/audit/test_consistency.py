"""A proof that one log is the beginning of another, in a file: made from the log, checked with nothing but the keys."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from elevate.audit.consistency import Consistent, check, write
from elevate.audit.notes import Checkpoint, Note, Signer, VerifierKey
from elevate.cli.audit import app
from elevate.errors import AuditError, ElevateError, LogTamperedError
from elevate.ports import Instant
from elevate.store import SqliteStore
from elevate.store.reader import LedgerReader
from elevate.testing import SeededEntropy
from tests.ledgers import draft

SIZES = (3, 256, 300, 517)
AT = Instant(unix_us=1, mono_ns=1)


def make(folder: Path, *, first: str = "a", rotate: bool = False) -> Path:
    """Make a log with a checkpoint at each of the sizes, beside it as files."""
    store = SqliteStore(folder / "ledger.sqlite", entropy=SeededEntropy(3))
    for size in SIZES:
        while store.head()[0] < size:
            store.append(draft(first if store.head()[0] == 0 else "e", "", reason={"code": "c"}))
        (folder / f"{size}.txt").write_text(store.checkpoint())
        if rotate and size == SIZES[1]:
            store.rotate_key(AT)
    store.close()
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return make(tmp_path)


def key(log: Path) -> str:
    with LedgerReader(log / "ledger.sqlite") as reader:
        return reader.meta("first_key")


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["consistency", *map(str, words)])
    if isinstance(result.exception, ElevateError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("old", "new"), [(3, 256), (256, 300), (3, 517), (517, 517)])
def test_what_is_proven_from_the_log_is_checked_without_it(log: Path, old: int, new: int) -> None:
    """The file is all that is needed, with the checkpoints and the key."""
    files, proof = [log / f"{old}.txt", log / f"{new}.txt"], log / "proof"
    assert json.loads(run(*files, "-o", proof, "--state", log))["consistent"] is True
    pinned = key(log)
    for ledger in log.glob("ledger*"):
        ledger.unlink()
    told = json.loads(run(*files, "--proof", proof, "--key", pinned))
    assert (told["old"], told["new"], told["origin"]) == (old, new, VerifierKey.parse(pinned).name)


def test_a_rotated_key_is_named_beside_the_first(tmp_path: Path) -> None:
    """From the log it is known; offline both were kept."""
    log = make(tmp_path, rotate=True)
    files, proof = [log / "3.txt", log / "517.txt"], log / "proof"
    run(*files, "-o", proof, "--state", log)
    with LedgerReader(log / "ledger.sqlite") as reader:
        first, second = reader.keys()
    assert run(*files, "--proof", proof, "--key", first, "--key", second)
    with pytest.raises(AuditError, match="signed by none of the keys"):
        run(*files, "--proof", proof, "--key", first)


def test_42_two_logs_of_one_key_are_told_apart(log: Path, tmp_path: Path) -> None:
    """A checkpoint of a forked log: no proof leads from one to the other, of whatever length."""
    other = tmp_path / "other"
    other.mkdir()
    make(other, first="b")
    for old, new in ((3, 517), (517, 517)):
        with pytest.raises(LogTamperedError, match="is not the beginning"):
            run(other / f"{old}.txt", log / f"{new}.txt", "--state", log)


def test_42_no_changed_proof_is_taken(log: Path) -> None:
    """Not a line of it."""
    older, newer, proof = (log / "3.txt").read_text(), (log / "517.txt").read_text(), log / "proof"
    run(log / "3.txt", log / "517.txt", "-o", proof, "--state", log)
    good, pinned = proof.read_text(), VerifierKey.parse(key(log))
    assert check(good, older, newer, [pinned]) == Consistent(origin=pinned.name, old=3, new=517)
    lines = good.splitlines(keepends=True)
    ours = len(lines) - 1  # the last line is the signature in the note, which was checked in the one that was kept
    for at in range(ours):
        with pytest.raises(AuditError):
            check("".join([*lines[:at], *lines[at + 1 :]]), older, newer, [pinned])
        with pytest.raises(AuditError):
            check("".join([*lines[:at], "A" + lines[at], *lines[at + 1 :]]), older, newer, [pinned])


def test_odd_questions_are_refused(log: Path, tmp_path: Path) -> None:
    """The wrong order, no key, another key, a log that is shorter than a checkpoint of it."""
    with pytest.raises(AuditError, match="the older checkpoint is over 300"):
        run(log / "300.txt", log / "3.txt", "--state", log)
    with pytest.raises(AuditError, match="checked with the log's key"):
        run(log / "3.txt", log / "300.txt", "--proof", log / "proof")
    with pytest.raises(AuditError, match="no such file"):
        run(log / "3.txt", log / "none.txt", "--state", log)
    stranger = Signer.make("elevate.log/x", b"x" * 32)
    with pytest.raises(AuditError, match="signed by none of the keys"):
        run(log / "3.txt", log / "300.txt", "--state", log, "--key", stranger.verifier)
    newer = tmp_path / "grown.txt"
    signer = Signer.parse((log / "ledger.sqlite-key").read_text())
    newer.write_text(signer.sign(Checkpoint(origin=signer.name, size=9999, root=b"r" * 32).text()))
    with pytest.raises(AuditError, match="the log has 517 entries, not 9999"):
        run(log / "3.txt", newer, "--state", log)


def test_the_file_is_what_a_witness_takes(log: Path) -> None:
    """C2SP tlog-witness, add-checkpoint."""
    note = (log / "300.txt").read_text()
    text = write(note, 3, [b"h" * 32])
    assert text.startswith("old 3\naGhoaGho")
    assert text.endswith(f"=\n\n{note}")
    assert Note.parse(text.partition("\n\n")[2]).signatures
