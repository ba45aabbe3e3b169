"""What a reader of the log waits for, and what an elevation waits for readers; on the log of `tests.bench.log`."""

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from elevate.audit.query import parse
from elevate.broker import Broker
from elevate.broker.asking import Asked
from elevate.server.main import SWITCH_SECONDS
from elevate.store.pages import Span, Wanted, Whose, life, page
from elevate.store.reader import LedgerReader
from elevate.store.searching import SearchIndex
from elevate.tasks import Task
from tests.bench.figure import Figure, median
from tests.bench.log import log, size
from tests.biglog import requester
from tests.ledgers import request_id

OWN = Whose(user="alice", uid=1000)
READERS = 4
RUNS = 21


def own_page() -> Figure:
    """A page of 256 of a user's own entries, the index being there, in ms."""
    with LedgerReader(log()) as reader:
        SearchIndex(reader).close()
        wanted, span = Wanted(query=parse("", 0), whose=OWN), Span(start=0, stop=size())
        assert page(reader, wanted, span).found
        return Figure(name="own_page", value=median(lambda: _ms(lambda: page(reader, wanted, span)), runs=RUNS), unit="ms")


def own_life() -> Figure:
    """One request's life, looked for among the user's own, in ms."""
    with LedgerReader(log()) as reader:
        return Figure(
            name="own_life", value=median(lambda: _ms(lambda: life(reader, request_id(0), OWN)), runs=RUNS), unit="ms"
        )


def elevation_read() -> Figure:
    """An elevation while readers of a user's own search on and on, in ms; against one that is alone."""
    folder = Path(tempfile.mkdtemp(prefix="elevate-bench-"))
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(SWITCH_SECONDS)
        Broker.embedded(folder / "state").close()
        for file in (folder / "state").glob("ledger.sqlite*"):
            file.unlink()
        for file in log().parent.glob("ledger.sqlite*"):
            shutil.copy(file, folder / "state")
        with Broker.open(folder / "state") as broker:
            return _beside(broker)
    finally:
        sys.setswitchinterval(before)
        shutil.rmtree(folder)


def _beside(broker: Broker) -> Figure:
    over = threading.Event()

    def read() -> None:
        cursor = ""
        while not over.is_set():
            told = broker.logbook.search(Asked(words="no-such-word", cursor=cursor), requester("alice"))
            cursor = str(told.get("cursor", ""))

    alone = median(lambda: _ms(lambda: _elevate(broker)), runs=RUNS)
    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        value = median(lambda: _ms(lambda: _elevate(broker)), runs=RUNS)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    return Figure(name="elevation_read", value=value, unit="ms", peer="nobody reads", peer_value=alone)


def _elevate(broker: Broker) -> None:
    broker.elevate(Task.run(["/bin/true"])).run(capture=True)


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


FIGURES: Mapping[str, Callable[[], Figure]] = {"own_page": own_page, "own_life": own_life, "elevation_read": elevation_read}
