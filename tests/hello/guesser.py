"""A program that guesses PINs, in processes that are killed: run by test_counter_kills.

``python -m tests.hello.guesser kills FOLDER COUNT SEED``, or ``… race FOLDER PROCESSES LIMIT``. It prints, as JSON, how many
tries were evaluated (the stretching of a PIN was begun), answered and counted.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from elevate.errors import GestureError, LockedOutError
from elevate.hello import HelloSettings, LockoutRules, SoftwareHello
from elevate.hello.container import owner_of
from elevate.testing import ManualClock, SeededEntropy
from tests.hello.parts import CHEAPEST, USER, WRONG


class Guesser:
    """One machine; every process of it opens its own `SoftwareHello`."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder = folder
        self.settings = HelloSettings(
            kdf=CHEAPEST, lockout=LockoutRules(phrase_after=0, wrong_per_minute=0, max_failures=limit)
        )
        self.evaluated = os.open(folder / "evaluated", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.answered = os.open(folder / "answered", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hello(self) -> SoftwareHello:
        seed = os.urandom(8)
        clock = ManualClock()
        made = SoftwareHello(self.folder / "hello", clock=clock, entropy=SeededEntropy(seed), settings=self.settings)
        stretch = made.vault.stretch

        def watched(pin: bytearray, salt: bytes) -> bytes:
            os.write(self.evaluated, b".")
            return stretch(pin, salt)

        made.vault.stretch = watched  # type: ignore[method-assign] # it counts, and then does the same
        return made

    def guess(self) -> None:
        """Guess until the PIN is locked."""
        hello = self.hello()
        entropy = SeededEntropy(os.urandom(8))
        while True:
            try:
                hello.sign(USER, "pin", entropy.token_bytes(48), secret=bytearray(WRONG))
            except LockedOutError:
                os.write(self.answered, b".")
                return
            except GestureError:
                os.write(self.answered, b".")

    def child(self) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                self.guess()
            finally:
                os._exit(0)
        return pid

    def counts(self) -> dict[str, int]:
        with self.hello().vault.counter(owner_of(USER))._file.open() as slot:
            counted = slot.record["failed"]
        assert isinstance(counted, int)
        evaluated = (self.folder / "evaluated").stat().st_size
        return {"evaluated": evaluated, "answered": (self.folder / "answered").stat().st_size, "counted": counted}


def kills(folder: Path, count: int, seed: int) -> None:
    """Kill a guessing process at random moments; the counts are compared after each."""
    guesser = Guesser(folder, limit=10**9)
    draws = random.Random(seed)  # noqa: S311 - moments, not secrets
    for _ in range(count):
        pid = guesser.child()
        time.sleep(draws.uniform(0.0, 0.025))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = guesser.counts()
        if not found["answered"] <= found["evaluated"] <= found["counted"]:
            sys.exit(f"after a kill: {found}")
    sys.stdout.write(json.dumps({"kills": count, **guesser.counts()}))


def race(folder: Path, processes: int, limit: int) -> None:
    """Guess in many processes at once until all are locked out."""
    guesser = Guesser(folder, limit=limit)
    for pid in [guesser.child() for _ in range(processes)]:
        os.waitpid(pid, 0)
    sys.stdout.write(json.dumps(guesser.counts()))


if __name__ == "__main__":
    if sys.argv[1] == "kills":
        kills(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        race(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
