"""The log as it is asked for through the broker: one life, pages of a search, and what comes next.

Each answer is for one requester, known from the kernel (`elevate.broker.sight`). It is read with a connection of its own from
what was committed, in bounded pieces (`elevate.store.pages`), and nothing that grants or runs ever waits for a reader. Where it
shows what others did, it leaves only after the entry that says so (`elevate.broker.questions`).
"""

import select
from base64 import b64encode
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from elevate.audit.entry import Entry, leaf_hash
from elevate.audit.own import own_proof
from elevate.audit.query import parse
from elevate.broker.asking import Asked, Cursor, entry_json, told
from elevate.broker.gate import Gate, Kind
from elevate.broker.parts import Parts
from elevate.broker.questions import Questions
from elevate.broker.sight import Sight, sight
from elevate.canonical import MAX_INTEGER, Json
from elevate.errors import AuditError
from elevate.model import Requester
from elevate.ports import Cancel
from elevate.store.pages import Span, Wanted, life, page, stands
from elevate.store.proving import ticks
from elevate.store.reader import LedgerReader

MAX_NAME_CHARS = 64
POLL_MS = 250
"""How often a follower looks whether the log has grown."""
_US = 1_000_000
_ALL = Span(start=0, stop=MAX_INTEGER)


class Logbook:
    """Answers readers.

    Args:
        parts: Of the broker.
        path: Of the ledger.
        owner_uid: As whom the broker runs.

    Attributes:
        gate: How many may read.
    """

    def __init__(self, parts: Parts, path: Path, *, owner_uid: int) -> None:
        self._parts = parts
        self._path = path
        self._owner_uid = owner_uid
        self._questions = Questions(parts.store, parts.clock, parts.entropy)
        self.gate = Gate(owner_uid)

    def close(self) -> None:
        """Write down that the questions that are open have ended."""
        self._questions.close()

    def show(self, name: str, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        """Give one request's life: each entry, and whether the last checkpoint proves it where that covers it.

        Args:
            name: Id of a request or a token, or the beginning of a request's.
            who: By the kernel's word.
            mine: Look among the own requests only.
            answers: The uid that it is counted for, where one person can have many.

        Raises:
            AuditError: Nothing that this requester may see has that name.
        """
        if len(name) > MAX_NAME_CHARS:
            raise AuditError(f"an id has at most {MAX_NAME_CHARS} characters")
        seen, uid = self._sight(who, mine=mine), who.process.uid
        with self.gate.admitted(uid, Kind.PAGE, answers):
            if seen.logged:
                self._questions.check(uid)
            try:
                request, found, proven = self._life(name, seen, uid)
            except AuditError:
                self._shown(seen, who, name, 0)
                raise
            self._shown(seen, who, name, len(found))
        entries: list[Json] = [
            entry_json(entry, leaf_hash(data)) | ({} if holds is None else {"proven": holds})
            for (entry, data), holds in zip(found, proven, strict=True)
        ]
        return {"request": request, "entries": entries}

    def prove(self, position: int, who: Requester, *, mine: bool = False, answers: int | None = None) -> dict[str, Json]:
        """Give a proof that an entry is in the log, with what this requester may see of what the entry commits to.

        Args:
            position: The entry's.
            who: By the kernel's word.
            mine: As an entry of the own requests only.
            answers: As for `show`.

        Raises:
            AuditError: This requester may see no entry there.
        """
        seen, uid = self._sight(who, mine=mine), who.process.uid
        with self.gate.admitted(uid, Kind.PAGE, answers):
            if seen.logged:
                self._questions.check(uid)
            with self.gate.turn(uid), LedgerReader(self._path) as reader:
                found = stands(reader, position, seen.whose)
            if seen.logged:
                about = ((str(position),), _ALL)
                self._questions.begin(who, "prove", about, int(found), complete=True)
            if not found:
                word = "no entry of yours stands" if seen.whose else "no entry stands"
                raise AuditError(f"{word} at {position}", hint="elevate audit show ID prints the positions in brackets")
            proof = self._parts.store.prove(position)
        return {"proof": own_proof(proof, uid) if seen.whose else proof}

    def checkpoint(self, old: int | None, new: int | None, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        """Give the log's keys, and a checkpoint over all that is there or, where two sizes are named, what leads between them.

        Nothing in them tells of anybody: everybody may have them.

        Raises:
            AuditError: The log never had these sizes.
        """
        with self.gate.admitted(who.process.uid, Kind.PAGE, answers), LedgerReader(self._path) as reader:
            keys: list[Json] = [*reader.keys()]
            if old is None or new is None:
                return {"note": self._parts.store.checkpoint(), "keys": keys}
            return {"hashes": [b64encode(one).decode() for one in reader.consistency(old, new)], "keys": keys}

    def search(self, asked: Asked, who: Requester, *, answers: int | None = None) -> dict[str, Json]:
        """Give one page of an answer; its ``cursor``, where there is one, leads to the next. ``answers`` as for `show`.

        Raises:
            AuditError: The words or the cursor can't be understood.
            BusyError: This user asks too much at once.
        """
        seen, uid = self._sight(who, mine=asked.mine), who.process.uid
        where = Cursor.parse(asked.cursor) if asked.cursor else None
        now = where.now if where else self._parts.clock.read().unix
        wanted = Wanted(query=parse(asked.words, now * _US), whose=seen.whose, limit=asked.limit)
        span = asked.span(where, self._parts.store.head()[0])
        asks = ((*asked.about, now), span)
        question = self._questions.resume(where.question, uid, asks) if where and (seen.logged or where.question) else None
        with self.gate.admitted(uid, Kind.PAGE, answers):
            if seen.logged and question is None:
                self._questions.check(uid)
            entries, left = self._page(asked, wanted, uid, span)
            if question is not None:
                self._questions.went_on(question, len(entries), complete=left is None)
            elif seen.logged:
                question = self._questions.begin(who, "search", asks, len(entries), complete=left is None)
        if left is None:
            return {"entries": entries}
        cursor = Cursor(question=question.id if question else "", start=left.start, stop=left.stop, now=now)
        return {"entries": entries, "cursor": cursor.text()}

    def follow(
        self,
        asked: Asked,
        who: Requester,
        *,
        cancel: Cancel,
        answers: int | None = None,
        again: Callable[[], Requester] | None = None,
    ) -> Generator[dict[str, Json], None, None]:
        """Give pages of entries as they come, the oldest first, until ``cancel`` fires; the first page at once.

        Args:
            asked: ``position`` says where to begin; where there is none, at the end, less ``lines``.
            who: By the kernel's word.
            cancel: Fires when the reader leaves.
            answers: As for `show`.
            again: Says who reads now; whoever may not see it all any more is told no more.

        Yields:
            ``entries``, and ``next``, the position to go on at.

        Raises:
            AuditError: The words can't be understood.
            BusyError: This user follows too much at once.
        """
        seen, uid = self._sight(who, mine=asked.mine), who.process.uid
        wanted = Wanted(query=parse(asked.words, self._parts.clock.read().unix_us), whose=seen.whose, limit=asked.limit)
        with self.gate.admitted(uid, Kind.FOLLOW, answers), self._following(seen, who, asked) as count:
            for entries, position in self._grown(asked, wanted, uid, cancel):
                if again is not None and self._sight(again(), mine=asked.mine) != seen:
                    return
                count(len(entries))
                yield {"entries": entries, "next": position}

    @contextmanager
    def _following(self, seen: Sight, who: Requester, asked: Asked) -> Iterator[Callable[[int], None]]:
        """Write down that somebody follows, and at the end how many entries that became."""
        if not seen.logged:
            yield lambda _count: None
            return
        self._questions.check(who.process.uid)
        question = self._questions.begin(who, "follow", (asked.about, _ALL), 0, complete=False)
        try:
            yield lambda count: self._questions.went_on(question, count, complete=False)
        finally:
            self._questions.went_on(question, 0, complete=True)

    def _grown(self, asked: Asked, wanted: Wanted, uid: int, cancel: Cancel) -> Iterator[tuple[list[Json], int]]:
        """Give what is there, and then what comes, each with the position to go on at."""
        position, first = self._begin(asked, wanted, uid, cancel), True
        while not cancel.cancelled():
            size, _ = self._parts.store.head()
            if position >= size and not first:
                _wait(cancel)
                continue
            stop = max(size, position)
            span = Span(start=position, stop=stop, oldest_first=True)
            entries, left = self._page(asked, wanted, uid, span)
            position = left.start if left else stop
            if entries or first:
                yield entries, position
            first = False

    def _begin(self, asked: Asked, wanted: Wanted, uid: int, cancel: Cancel) -> int:
        """Give where a follower begins."""
        size, _ = self._parts.store.head()
        if asked.position is not None or not asked.lines:
            return size if asked.position is None else asked.position
        last: list[int] = []
        left: Span | None = Span(start=0, stop=size)
        while left is not None and len(last) < asked.lines and not cancel.cancelled():
            with self.gate.turn(uid) as rest, LedgerReader(self._path) as reader:
                made = page(reader, replace(wanted, limit=asked.lines - len(last)), left, rest=rest)
            last += [found.entry.seq for found in made.found]
            left = made.rest
        return last[-1] if last else size

    def _page(self, asked: Asked, wanted: Wanted, uid: int, span: Span) -> tuple[list[Json], Span | None]:
        """Give the entries of one page, and what is left."""
        with self.gate.turn(uid) as rest, LedgerReader(self._path) as reader:
            return told(reader, page(reader, wanted, span, rest=rest), span, wanted.whose, context=asked.context)

    def _life(self, name: str, seen: Sight, uid: int) -> tuple[str, list[tuple[Entry, bytes]], list[bool | None]]:
        with self.gate.turn(uid), LedgerReader(self._path) as reader:
            request, found = life(reader, name, seen.whose)
            return request, found, ticks(reader.connection, [(entry.seq, data) for entry, data in found])

    def _shown(self, seen: Sight, who: Requester, name: str, entries: int) -> None:
        if seen.logged:
            self._questions.begin(who, "show", ((name,), _ALL), entries, complete=True)

    def _sight(self, who: Requester, *, mine: bool) -> Sight:
        return sight(who, self._parts.settings.log_readers, owner_uid=self._owner_uid, mine=mine)


def _wait(cancel: Cancel) -> None:
    poll = select.poll()
    poll.register(cancel.fileno(), select.POLLIN)
    poll.poll(POLL_MS)
