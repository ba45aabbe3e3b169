"""Where the audit commands read the log: from the running broker, which gives everybody what is theirs, or from the file.

Without ``--state`` the broker is asked where one runs. With it, or where none runs, the file is read, by whoever may read it;
the broker does not see that.
"""

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from elevate.audit.context import Context
from elevate.audit.entry import Entry, leaf_hash, opened
from elevate.canonical import Json
from elevate.cli.audit_common import ledger_path
from elevate.errors import AuditError, NoBrokerError
from elevate.lifecycle import State
from elevate.store.proving import prove, ticks
from elevate.store.reader import LedgerReader

if TYPE_CHECKING:
    from elevate.library import Connection
    from elevate.logs import Told

FOLLOW_SECONDS = 0.3
BATCH = 1000
MAX_LINES = 512
_MEMBERS = tuple(field.name for field in fields(Entry))

Line = tuple[Entry, Mapping[str, Json], str]
"""An entry, what its request has said up to it, and its hash."""
Batch = tuple[list[Line], int]
"""Entries, and the position to go on at."""


class Source(Protocol):
    """A log to read."""

    def last(self, count: int) -> Iterator[Entry]:
        """Give the last entries."""

    def follow(self, count: int) -> Iterator[list[Entry]]:
        """Give the last entries, and then what comes."""

    def life(self, name: str) -> tuple[str, list[Entry], list[bool | None]]:
        """Give one request's id and entries, and for each whether the last checkpoint proves it."""

    def search(self, words: str, before: int | None) -> Iterator[Entry]:
        """Give the entries that words mean, the newest first."""

    def stretch(self, words: str) -> Iterator[tuple[Entry, str]]:
        """Give the entries that words mean, the oldest first, each with its user."""

    def batches(self, start: int, *, follow: bool) -> Iterator[Batch]:
        """Give all entries from a position on, and then what comes."""

    def prove(self, position: int) -> str:
        """Prove that an entry is in the log."""

    def checkpoint(self) -> str:
        """Give a signed checkpoint."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that one log is the beginning of another."""

    def log_keys(self) -> list[str]:
        """Give the log's keys, the first one first."""


@contextmanager
def source(state: Path | None) -> Iterator[Source]:
    """Open the log.

    Args:
        state: Folder of the broker whose file is to be read; None asks the broker that runs, where one does.

    Raises:
        AuditError: There is no log.
        ElevateError: It can't be read.
    """
    broker = running(state)
    if broker is not None:
        with broker:
            yield BrokerSource(broker)
        return
    with LedgerReader(ledger_path(state)) as reader:
        yield FileSource(reader)


def running(state: Path | None) -> "Connection | None":
    """Connect to the broker that runs, unless a folder is named; None where none runs."""
    if state is not None:
        return None
    try:
        return connect()
    except NoBrokerError:
        return None


def connect() -> "Connection":
    """Connect to the machine's broker; what reads a file does not load the library."""
    from elevate import library

    return library.connect()


class BrokerSource:
    """The log as the broker gives it to this user."""

    def __init__(self, broker: "Connection") -> None:
        self._broker = broker

    def last(self, count: int) -> Iterator[Entry]:
        """Give the last entries."""
        return reversed([_entry(told) for told in itertools.islice(self._broker.search(), count)])

    def follow(self, count: int) -> Iterator[list[Entry]]:
        """Give the last entries, and then what comes."""
        if count > MAX_LINES:
            raise AuditError(f"to follow begins with at most {MAX_LINES} lines", hint="print them first without -f")
        return ([_entry(told) for told in page] for page, _ in self._broker.pages(lines=count))

    def life(self, name: str) -> tuple[str, list[Entry], list[bool | None]]:
        """Give one request's life."""
        told = self._broker.show(name)
        entries = cast("list[Told]", told["entries"])
        return (
            str(told["request"]),
            [_entry(one) for one in entries],
            [cast("bool | None", one.get("proven")) for one in entries],
        )

    def search(self, words: str, before: int | None) -> Iterator[Entry]:
        """Give the entries that words mean, the newest first."""
        return map(_entry, self._broker.search(words, position=before))

    def stretch(self, words: str) -> Iterator[tuple[Entry, str]]:
        """Give the entries that words mean, the oldest first, each with its user."""
        return ((_entry(told), str(told.get("user", ""))) for told in self._broker.search(words, oldest_first=True))

    def batches(self, start: int, *, follow: bool) -> Iterator[Batch]:
        """Give all entries from a position on, and then what comes."""
        before: dict[str, Entry] = {}
        context = Context(lambda request: [before[request]] if request in before else [])
        for page, after in self._broker.pages(position=start, context=True) if follow else self._all(start):
            lines: list[Line] = []
            for told in page:
                entry = _entry(told)
                if "known" in told:
                    body = cast("Mapping[str, Json]", told["known"])
                    before[entry.request] = replace(entry, seq=-1, event=State.REQUESTED, body=body)
                lines.append((entry, context.feed(entry), str(told["hash"])))
                before.clear()
            yield lines, after

    def prove(self, position: int) -> str:
        """Prove that an entry is in the log."""
        return self._broker.prove(position)

    def checkpoint(self) -> str:
        """Give a signed checkpoint."""
        return self._broker.checkpoint()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that one log is the beginning of another."""
        return self._broker.consistency(old, new)

    def log_keys(self) -> list[str]:
        """Give the log's keys, the first one first."""
        return self._broker.log_keys()

    def _all(self, start: int) -> Iterator[tuple[list["Told"], int]]:
        told = self._broker.search(oldest_first=True, position=start, context=True)
        while page := list(itertools.islice(told, BATCH)):
            yield page, cast("int", page[-1]["seq"]) + 1


