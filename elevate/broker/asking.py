"""What is asked of the log and how it is answered, as values: a question, its cursor, and entries as they are told.

A cursor names its question, where that is written down, and the positions that are left; the times in the words stay those of
the first page. It gives no right: whoever changes one gets what that user may ask for anyway.
"""

import re
from dataclasses import dataclass, fields
from typing import Self

from elevate import canonical
from elevate.audit.context import Context
from elevate.audit.entry import Entry
from elevate.audit.own import own_view
from elevate.canonical import Json
from elevate.errors import AuditError, TaskInvalidError
from elevate.store.pages import MAX_BYTES, Page, Span, Whose
from elevate.store.reader import LedgerReader

MAX_WORDS_CHARS = 1024
PAGE_ENTRIES, MAX_PAGE_ENTRIES = 256, 512
MAX_LINES = 512
_MEMBERS = tuple(field.name for field in fields(Entry))
_CURSOR = re.compile(r"([0-9a-f]{0,32})\.([0-9]{1,15})\.([0-9]{1,15})\.([0-9]{1,11})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of the log.

    Attributes:
        words: As `elevate.audit.query.parse` reads them; all entries where there are none.
        mine: The own entries only, for those who may see all.
        position: Begin here: below it, or from it on where the oldest come first.
        oldest_first: In which order.
        limit: Entries on one page.
        context: Tell with an entry what its request said before, where it is not its first; with the oldest first.
        cursor: Of the page before.
        lines: Begin with the last so many that are there; for a follower.
    """

    words: str = ""
    mine: bool = False
    position: int | None = None
    oldest_first: bool = False
    limit: int = PAGE_ENTRIES
    context: bool = False
    cursor: str = ""
    lines: int = 0

    def __post_init__(self) -> None:
        """Bound what was asked."""
        if len(self.words) > MAX_WORDS_CHARS:
            raise AuditError(f"a search has at most {MAX_WORDS_CHARS} characters")
        if not 1 <= self.limit <= MAX_PAGE_ENTRIES or not 0 <= self.lines <= MAX_LINES:
            raise TaskInvalidError(f"a page has 1 to {MAX_PAGE_ENTRIES} entries, and a beginning at most {MAX_LINES} lines")
        if self.context and not self.oldest_first:
            raise TaskInvalidError("what came before is told where the oldest come first")

    @property
    def about(self) -> tuple[Json, ...]:
        """What stays the same from page to page; the words come first."""
        return self.words, self.position, self.oldest_first, self.context

    def span(self, where: "Cursor | None", size: int) -> Span:
        """Give the positions to look at in a log of so many entries."""
        start, stop = (where.start, where.stop) if where else (0, size)
        if where is None and self.position is not None:
            start, stop = (self.position, size) if self.oldest_first else (0, self.position)
        return Span(start=min(start, size), stop=min(stop, size), oldest_first=self.oldest_first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """What leads from one page to the next.

    Attributes:
        question: Id of the question that was written down; empty for one about the own entries.
        now: What times in the words count back from, Unix seconds.
    """

    question: str
    start: int
    stop: int
    now: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor.

        Raises:
            AuditError: It is none.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise AuditError("the cursor is not one of this question's", hint="ask again from the beginning")
        return cls(question=found[1], start=int(found[2]), stop=int(found[3]), now=int(found[4]))

    def text(self) -> str:
        """Give it as it goes to the reader."""
        return f"{self.question}.{self.start}.{self.stop}.{self.now}"


def entry_json(entry: Entry, digest: str) -> dict[str, Json]:
    """Give an entry as it is told, with its hash."""
    return {name: getattr(entry, name) for name in _MEMBERS} | {"hash": digest}


def told(reader: LedgerReader, page: Page, span: Span, whose: Whose | None, *, context: bool) -> tuple[list[Json], Span | None]:
    """Give a page's entries as they are told, and what is left; with their context they may be too many for one answer.

    Args:
        reader: The ledger.
        page: What was found.
        span: Where was looked.
        whose: What the reader may see of what was said before.
        context: Tell that with the first entry of each request here, unless it is the first of all.
    """
    known = Context(lambda request: _earlier(reader, request, whose))
    entries: list[Json] = []
    met: set[str] = set()
    size = 0
    for one in page.found:
        shown = entry_json(one.entry, one.hash) | ({"user": one.user} if one.user else {})
        if context and not one.first and one.entry.request not in met:
            before = dict(known.before(one.entry))
            size += one.size_bytes + len(canonical.encode(before))
            if entries and size > MAX_BYTES:
                return entries, span.again(one.entry.seq)
            shown["known"] = before
        met.add(one.entry.request)
        entries.append(shown)
    return entries, page.rest


def _earlier(reader: LedgerReader, request: str, whose: Whose | None) -> list[Entry]:
    found = reader.opened_of(request)
    return found if whose is None else [own_view(entry, whose.uid) for entry in found]
