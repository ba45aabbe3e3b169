"""Rows 21, 41 and 46: the clock, a full disk and a simulated sensor, mounted by a user against a root daemon that is strict."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from elevate.audit import parse
from elevate.errors import ElevateError
from elevate.store.reader import LedgerReader
from tests.attacks.real.arena import PIN, Arena
from tests.attacks.real.people import prompted
from tests.attacks.real.sides import Done, Elevate, Held, Side, elevate, naive
from tests.hello.pty import Asking, Person

pytestmark = pytest.mark.root
Connect = Callable[[], Side]
ID = ["/usr/bin/id", "-u"]


def agreed(side: Side, argv: list[str]) -> Held:
    """Ask for a task, and agree to it on a terminal."""
    if not isinstance(side, Elevate):
        return side.ask(argv)
    with Person() as person:
        asking = Asking(lambda: side.ask(argv, terminal=person.terminal))
        if prompted(person, asking):
            person.types(PIN.encode() + b"\r")
        return asking.result()


def revives(connect: Connect, arena: Arena) -> list[str]:
    """Let a token's time pass, and set the clock back before that; give what it brings."""
    side = connect()
    held = agreed(side, ID)
    arena.steer(wall=0, mono=600)
    told = side.use(held)
    return [told.out, told.refused.partition(":")[0]]


@pytest.fixture
def clock(strict: Arena) -> Iterator[Arena]:
    """A clock that everybody may set."""
    strict.steer(wall=0, mono=0)
    for folder in (strict.folder, strict.naive):
        (folder / "clock").chmod(0o666)
    yield strict
    for folder in (strict.folder, strict.naive):
        (folder / "clock").unlink()


def test_21_clock_set_back(clock: Arena) -> None:
    """Ten minutes have passed, whatever the clock on the wall says."""
    assert clock.act(revives, elevate, clock) == ["", "token-expired"]


def test_21_naive_clock_set_back(clock: Arena) -> None:
    """There the clock on the wall says all."""
    assert clock.act(revives, naive, clock) == ["0\n", ""]


def test_46_simulated_sensor(strict: Arena) -> None:
    """Alice's face is a script: it opens nothing where the machine's setting does not say so, nor does a user's word."""
    told = strict.act(lambda: [elevate().ask(ID).refused, elevate().ask(ID, simulate=True).refused])
    assert [one.partition(":")[0] for one in told] == ["not-enrolled", "task-invalid"]


def test_46_naive_simulated_sensor(strict: Arena) -> None:
    """There the caller says that a test is running."""

    def simulates() -> str:
        side = naive()
        side.pin = None
        return side.run(ID, simulate=True).out

    assert strict.act(simulates) == "0\n"


@pytest.fixture
def filled(strict: Arena) -> Iterator[None]:
    """Nothing: the attacker fills the disk; here it is made free again."""
    yield
    (strict.naive / "filler").unlink(missing_ok=True)


def fill(place: Path) -> None:
    """Leave no byte on the disk on which the brokers keep their logs."""
    with suppress(OSError), (place / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def runs_unrecorded(place: Path) -> list[Done]:
    """Elevate, fill the disk, and go on until nothing is given any more, or for a while."""
    first = elevate()
    done = [first.use(agreed(first, ID))]
    fill(place)
    for _ in range(100):
        side = elevate()
        told = Done(refused="gone")
        with suppress(ElevateError):
            told = side.use(agreed(side, ID))
        done.append(told)
        if told.refused:
            break
    return done


@pytest.mark.usefixtures("filled")
def test_41_full_disk(strict: Arena) -> None:
    """What can't be recorded is not given, and what was given is recorded."""
    done = strict.act(lambda: [[one.out, one.refused] for one in runs_unrecorded(strict.naive)])
    with LedgerReader(strict.state / "ledger.sqlite") as log:
        events = [parse(entry).event for entry in log.entries()]
    assert done[0][0].strip().isdigit()
    assert done[-1][1].partition(":")[0] in {"store-unwritable", "broker-failed"}
    assert events.count("redeemed") >= len(done) - 1


@pytest.mark.usefixtures("filled")
def test_41_naive_full_disk(strict: Arena) -> None:
    """There it runs all the same, and nobody knows."""
    strict.act(fill, strict.naive)
    assert strict.act(lambda: naive().run(ID, reason="x" * 8192 + "the end").out) == "0\n"
    assert "the end" not in (strict.naive / "log").read_text()
