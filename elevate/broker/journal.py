"""One request's way through the ledger: each step durable together with its entry, told to whoever listens."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from elevate.broker import entries
from elevate.canonical import Json
from elevate.errors import (
    CancelledError,
    DeclinedError,
    DeniedError,
    ElevateError,
    LockedOutError,
    PromptTimedOutError,
    StoreError,
)
from elevate.lifecycle import TRANSITIONS, State
from elevate.ports import Clock, Draft, Instant, Record, Step, Stepped, Store

Listener = Callable[[str, State], None]
"""Told of each step: the request's id and the state it is in now."""

_ENDINGS: tuple[tuple[type[ElevateError], State], ...] = (
    (DeniedError, State.DENIED),
    (DeclinedError, State.DECLINED),
    (PromptTimedOutError, State.TIMED_OUT),
    (LockedOutError, State.LOCKED_OUT),
    (CancelledError, State.CANCELLED),
)


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a request: the state after it, what its entry and its row say, and when; now, where nothing is said."""

    after: State
    body: Mapping[str, Json] = field(default_factory=dict)
    fields: Mapping[str, Json] = field(default_factory=dict)
    at: Instant | None = None


class Journal:
    """Writes the steps of one request.

    INVARIANT: nobody is asked, and nothing is answered, before the request itself is in the log.

    Attributes:
        record: The row as last written.
    """

    def __init__(self, store: Store, clock: Clock, record: Record, listener: Listener) -> None:
        self._store = store
        self._clock = clock
        self._listener = listener
        self._opening: Future[int] | None = None
        self._pending: Future[Stepped] | None = None
        self._ahead = record.state
        self._settling = threading.Lock()
        self.record = record

    def open(self, body: Mapping[str, Json]) -> None:
        """Write the row and its `requested` entry, and go on while they are committed; the first step waits for them."""
        entry = Draft(event=State.REQUESTED, request=self.record.request, at=self._clock.read(), body=body)
        self._opening = self._store.open_ahead(self.record, entry)

    def to(
        self,
        after: State,
        body: Mapping[str, Json] | None = None,
        fields: Mapping[str, Json] | None = None,
        *,
        at: Instant | None = None,
    ) -> Stepped:
        """Take one step; the caller looks at ``won`` where somebody else may have been first.

        Raises:
            StoreError: It, or what was written ahead of it, could not be written; then neither has happened.
        """
        return self.through(Move(after, body or {}, fields or {}, at))

    def through(self, *moves: Move) -> Stepped:
        """Take several steps in one commit, in order: all of them happen, or none; else as `to`."""
        if self._pending is None:
            self.settle()
        before = self.record.state if self._pending is None else self._ahead
        steps = [
            self._step(move, before=earlier)
            for move, earlier in zip(moves, [before, *(move.after for move in moves)], strict=False)
        ]
        # A step that went ahead is committed before these, or with them; where it was not, they find another state.
        stepped = self._store.step(*steps)
        self.settle()
        self.record = stepped.record
        for move in moves if stepped.won else ():
            self._tell(move.after)
        return stepped

    def ahead(self, after: State, body: Mapping[str, Json]) -> None:
        """Take a step that gives no right, and go on; it is committed soon, before the next one or with it."""
        self.settle()
        self._pending = self._store.submit(self._step(Move(after, body), before=self.record.state))
        self._ahead = after
        self._tell(after)

    def settle(self) -> None:
        """Wait until what was written ahead is committed; whoever listens hears of a request when it is.

        Raises:
            StoreError: It could not be written; of a request that is not in the log this is said each time.
        """
        with self._settling:
            opened, self._opening = self._opening, None
            if opened is not None:
                self._settle_opening(opened)
            if self._pending is not None:
                self._settle_pending(self._pending)
        if opened is not None:
            self._tell(State.REQUESTED)

    def _settle_opening(self, opened: Future[int]) -> None:
        try:
            opened.result()
        except BaseException:
            # INVARIANT: no log, no right, and no answer either: nothing follows a request that is not in the log.
            self._opening = opened
            raise

    def _settle_pending(self, pending: Future[Stepped]) -> None:
        try:
            self.record = pending.result().record
        finally:
            # Whom a signal breaks off waits again: the next step follows on this one.
            if pending.done():
                self._pending = None

    def _step(self, move: Move, *, before: State) -> Step:
        request, at = self.record.request, move.at or self._clock.read()
        entry = Draft(event=move.after, request=request, at=at, body=move.body)
        return Step(request=request, before=before, after=move.after, entry=entry, fields=move.fields, epoch=self.record.epoch)

    def _tell(self, state: State) -> None:
        # Whoever listens can't change the story by failing.
        with contextlib.suppress(Exception):
            self._listener(self.record.request, state)

    def fail(self, error: ElevateError, by: Mapping[str, Json] | None = None) -> None:
        """End a request as its error says; a token that was registered for it is taken back. ``by`` says who ended it."""
        with contextlib.suppress(StoreError):
            self.refresh()  # what broke off may have done so after its commit
        followers = TRANSITIONS.get(self.record.state, frozenset())
        after = next((state for kind, state in _ENDINGS if isinstance(error, kind)), State.FAILED)
        # DESTROYED: redeemed as it was issued, and nothing was started yet.
        for state in (after, State.FAILED, State.REVOKED, State.DESTROYED):
            if state in followers:
                self.to(state, entries.failed(error) | dict(by or {}))
                return

    def note(self, event: str, body: Mapping[str, Json]) -> None:
        """Write an entry that changes nothing, as an alarm."""
        self._store.append(Draft(event=event, request=self.record.request, at=self._clock.read(), body=body))

    def refresh(self) -> Record:
        """Read the row again.

        Raises:
            StoreError: As `settle`.
        """
        self.settle()
        self.record = self._store.record(self.record.request) or replace(self.record, state=State.FAILED)
        return self.record