class FileSource:
    """The log as its file has it."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    def last(self, count: int) -> Iterator[Entry]:
        """Give the last entries."""
        size = self._reader.size()
        return self._reader.opened(max(size - count, 0), size)

    def follow(self, count: int) -> Iterator[list[Entry]]:
        """Give the last entries, and then what comes."""
        size = self._reader.size()
        yield list(self.last(count))
        while True:
            time.sleep(FOLLOW_SECONDS)
            grown = self._reader.size()
            yield list(self._reader.opened(size, grown))
            size = grown

    def life(self, name: str) -> tuple[str, list[Entry], list[bool | None]]:
        """Give one request's life."""
        request = self._reader.find(name)
        pairs = self._reader.pairs_of(request)
        found = [opened(data, openings) for data, openings in pairs]
        proven = ticks(self._reader.connection, [(entry.seq, data) for entry, (data, _) in zip(found, pairs, strict=True)])
        return request, found, proven

    def search(self, words: str, before: int | None) -> Iterator[Entry]:
        """Give the entries that words mean, the newest first."""
        from elevate.audit.query import parse
        from elevate.store.searching import search

        return search(self._reader, parse(words, time.time_ns() // 1000), before=before)

    def stretch(self, words: str) -> Iterator[tuple[Entry, str]]:
        """Give the entries that words mean, the oldest first, each with its user."""
        from elevate.audit.query import owner_in, parse
        from elevate.store.searching import search_found

        for entry, terms in search_found(self._reader, parse(words, time.time_ns() // 1000)):
            yield entry, owner_in(terms)

    def batches(self, start: int, *, follow: bool) -> Iterator[Batch]:
        """Give all entries from a position on, and then what comes."""
        position, erased = start, self._reader.meta("erased")
        context = Context(self._reader.opened_of)
        while True:
            for lines in self._lines(position, context):
                position = lines[-1][0].seq + 1
                yield lines, position
            if not follow:
                return
            time.sleep(FOLLOW_SECONDS)
            if self._reader.meta("erased") != erased:
                # What was known of somebody who is erased now is not told any more.
                erased, context = self._reader.meta("erased"), Context(self._reader.opened_of)

    def prove(self, position: int) -> str:
        """Prove that an entry is in the log."""
        return prove(self._reader.connection, position, self._reader.note())

    def checkpoint(self) -> str:
        """Give the last checkpoint that was signed."""
        return self._reader.note()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Prove that one log is the beginning of another."""
        return self._reader.consistency(old, new)

    def log_keys(self) -> list[str]:
        """Give the log's keys, the first one first."""
        return self._reader.keys()

    def _lines(self, start: int, context: Context) -> Iterator[list[Line]]:
        pairs = self._reader.pairs(start)
        while page := list(itertools.islice(pairs, BATCH)):
            entries = [(opened(data, openings), leaf_hash(data)) for data, openings in page]
            yield [(entry, context.feed(entry), digest) for entry, digest in entries]


def _entry(told: "Told") -> Entry:
    return Entry(**{name: told[name] for name in _MEMBERS})  # type: ignore[arg-type]  # of the broker's own making
