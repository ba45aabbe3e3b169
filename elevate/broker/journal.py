"""One request's way through the ledger: each step durable together with its entry, told to whoever listens."""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
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
        self._opening: Draft | None = None
        self._settling = threading.Lock()
        self.record = record

    def open(self, body: Mapping[str, Json]) -> None:
        """Take the request down; it is written with its first step, or by `settle` before that."""
        self._opening = Draft(event=State.REQUESTED, request=self.record.request, at=self._clock.read(), body=body)

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
            StoreError: It could not be written; then it has not happened.
        """
        return self.through(Move(after, body or {}, fields or {}, at))

    def through(self, *moves: Move) -> Stepped:
        """Take several steps in one commit, in order: all of them happen, or none; else as `to`."""
        with self._settling:
            opening, self._opening = self._opening, None
            stepped = self._write(opening, self._steps(moves))
        self.record = stepped.record
        if opening is not None:
            self._tell(State.REQUESTED)
        for move in moves if stepped.won else ():
            self._tell(move.after)
        return stepped

    def settle(self) -> None:
        """See that the request is in the log, before anybody hears of it.

        Raises:
            StoreError: It could not be written; this is said each time.
        """
        if self._opening is not None:
            self.through()

    def _write(self, opening: Draft | None, steps: Sequence[Step]) -> Stepped:
        if opening is None:
            return self._store.step(*steps)
        try:
            return self._store.open_request(self.record, opening, *steps)
        except BaseException:
            # INVARIANT: no log, no right, and no answer either: nothing follows a request that is not in the log. What a
            # signal broke off may have been written all the same.
            if self._store.record(self.record.request) is None:
                self._opening = opening
            raise

    def _steps(self, moves: Sequence[Move]) -> list[Step]:
        before = [self.record.state, *(move.after for move in moves)]
        return [self._step(move, before=earlier) for move, earlier in zip(moves, before, strict=False)]

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
        if self._opening is None:
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
