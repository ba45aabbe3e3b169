"""That somebody looks at what others did, written down: one entry before the first answer leaves, whatever the number of pages.

``access`` says who asked, how (``search``, ``show``, ``follow``), how many entries the first answer holds, and whether that was
all. What was asked stands there as a salted commitment, whose opening goes when a person is erased who is named in it. Where it
was not all, ``access-ended`` says how many it became; one that is left ends when its asker opens many others, or with
the broker.

Whoever may see all without being root has a number of questions and gets new ones with time: reading can't fill the disk.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from elevate.audit import body
from elevate.broker.patience import Patience
from elevate.canonical import Json
from elevate.errors import AuditError
from elevate.model import Requester
from elevate.ports import Clock, Draft, Entropy, Store
from elevate.store.pages import Span

ID_BYTES = 16
MAX_OPEN, MAX_OPEN_PER_UID = 128, 16
BURST = 64
SECONDS_EACH = 2.0


Asks = tuple[tuple[Json, ...], Span]
"""What is asked, and at which positions."""


@dataclass(slots=True, kw_only=True)
class Question:
    """One that was written down and has not ended.

    Attributes:
        about: What is asked; a page that is asked for under this question must ask the same, with the same idea of now.
        span: Where the first page began to look; the others look nowhere else.
        began: Position of its entry.
        entries: What was handed out so far.
    """

    id: str
    uid: int
    kind: str
    about: tuple[Json, ...]
    span: Span
    began: int
    entries: int


class Questions:
    """The questions about others that are open."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Question] = OrderedDict()
        self._patience = Patience(clock, burst=BURST, seconds_each=SECONDS_EACH, why="this user asks the log too often")

    def check(self, uid: int) -> None:
        """Refuse a user who has asked too often.

        Raises:
            BusyError: For now.
        """
        self._patience.check(uid)

    def begin(self, who: Requester, kind: str, asks: Asks, entries: int, *, complete: bool) -> Question:
        """Write a question down.

        Args:
            who: By the kernel's word.
            kind: ``search``, ``show`` or ``follow``.
            asks: What is asked, its words first, and where.
            entries: In the first answer.
            complete: That is all of it.

        Raises:
            StoreUnwritableError: It can't be written, so nothing may be handed out.
        """
        about, span = asks
        uid, words = who.process.uid, str(about[0])
        self._patience.refused(uid)
        asked = body.access(kind, entries, complete=complete, question=words, named=_named(words))
        began = self._write("access", body.actor(who) | asked)
        name = self._entropy.token_bytes(ID_BYTES).hex()
        question = Question(id=name, uid=uid, kind=kind, about=about, span=span, began=began, entries=entries)
        if not complete:
            for left in self._keep(question):
                self._end(left, complete=False)
        return question

    def resume(self, name: str, uid: int, asks: Asks) -> Question:
        """Give the question that a cursor names.

        Raises:
            AuditError: No such question of this user is open, or it asked something else.
        """
        about, span = asks
        with self._lock:
            found = self._open.get(name)
            if found is None or (found.uid, found.about) != (uid, about) or not found.span.holds(span):
                raise AuditError("the cursor is not one of this question's", hint="ask again from the beginning")
            self._open.move_to_end(name)
            return found

    def went_on(self, question: Question, entries: int, *, complete: bool) -> None:
        """Count what is handed out next; ``complete`` where it is the end."""
        with self._lock:
            question.entries += entries
            ended = complete and self._open.pop(question.id, None) is not None
        if ended:
            self._end(question, complete=True)

    def close(self) -> None:
        """End all that are open."""
        with self._lock:
            left = list(self._open.values())
            self._open.clear()
        for question in left:
            self._end(question, complete=False)

    def _keep(self, question: Question) -> list[Question]:
        """Remember a question; give those that have to go for it."""
        with self._lock:
            self._open[question.id] = question
            same = [one for one in self._open.values() if one.uid == question.uid]
            going = same[: max(len(same) - MAX_OPEN_PER_UID, 0)] or [*self._open.values()][: max(len(self._open) - MAX_OPEN, 0)]
            for one in going:
                del self._open[one.id]
            return going

    def _end(self, question: Question, *, complete: bool) -> None:
        self._write("access-ended", body.access(question.kind, question.entries, complete=complete, began=question.began))

    def _write(self, event: str, members: body.Body) -> int:
        return self._store.append(Draft(event=event, request="", at=self._clock.read(), body=members))


def _named(words: str) -> list[str]:
    """Give every word that could be a person's name."""
    parts = [word.lstrip("-").partition(":") for word in words.split()]
    return sorted({value if colon else key for key, colon, value in parts if not colon or key == "user"} - {""})
