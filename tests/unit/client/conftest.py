"""The thin client as a process of its own, against a simulated broker."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.conftest import Bench

ROOT = Path(__file__).resolve().parents[3]
DRIVER = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from elevate import client
client.NOTE_AFTER_MS = 1
status = client.run(sys.argv[2:], path=sys.argv[1])
sys.exit(status)
"""


class Client:
    """Starts ``elevate run`` against the bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.broker = bench.broker

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", DRIVER, str(self.bench.path), *words]

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.argv(*words), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def run(self, *words: str, given: bytes | None = None) -> tuple[int, bytes, bytes]:
        process = self.start(*words, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE)
        out, err = process.communicate(given, timeout=30)
        return process.returncode, out, err


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    bench = Bench(tmp_path / "run" / "broker.sock")
    with bench.turning():
        yield Client(bench)
    bench.close()
