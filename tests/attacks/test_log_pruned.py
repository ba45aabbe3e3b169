"""Row 42 on a log that a person was erased from and that was pruned: what is left is accounted for all the same."""

from pathlib import Path

import apsw
import pytest

from elevate.audit import Outcome, Tampering
from elevate.audit.ranges import TILE
from elevate.cli.audit_verify import run
from elevate.store.checking import Plan
from elevate.store.rows import BLANK
from tests.biglog import make_log
from tests.ledgers import AT

PRUNED = 2 * TILE
BLANKED = ", ".join(f"{name} = {value!r}" for name, value in BLANK.items())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log whose first half is gone, after an erasure that reached both halves; then another one, and another half of it."""
    store = make_log(tmp_path / "ledger.sqlite", 1000)
    store.erase("bob", AT)
    assert store.prune(TILE + 1, AT) == TILE
    store.erase("carol", AT)
    assert store.prune(PRUNED + 1, AT) == PRUNED
    store.close()
    assert run(Plan(store.path)).outcome is Outcome.INCOMPLETE
    return store.path


@pytest.mark.parametrize(
    ("change", "kind", "why"),
    [
        ("DELETE FROM openings WHERE seq = (SELECT min(seq) FROM openings)", Tampering.OPENING, "erasures account for"),
        (
            f"UPDATE requests SET {BLANKED} WHERE n = (SELECT max(n) FROM requests WHERE user <> '')",
            Tampering.INDEX,
            "rows are blank",
        ),
        ("UPDATE tiles SET hashes = zeroblob(8192) WHERE id = 0", Tampering.INDEX, "hashes of its tile"),
        ("UPDATE tiles SET hashes = substr(hashes, 33) WHERE id = 0", Tampering.INDEX, "hashes of its tile"),
    ],
)
def test_42_what_is_taken_from_a_pruned_log_is_named(path: Path, change: str, kind: Tampering, why: str) -> None:
    """Openings and rows beyond those that were erased, however many of these were pruned; hashes that proofs are made of."""
    connection = apsw.Connection(str(path))
    connection.execute(change)
    assert connection.changes() == 1
    connection.close()
    verdict = run(Plan(path))
    assert (verdict.outcome, verdict.kind) == (Outcome.TAMPERED, kind)
    assert why in verdict.message
