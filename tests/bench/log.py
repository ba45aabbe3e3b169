"""The log's figures, on a generated log of 100,000 entries; of a million with ``ELEVATE_SOAK=1``.

The peer of the verification is ``journalctl --verify`` on a journal of the same events, made in the same run where the tools
are there; it is scaled to the same number of entries.
"""

import atexit
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from elevate.audit.notes import Note, VerifierKey
from elevate.audit.proof import Checker, Proof, check
from elevate.cli.audit_verify import run
from elevate.ports import Draft
from elevate.store import SqliteStore
from elevate.store.checking import Plan
from elevate.store.reader import LedgerReader
from elevate.store.searching import SearchIndex, index_path
from elevate.testing import SeededEntropy
from tests.bench.figure import Figure, median
from tests.biglog import LIFE, life, make_log
from tests.ledgers import request_id

MILLION = 1_000_000
ENTRIES = MILLION if os.environ.get("ELEVATE_SOAK") == "1" else 100_000
APPENDS = {1: 400, 64: 12_800}
JOURNAL = "/lib/systemd/systemd-journal-remote"
CALLS = 200
SAMPLES = MILLION if ENTRIES == MILLION else 50_000
"""Events that the peer verifies."""


@cache
def log() -> Path:
    """Make the log once for all figures; a slow reader's folder is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="elevate-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    make_log(folder / "ledger.sqlite", ENTRIES * 20 // 19).close()
    return folder / "ledger.sqlite"


def size() -> int:
    with LedgerReader(log()) as reader:
        return reader.size()


def append_1() -> Figure:
    """One caller: median of one durable append, in ms."""
    return Figure(name="append_1", value=_append(1)[1], unit="ms")


def append_64() -> Figure:
    """64 callers: durable appends per second."""
    return Figure(name="append_64", value=_append(64)[0], unit="/s")


def _append(callers: int) -> tuple[float, float]:
    """Give entries per second and the median of one in ms."""
    entry = next(one for one in life(0, step_us=1) if isinstance(one, Draft))
    draft = Draft(event=entry.event, request="", at=entry.at, body=entry.body)
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "ledger", entropy=SeededEntropy())

        def caller() -> None:
            for _ in range(APPENDS[callers] // callers):
                begun = time.perf_counter()
                store.append(draft)
                took.append(time.perf_counter() - begun)

        threads = [threading.Thread(target=caller) for _ in range(callers)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - begun
        store.close()
    return len(took) / seconds, statistics.median(took) * 1000


def verify() -> Figure:
    """Strict, two processes, ledger rows and checkpoints included; of fewer entries it is scaled, fixed costs included."""
    scale = MILLION / size()
    took = [_seconds(lambda: run(Plan(log()))) * scale for _ in range(5)]
    peer = _journal()
    return Figure(
        name="log_verify_1m",
        value=statistics.median(took),
        unit=f"s, {'measured' if ENTRIES == MILLION else 'scaled from'} {size():,} entries, best {min(took):.2f}",
        peer="journalctl --verify" if peer else "",
        peer_value=peer * MILLION / min(SAMPLES, size()) if peer else None,
    )


def timeline() -> Figure:
    """One token's life out of the whole log, median in ms."""
    numbers = range(0, ENTRIES // LIFE, max(ENTRIES // LIFE // CALLS, 1))
    with LedgerReader(log()) as reader:
        took = [_seconds(lambda number=number: reader.opened_of(request_id(number))) for number in numbers]  # type: ignore[misc]
    return Figure(name="timeline_1m", value=statistics.median(took) * 1000, unit="ms")


def show() -> Figure:
    """The command from the shell, ms."""
    command = [sys.executable, "-m", "elevate", "audit", "show", request_id(ENTRIES // LIFE // 2), "--state", str(log().parent)]
    seconds = median(lambda: _seconds(lambda: subprocess.run(command, check=True, capture_output=True)), runs=9)
    return Figure(name="show_command", value=seconds * 1000, unit="ms")


def proof() -> Figure:
    """Making a proof of one entry with a new reader, median in ms."""
    store = SqliteStore(log(), entropy=SeededEntropy())
    store.checkpoint()
    took = [_seconds(lambda number=number: store.prove(number * 7 % ENTRIES)) for number in range(CALLS)]  # type: ignore[misc]
    store.close()
    return Figure(name="proof", value=statistics.median(took) * 1000, unit="ms")


def proof_check() -> Figure:
    """Checking one lone proof whole, signature included, median in µs; of that the signature takes the peer's time."""
    store = SqliteStore(log(), entropy=SeededEntropy())
    key, text = VerifierKey.parse(store.verifier_key), store.prove(size() // 3)
    store.close()
    note = Note.parse(Proof.parse(text).note)
    public, data = Ed25519PublicKey.from_public_bytes(key.key), note.text.encode()
    took, alone = [], []
    for _ in range(CALLS * 5):
        took.append(_seconds(lambda: check(text, key)) * 1_000_000)
        alone.append(_seconds(lambda: public.verify(note.signatures[0].data, data)) * 1_000_000)
    return Figure(
        name="proof_check",
        value=statistics.median(took),
        unit=f"µs, best {min(took):.0f}",
        peer="Ed25519 alone",
        peer_value=statistics.median(alone),
    )


def proof_check_next() -> Figure:
    """Checking each further proof under a checkpoint that was verified, median in µs; of the peer each is checked whole."""
    store = SqliteStore(log(), entropy=SeededEntropy())
    key, first = VerifierKey.parse(store.verifier_key), store.prove(0)
    texts = [store.prove(number * 7 % ENTRIES) for number in range(CALLS)]
    store.close()
    checker = Checker(key)
    checker.check(first)
    took = [_seconds(lambda text=text: checker.check(text)) * 1_000_000 for text in texts]  # type: ignore[misc]
    whole = statistics.median(_seconds(lambda text=text: check(text, key)) * 1_000_000 for text in texts)  # type: ignore[misc]
    return Figure(
        name="proof_check_next",
        value=statistics.median(took),
        unit=f"µs, best {min(took):.0f}",
        peer="a lone proof",
        peer_value=whole,
    )


def index_bytes() -> Figure:
    """What the search index and the tree take per entry, in bytes."""
    with LedgerReader(log()) as reader:
        SearchIndex(reader).close()
        tree = int(reader.rows("SELECT sum(length(hashes) + length(root)) FROM tiles")[0][0])
    return Figure(name="index_bytes", value=(index_path(log()).stat().st_size + tree) / size(), unit="bytes per entry")


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _journal() -> float:
    """Verify a journal of the same events; 0 where journald's tools are not there."""
    if not Path(JOURNAL).exists() or not shutil.which("journalctl"):
        return 0.0
    with tempfile.TemporaryDirectory() as folder, LedgerReader(log()) as reader:
        target = Path(folder) / "peer.journal"
        events = (
            f"__REALTIME_TIMESTAMP={entry.unix_us}\n__MONOTONIC_TIMESTAMP={entry.mono_us}\n_BOOT_ID={'b' * 32}\n"
            f"SEQ={entry.seq}\nEVENT={entry.event}\nREQUEST={entry.request}\nHASH={entry.was}\nMESSAGE={dict(entry.body)}\n\n"
            for entry in reader.opened(0, SAMPLES)
        )
        writer = subprocess.Popen([JOURNAL, "--output", str(target), "-"], stdin=subprocess.PIPE, text=True)
        with writer, writer.stdin as pipe:  # type: ignore[union-attr]  # asked for above
            pipe.writelines(events)
        assert writer.returncode == 0
        # A long one is kept in several files.
        command = ["journalctl", "--verify", *(f"--file={one}" for one in sorted(Path(folder).glob("*.journal")))]
        return median(lambda: _seconds(lambda: subprocess.run(command, check=True, capture_output=True)), runs=3)


FIGURES = {
    "append_1": append_1,
    "append_64": append_64,
    "log_verify_1m": verify,
    "timeline_1m": timeline,
    "show_command": show,
    "proof": proof,
    "proof_check": proof_check,
    "proof_check_next": proof_check_next,
    "index_bytes": index_bytes,
}
