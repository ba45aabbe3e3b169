"""Where requests, tokens and the log are kept."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from elevate.canonical import Json
from elevate.lifecycle import State
from elevate.ports.world import Instant

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An audit entry that has no position yet.

    Attributes:
        event: What happened: a state's name, or ``broker-started``, ``policy-changed``, ``second-use`` and so on.
        request: Id of the request; empty where there is none.
        at: When it happened, read by the caller.
        body: The typed rest, as canonical JSON values.
    """

    event: str
    request: str
    at: Instant
    body: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of the ledger: a request and, from `State.ISSUED` on, its only token.

    Attributes:
        request: 32 hexadecimal characters.
        epoch: Boot id, start nonce and ledger generation of the broker that issued; any other epoch is dead.
        jti: Canonical base64url of 16 bytes; empty before issue.
        expires_at: Unix seconds, exclusive.
        deadline_ns: Monotonic nanoseconds of the same boot, exclusive.
        redeem_id: Who won the redemption; empty before it.
        position: Sequence number of the `issued` entry; -1 before issue.
        result: What the end left behind (exit status, receipt), as canonical JSON values.
    """

    request: str
    state: State
    user: str
    uid: int
    session: str
    host: str
    epoch: str
    request_digest: str = ""
    jti: str = ""
    expires_at: int = 0
    deadline_ns: int = 0
    redeem_id: str = ""
    position: int = -1
    result: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One arrow of the lifecycle, asked of the ledger.

    Attributes:
        before: The state that the row must have; any other and nothing changes.
        fields: Columns of `Record` that change with it, by name (not ``request``, ``state`` or ``position``).
        epoch: Where not empty, the row must have this epoch too.
    """

    request: str
    before: State
    after: State
    entry: Draft
    fields: Mapping[str, Json] = field(default_factory=dict)
    epoch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stepped:
    """What became of a `Step`.

    Attributes:
        won: This very call changed the row; only then may anything be started.
        record: The row as it is now.
        position: Sequence number of the entry; -1 where nothing changed.
    """

    won: bool
    record: Record
    position: int


class Store(Protocol):
    """The ledger and the log: one file, one writer. Every call returns after its commit is synced, entry included.

    All raise `StoreUnwritableError` where the commit could not be made; then nothing happened.
    """

    def open_request(self, record: Record, entry: Draft, *then: Step) -> Stepped:
        """Insert a row in `State.REQUESTED` with its entry, and take the steps that follow on it, all in one commit.

        Raises:
            TransitionError: As `step`.
            StoreError: As `step`; or there is such a request already.
        """

    def step(self, step: Step, *then: Step) -> Stepped:
        """Compare and set one row, with its entry. When ``after`` is `State.ISSUED`, ``position`` is stored in the row.

        Args:
            step: The arrow.
            then: Those that follow on it, of the same request, in the same commit: all of them happen, or none.

        Returns:
            What became of the last one; where the first found another state, of that, and then none has happened.

        Raises:
            TransitionError: The lifecycle has no such step.
            StoreError: No such request, or one does not follow on the one before it.
        """

    def submit(self, step: Step) -> "Future[Stepped]":
        """As `step`, for callers that do not block."""

    def append(self, entry: Draft) -> int:
        """Write an entry that changes no row; give its position."""

    def record(self, request: str) -> Record | None:
        """Give the row as last committed."""

    def by_jti(self, jti: str) -> Record | None:
        """Give the row of a token as last committed."""

    def unfinished(self) -> list[Record]:
        """Give the rows whose state is not final, oldest first."""

    def entries(self, start: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """Give the canonical bytes of the entries from position ``start`` on."""

    def entries_of(self, request: str) -> list[bytes]:
        """Give one request's entries in order."""

    def openings_of(self, request: str) -> list[bytes]:
        """Give what the entries of `entries_of` commit to, in the same order; empty where there is nothing, or no more."""

    @property
    def verifier_key(self) -> str:
        """The log's public key in text form."""

    def checkpoint(self) -> str:
        """Sign what is in the log now; give the note (C2SP tlog-checkpoint)."""

    def prove(self, position: int) -> str:
        """Give a proof, checked without the ledger, that an entry is in the log (C2SP tlog-proof).

        Raises:
            AuditError: There is no such entry.
        """

    def head(self) -> tuple[int, str]:
        """Give the number of entries and the hash of the last one, in hexadecimal."""

    @property
    def generation(self) -> str:
        """Random name of this ledger, made with the file; part of every epoch."""

    def close(self) -> None:
        """Finish what is queued and close; twice is the same as once."""
