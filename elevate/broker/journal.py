"""One request's way through the ledger: each step one synced commit with its entry, told to whoever listens."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

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


class Journal:
    """Writes the steps of one request.

    Attributes:
        record: The row as last written.
    """

    def __init__(self, store: Store, clock: Clock, record: Record, listener: Listener) -> None:
        self._store = store
        self._clock = clock
        self._listener = listener
        self.record = record

    def open(self, body: Mapping[str, Json]) -> None:
        """Write the row and its `requested` entry."""
        entry = Draft(event=State.REQUESTED, request=self.record.request, at=self._clock.read(), body=body)
        self._store.open_request(self.record, entry)
        self._tell(State.REQUESTED)

    def to(
        self,
        after: State,
        body: Mapping[str, Json] | None = None,
        fields: Mapping[str, Json] | None = None,
        *,
        at: Instant | None = None,
    ) -> Stepped:
        """Take one step; the caller looks at ``won`` where somebody else may have been first."""
        entry = Draft(event=after, request=self.record.request, at=at or self._clock.read(), body=body or {})
        step = Step(
            request=self.record.request,
            before=self.record.state,
            after=after,
            entry=entry,
            fields=fields or {},
            epoch=self.record.epoch,
        )
        stepped = self._store.step(step)
        self.record = stepped.record
        if stepped.won:
            self._tell(after)
        return stepped

    def _tell(self, state: State) -> None:
        # Whoever listens can't change the story by failing.
        with contextlib.suppress(Exception):
            self._listener(self.record.request, state)

    def fail(self, error: ElevateError) -> None:
        """End a request as its error says; a token that was registered for it is taken back."""
        with contextlib.suppress(StoreError):
            self.refresh()  # what broke off may have done so after its commit
        followers = TRANSITIONS.get(self.record.state, frozenset())
        after = next((state for kind, state in _ENDINGS if isinstance(error, kind)), State.FAILED)
        for state in (after, State.FAILED, State.REVOKED):
            if state in followers:
                self.to(state, entries.failed(error))
                return

    def note(self, event: str, body: Mapping[str, Json]) -> None:
        """Write an entry that changes nothing, as an alarm."""
        self._store.append(Draft(event=event, request=self.record.request, at=self._clock.read(), body=body))

    def refresh(self) -> Record:
        """Read the row again."""
        self.record = self._store.record(self.record.request) or replace(self.record, state=State.FAILED)
        return self.record
